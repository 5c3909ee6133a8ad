"""Mass models of deflection maps: the same curves and images as the potentials they are made of."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lenshunt.config import Cluster
from lenshunt.core import write_ecsv
from lenshunt.lensing import (
    ImageSolver,
    MassModel,
    Potentials,
    critical_curves,
    curve_kind,
    distance_to_curves,
    effective_einstein_radius,
    image_plane_rms,
    predicted_images,
)
from lenshunt.readers.deflection_maps import read_deflection_maps
from lenshunt.search.cluster import mass_models
from lenshunt.search.cluster.map_model import load_map_model, map_model

SCALE, SIDE, Z = 0.1, 501, 2.0
STEM = "hlsp_relics_model_model_test_lenstool_v1_"


@pytest.fixture(scope="module")
def model():
    """A cluster and three members, with the images of four sources as observed ones."""
    rows = [
        (0.4, -0.3, 0.4, 30.0, 3.0, 200.0, 720.0),
        (6.0, 3.0, 0.3, 80.0, 0.15, 8.0, 190.0),
        (-7.0, 1.0, 0.1, 10.0, 0.2, 6.0, 170.0),
        (1.0, -9.0, 0.5, 120.0, 0.2, 10.0, 220.0),
    ]
    p = Potentials(np.array(list("abcd")), *np.array(rows).T)
    bare = MassModel("small", p, 110.8, -73.45, 0.39)
    solver = ImageSolver(bare, 24.0)
    sources = ((0.5, 0.2), (-1.0, 0.8), (2.0, -0.5), (0.0, 1.5))
    places = [solver.images(source, Z) for source in sources]
    system = [str(k) for k, found in enumerate(places) for _ in found]
    noise = np.random.default_rng(0).normal(0, 0.2, (len(system), 2))
    ra, dec = bare.sky(*(np.concatenate(places) + noise).T)
    table = replace(bare).images.copy()
    table["image"] = [f"{name}.{k}" for k, name in enumerate(system)]
    table["system"], table["ra"], table["dec"], table["z"] = system, ra, dec, Z
    table["z_source"] = "measured"
    return replace(bare, images=table)


def write_maps(folder, model, angle_deg=0.0, sign=1.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [model.ra0, model.dec0], [(SIDE + 1) / 2] * 2
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = SCALE / 3600 * np.diag([-1.0, 1.0]) @ np.array([[cos, -sin], [sin, cos]])
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = model.tangent(*wcs.pixel_to_world_values(columns, rows))
    paths = []
    for name, factor, alpha in zip("xy", (sign, 1.0), model.unit_deflection(x, y), strict=True):
        paths.append(str(folder / f"{STEM}{name}-arcsec-deflect.fits"))
        fits.writeto(paths[-1], (factor * alpha).astype(np.float32), wcs.to_header())
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("maps")
    write_ecsv(model.images, folder / "images.ecsv")
    return folder, write_maps(folder, model, sign=-1.0)


@pytest.fixture(scope="module")
def mapped(files, model):
    folder, paths = files
    return load_map_model(*paths, model.z_lens, folder / "images.ecsv")


def on_sky_of(model, other, curves):
    """Curves of `other` in the plane of `model`, through the sky."""
    return [np.column_stack(model.tangent(*other.sky(*curve.T))) for curve in curves]


@pytest.mark.parametrize("z_source", [1.0, 2.0, 9.0])
def test_maps_have_the_critical_curves_of_the_potentials_on_the_sky(model, mapped, z_source):
    ours = critical_curves(model, z_source, 22.0)
    theirs = critical_curves(mapped, z_source, 22.0)
    moved = on_sky_of(model, mapped, theirs)
    for kind in ("tangential", "radial"):
        one = [c for c in ours if curve_kind(model, c, z_source) == kind]
        two = [
            m for c, m in zip(theirs, moved, strict=True) if curve_kind(mapped, c, z_source) == kind
        ]
        assert len(one) == len(two) > 0
        assert distance_to_curves(*np.concatenate(one).T, two).max() < 0.1
        assert distance_to_curves(*np.concatenate(two).T, one).max() < 0.1
    radii = [
        effective_einstein_radius(m, c, z_source) for m, c in ((model, ours), (mapped, theirs))
    ]
    assert radii[0] == pytest.approx(radii[1], rel=1e-3)


def test_maps_have_the_rms_and_the_images_of_the_potentials(model, mapped):
    one, two = (image_plane_rms(predicted_images(m))[0] for m in (model, mapped))
    assert one > 0.05
    assert two == pytest.approx(one, abs=0.01)
    found = [ImageSolver(m, 22.0).images((0.5, 0.2), Z) for m in (model, mapped)]
    assert len(found[0]) == len(found[1]) >= 3
    sky = on_sky_of(model, mapped, found[1:])[0]
    assert max(np.hypot(*(sky - place).T).min() for place in found[0]) < 0.02


def test_quantities_agree_where_the_mass_is_smooth(model, mapped):
    x, y = np.random.default_rng(3).uniform(-22, 22, (2, 2000))
    ra, dec = model.sky(x, y)
    u, v = mapped.tangent(ra, dec)
    member = np.column_stack([model.potentials.x[1:], model.potentials.y[1:]])
    far = np.hypot(x[:, None] - member[:, 0], y[:, None] - member[:, 1]).min(axis=1) > 1.0
    for name in ("kappa", "gamma", "inverse_magnification"):
        one, two = (getattr(m, name)(a, b, Z) for m, a, b in ((model, x, y), (mapped, u, v)))
        assert np.abs(one - two)[far].max() < 2e-3, name
    back = mapped.tangent(*mapped.sky(u, v))
    assert np.allclose(back, (u, v), atol=1e-6)


def test_maps_turned_on_the_sky_are_the_same_model(tmp_path, model, mapped):
    turned = load_map_model(
        *write_maps(tmp_path, model, angle_deg=25.0), model.z_lens, _images(tmp_path, model)
    )
    x, y = np.random.default_rng(3).uniform(-12, 12, (2, 200))
    there = turned.tangent(*mapped.sky(x, y))
    for one, two in zip(mapped.deflection(x, y, Z), turned.deflection(*there, Z), strict=True):
        assert np.allclose(one, two, atol=2e-3)


def _images(folder, model):
    write_ecsv(model.images, folder / "images.ecsv")
    return folder / "images.ecsv"


def test_off_the_maps_there_is_no_number_and_no_image(mapped):
    reach = SIDE * SCALE / 2
    alpha = mapped.deflection(np.array([0.0, reach + 1]), 0.0, Z)
    assert np.isfinite(alpha[0][0])
    assert np.isnan(np.array(alpha)[:, 1]).all()
    assert np.isnan(mapped.kappa(0.0, -reach - 1, Z))
    # A search square larger than the maps ends, and finds the curves that are on them.
    assert len(critical_curves(mapped, Z, 1.5 * reach)) >= 2
    assert len(ImageSolver(mapped, 1.5 * reach).images((0.5, 0.2), Z)) >= 3


def test_pixels_without_a_value_blind_their_surroundings_only(files, model, mapped):
    maps = read_deflection_maps(*files[1])
    holed = maps.alpha_x.copy()
    holed[300:310, 300:310] = np.nan
    lame = map_model("holed", replace(maps, alpha_x=holed), model.z_lens)
    x, y = ((304 - 250) * SCALE + np.array([0.0, 1.0, 2.5]) for _ in range(2))
    found = lame.kappa(x, y, Z)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(mapped.kappa(x, y, Z)[2], abs=1e-3)


def test_the_config_names_potentials_or_maps(files, model):
    folder, (x_path, y_path) = files
    entry = {"deflection_x": x_path, "deflection_y": y_path, "z_lens": 0.39}
    cluster = Cluster(models={"maps": {**entry, "images": str(folder / "images.ecsv")}})
    found = mass_models(cluster)["maps"]
    assert found.description == 'deflection maps, 501 x 501 pixels of 0.1"'
    assert (found.ra0, found.dec0) == pytest.approx((model.ra0, model.dec0), abs=1e-7)
