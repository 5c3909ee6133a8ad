"""Deflection maps of cluster models: the sign of x by physics, magnification, safe negatives."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import common, hst_header, noise_image, read_all

from lenshunt.config import RelicsDataset
from lenshunt.core import RESOURCES
from lenshunt.core.cosmology import distance_ratio
from lenshunt.lensing import deflection, load_mass_model
from lenshunt.readers import raw_files
from lenshunt.readers.deflection_maps import (
    inverse_magnification,
    magnification,
    magnification_around,
    read_deflection_maps,
)

SIDE = 160
SCALE = 0.75


@pytest.fixture(scope="module")
def model():
    """The published model of SMACS J0723 (Mahler et al. 2023)."""
    folder = RESOURCES / "smacs0723"
    return load_mass_model(
        *(str(folder / f"{n}.ecsv") for n in ("potentials", "images", "members"))
    )


def map_wcs(model, angle_deg=0.0, mirrored=False):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [model.ra0, model.dec0]
    wcs.wcs.crpix = [(SIDE + 1) / 2, (SIDE + 1) / 2]
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    flip = np.diag([1.0 if mirrored else -1.0, 1.0])
    wcs.wcs.cd = SCALE / 3600 * flip @ np.array([[cos, -sin], [sin, cos]])
    return wcs


def places(model, wcs):
    """(x, y) in arcsec West and North of every pixel."""
    y, x = np.mgrid[:SIDE, :SIDE]
    ra, dec = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    return (part.reshape(SIDE, SIDE) for part in model.tangent(ra, dec))


@pytest.fixture(scope="module")
def truth(model):
    """Deflections at D_LS/D_S = 1, convergence, and 1/mu for z_s = 9 on a map, North up."""
    x, y = places(model, map_wcs(model))
    alpha_x, alpha_y = deflection(model.potentials, x, y)
    kappa = model.kappa(x, y, 9.0) / model.distance_ratio(9.0)
    return alpha_x, alpha_y, kappa, model.inverse_magnification(x, y, 9.0)


def write_maps(folder, wcs, alpha_x, alpha_y, kappa=None, unit="arcsec"):
    header = wcs.to_header()
    if unit:
        header["BUNIT"] = unit
    stem = "hlsp_relics_model_model_smacs0723_lenstool_v1"
    paths = []
    parts = {"x-arcsec-deflect": alpha_x, "y-arcsec-deflect": alpha_y, "kappa": kappa}
    for name, values in parts.items():
        if values is not None:
            paths.append(str(folder / f"{stem}_{name}.fits"))
            fits.writeto(paths[-1], values.astype(np.float32), header, overwrite=True)
    return paths


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("with_kappa", [True, False])
def test_either_sign_of_x_gives_the_magnification_of_the_model(
    tmp_path, model, truth, sign, with_kappa
):
    alpha_x, alpha_y, kappa, inverse = truth
    paths = write_maps(
        tmp_path, map_wcs(model), sign * alpha_x, alpha_y, kappa if with_kappa else None
    )
    maps = read_deflection_maps(*paths)
    assert maps.flipped_x == (sign < 0)
    assert maps.curl < 0.01
    assert maps.pixel_scale_arcsec == pytest.approx(SCALE, rel=1e-6)
    np.testing.assert_allclose(maps.alpha_x, alpha_x, atol=1e-4)
    mu = magnification(maps, distance_ratio(model.z_lens, 9.0))
    away = np.abs(inverse) > 0.1
    error = np.abs(mu * np.abs(inverse) - 1.0)[away]
    # the derivative over 1.5 arcsec smooths the cores of the members, and nothing else
    assert np.median(error) < 0.002
    assert np.percentile(error, 95) < 0.05


@pytest.mark.parametrize(("angle", "mirrored"), [(30.0, False), (0.0, True), (200.0, True)])
def test_maps_may_be_turned_or_mirrored_on_the_sky(tmp_path, model, angle, mirrored):
    wcs = map_wcs(model, angle, mirrored)
    x, y = places(model, wcs)
    alpha_x, alpha_y = deflection(model.potentials, x, y)
    maps = read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x, alpha_y))
    assert not maps.flipped_x
    inverse = model.inverse_magnification(x, y, 9.0)
    found = inverse_magnification(maps, distance_ratio(model.z_lens, 9.0))
    assert np.median(np.abs(found - inverse)) < 0.002


@settings(max_examples=20, deadline=None)
@given(
    theta_e=st.floats(5, 40), core=st.floats(3, 10), shear=st.floats(-0.2, 0.2),
    flip=st.booleans(),
)  # fmt: skip
def test_the_sign_is_found_for_any_cored_sphere_with_shear(
    tmp_path_factory, model, theta_e, core, shear, flip
):
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) * SCALE
    radius = np.hypot(np.hypot(x, y), core)
    alpha_x, alpha_y = theta_e * x / radius + shear * x, theta_e * y / radius - shear * y
    folder = tmp_path_factory.mktemp("maps")
    sign = -1.0 if flip else 1.0
    maps = read_deflection_maps(*write_maps(folder, map_wcs(model), sign * alpha_x, alpha_y))
    assert maps.flipped_x == flip


def test_what_is_no_deflection_field_is_refused_by_name(tmp_path, model, truth):
    alpha_x, alpha_y, kappa, _ = truth
    wcs = map_wcs(model)
    both = r"x-arcsec-deflect\.fits and .*y-arcsec-deflect\.fits: "
    with pytest.raises(ValueError, match=both + r"no deflection field, its relative curl is"):
        read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x.T, alpha_y))
    with pytest.raises(ValueError, match=both + "the mean convergence is -"):
        read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x, -alpha_y))
    # a map for z_s = 2 instead of D_LS/D_S = 1
    scaled = distance_ratio(model.z_lens, 2.0)
    with pytest.raises(ValueError, match=r"their convergence differs from .*kappa\.fits by 0\.\d"):
        read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x * scaled, alpha_y * scaled, kappa))
    with pytest.raises(ValueError, match="does not change over the map"):
        read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x * 0, alpha_y * 0))


def test_maps_in_pixels_of_another_shape_or_without_a_place_are_refused(tmp_path, model, truth):
    alpha_x, alpha_y, kappa, _ = truth
    wcs = map_wcs(model)
    with pytest.raises(ValueError, match=r"x-arcsec-deflect\.fits: deflections in pixel, expected"):
        read_deflection_maps(*write_maps(tmp_path, wcs, alpha_x, alpha_y, unit="pixel"))
    x_path, y_path, _ = write_maps(tmp_path, wcs, alpha_x, alpha_y, kappa, unit=None)
    renamed = tmp_path / "hlsp_relics_model_model_smacs0723_lenstool_v1_x-pixels-deflect.fits"
    renamed.write_bytes(Path(x_path).read_bytes())
    with pytest.raises(ValueError, match=r"x-pixels-deflect\.fits: deflections in pixels"):
        read_deflection_maps(str(renamed), y_path)
    smaller = write_maps(tmp_path, wcs, alpha_x, alpha_y[:-1])
    with pytest.raises(ValueError, match=r"y-arcsec-deflect\.fits: shape \(159, 160\), but"):
        read_deflection_maps(*smaller)
    write_maps(tmp_path, wcs, alpha_x, alpha_y)
    fits.writeto(x_path, alpha_x, overwrite=True)
    with pytest.raises(ValueError, match=r"x-arcsec-deflect\.fits: no celestial WCS"):
        read_deflection_maps(x_path, y_path)


def test_members_of_the_core_are_magnified_whatever_their_own_cores_say(tmp_path, model, truth):
    maps = read_deflection_maps(*write_maps(tmp_path, map_wcs(model), *truth[:2]))
    mu = magnification(maps, distance_ratio(model.z_lens, 9.0))
    ra, dec = (np.asarray(model.members[key], dtype=float) for key in ("ra", "dec"))
    around = magnification_around(maps, mu, ra, dec, 7.7)
    distance = np.hypot(*model.tangent(ra, dec))
    # all within 25 arcsec, where the giant arcs of this cluster lie
    assert (distance < 25).sum() > 15
    assert (around[distance < 25] > 3).all()
    # farther out half of them are weakly lensed, and what is off the map has no value
    assert (around[(distance > 40) & (distance < 58)] < 3).mean() > 0.4
    off = np.abs(np.array(model.tangent(ra, dec))).max(axis=0) > SIDE * SCALE / 2 + 1
    assert off.any()
    assert np.isnan(around[off]).all()
    assert magnification_around(maps, mu, ra[:0], dec[:0], 7.7).shape == (0,)


def relics_field(folder, model, offsets):
    """A field whose image is larger than the maps, with members at `offsets` (West, North)."""
    shape = (440, 440)
    header = hst_header(shape, "F814W", scale_arcsec=0.4)
    header["CRVAL1"], header["CRVAL2"] = model.ra0, model.dec0
    fits.writeto(folder / "f814w_drz.fits", noise_image(shape), header)
    lines = [f"# {k} {n}" for k, n in enumerate(("id", "RA", "Dec", "f814w_mag", "zb"), 1)]
    for number, offset in enumerate(offsets, 1):
        ra, dec = model.sky(*offset)
        lines.append(f"{number} {float(ra):.7f} {float(dec):.7f} 20.0 {model.z_lens}")
    (folder / "cat.txt").write_text("\n".join(lines))
    return {
        "images": {"F814W": str(folder / "f814w_drz.fits")},
        "catalogue": str(folder / "cat.txt"),
    }


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_cluster_without_arc_list_gives_negatives_where_it_hardly_magnifies(
    tmp_path, model, truth, sign, caplog
):
    # the core, 20 arcsec East of it, 50 arcsec North, the North-West corner of the maps, off them
    offsets = ((0.0, 0.0), (-20.0, 0.0), (0.0, 50.0), (52.0, 52.0), (75.0, 0.0))
    field = relics_field(tmp_path, model, offsets)
    maps = write_maps(tmp_path, map_wcs(model), sign * truth[0], truth[1], truth[2])
    field |= dict(zip(("deflection_x", "deflection_y", "kappa"), maps, strict=True))
    settings = {"z_cluster": {"smacs": model.z_lens}, "size_px": 16, **common("hst", "negatives")}
    dataset = RelicsDataset(reader="relics", fields={"smacs": field}, **settings)
    assert set(maps) < set(raw_files(dataset))
    with caplog.at_level("INFO", logger="lenshunt.readers.relics"):
        cutouts, rejected = read_all(dataset, tmp_path)
    assert not rejected
    assert [c.metadata.system_id for c in cutouts] == ["smacs-3", "smacs-4"]
    assert "1 off the deflection maps, 2 magnified 3 times or more at z = 9" in caplog.text
    # with an arc list both rules hold
    ra, dec = model.sky(1.0, 51.0)
    arcs = tmp_path / "arcs.ecsv"
    arcs.write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n"
        f"# - {{name: dec, datatype: float64}}\nra dec\n{float(ra)} {float(dec)}\n"
    )
    both = dataset.model_copy(
        update={"fields": {"smacs": dataset.fields["smacs"].model_copy(update={"arcs": str(arcs)})}}
    )
    cutouts, _ = read_all(both, tmp_path)
    assert [c.metadata.system_id for c in cutouts] == ["smacs-4"]


def test_maps_that_contradict_each_other_reject_the_field(tmp_path, model, truth):
    field = relics_field(tmp_path, model, ((0.0, 50.0),))
    maps = write_maps(tmp_path, map_wcs(model), truth[0].T, truth[1])
    field |= dict(zip(("deflection_x", "deflection_y"), maps, strict=True))
    settings = {"z_cluster": {"smacs": model.z_lens}, **common("hst", "negatives")}
    dataset = RelicsDataset(reader="relics", fields={"smacs": field}, **settings)
    cutouts, rejected = read_all(dataset, tmp_path)
    assert not cutouts
    assert "no deflection field" in rejected[0].reason
