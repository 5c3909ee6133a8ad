"""Real HST lenses (dolphin's layout) and galaxies (GalSim's format)."""

import math

import h5py
import numpy as np
import pytest
from astropy.io import fits
from raw_samples import common, noise_image, read_all
from raw_sets import MAKERS

from lenshunt.config import HstGalaxiesDataset, HstLensesDataset
from lenshunt.core.moffat import moffat_psf
from lenshunt.readers import raw_files
from lenshunt.readers.psfs import core_offset, shipped_psf

SAME = {"lens_system2": "lens_system1", "lens_system5": "lens_system1"}


def lenses(*patterns, **more):
    return HstLensesDataset(
        reader="hst_lenses",
        images=[str(p) for p in patterns],
        **common(more.pop("survey", "hst_wfc3")),
        **more,
    )


def galaxies(*catalogues, **more):
    return HstGalaxiesDataset(
        reader="hst_galaxies",
        catalogues=[str(p) for p in catalogues],
        **common("hst", "search"),
        **more,
    )


@pytest.mark.real
def test_filters_of_a_real_lens_on_one_grid_become_one_cutout(real_data, tmp_path):
    cutouts, rejected = read_all(
        lenses(real_data / "hst_lenses/image_*.h5", same_system=SAME), tmp_path
    )
    assert not rejected
    assert len(cutouts) == 6
    two_bands = next(c for c in cutouts if c.metadata.sample_id == "set-lens_system3")
    assert two_bands.metadata.bands == ("F475X", "F600LP", "", "", "")
    assert two_bands.metadata.pixel_scale == pytest.approx(0.04, rel=1e-4)
    assert two_bands.psf.shape == (5, 61, 61)
    assert two_bands.metadata.psf_source == "shipped"


@pytest.mark.real
def test_files_of_one_real_object_share_their_system(real_data, tmp_path):
    cutouts, _ = read_all(lenses(real_data / "hst_lenses/image_*.h5", same_system=SAME), tmp_path)
    systems = [c.metadata.system_id for c in cutouts]
    assert systems.count("lens_system1") == 3
    assert len({c.metadata.sample_id for c in cutouts}) == len(cutouts)
    assert {c.metadata.label for c in cutouts} == {1}


@pytest.mark.real
def test_the_variance_of_a_real_lens_agrees_with_its_empty_corners(real_data, tmp_path):
    cutouts, _ = read_all(lenses(real_data / "hst_lenses/image_lens_system3_*.h5"), tmp_path)
    corner = cutouts[0].image[1, :15, :15]
    sigma = 1.4826 * np.median(np.abs(corner - np.median(corner)))
    assert sigma**2 == pytest.approx(np.median(cutouts[0].variance[1, :15, :15]), rel=0.5)


def write_lens(folder, name="image_L1_F814W.h5", psf=True):
    with h5py.File(folder / name, "w") as file:
        file["image_data"] = noise_image((40, 40)) * 0.01
        file["background_rms"] = 0.01
        file["exposure_time"] = np.full((40, 40), 1000.0)
        file["ra_at_xy_0"], file["dec_at_xy_0"] = 0.8, -0.8
        file["transform_pix2angle"] = np.array([[-0.04, 0.0], [0.0, 0.04]])
    if psf:
        with h5py.File(folder / name.replace("image_", "psf_"), "w") as file:
            file["kernel_point_source"] = 1.25 * moffat_psf(2.0, 3.0, 1.0, size_px=5)


def test_the_variance_is_background_plus_poisson(tmp_path):
    write_lens(tmp_path)
    cutout = read_all(lenses(tmp_path / "image_*.h5"), tmp_path)[0][0]
    njy = 10 ** (0.4 * (31.4 - 25.0985))
    rate = cutout.image[2].astype(float) / njy
    expected = (0.01**2 + np.clip(rate, 0, None) / 1000.0) * njy**2
    np.testing.assert_allclose(cutout.variance[2], expected, rtol=1e-5)
    assert cutout.psf[2].sum() == pytest.approx(1.0)


def test_a_lens_without_a_psf_file_is_kept_and_flagged(tmp_path):
    write_lens(tmp_path, psf=False)
    cutout = read_all(lenses(tmp_path / "image_*.h5"), tmp_path)[0][0]
    assert cutout.psf is None
    assert cutout.metadata.flags == "psf_missing:F814W"
    assert cutout.metadata.psf_source == ""


def test_a_survey_without_zero_point_is_a_reason_that_names_the_remedy(tmp_path):
    write_lens(tmp_path)
    rejected = read_all(lenses(tmp_path / "image_*.h5", survey="hst"), tmp_path)[1]
    assert "surveys.yaml" in rejected[0].reason


@pytest.mark.real
def test_real_galaxies_of_two_catalogues_are_merged_by_identity(real_data, tmp_path):
    folder = real_data / "hst_galaxies"
    sample = galaxies(folder / "AEGIS_F606w_catalog.fits", folder / "AEGIS_F814w_catalog.fits")
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (5, 0)
    for cutout in cutouts:
        assert cutout.metadata.bands == ("", "F606W", "F814W", "", "")
        assert cutout.metadata.variance_available
        assert cutout.psf.shape[1] % 2 == 1
    assert len(raw_files(sample)) == 10


@pytest.mark.real
def test_real_galaxies_have_the_magnitude_of_their_catalogue(real_data, tmp_path):
    cutouts, _ = read_all(
        galaxies(real_data / "hst_cosmos/real_galaxy_catalog_23.5.fits"), tmp_path
    )
    assert len(cutouts) == 10
    assert {c.metadata.flags for c in cutouts} == {"psf_missing:F814W"}
    differences = [
        31.4 - 2.5 * math.log10(c.image[2].sum()) - c.metadata.magnitude[2] for c in cutouts
    ]
    assert abs(np.median(differences)) < 0.15


@pytest.mark.real
def test_shipped_psfs_that_lie_off_their_middle_are_centred(real_data, tmp_path):
    folder = real_data / "hst_galaxies"
    with fits.open(folder / "AEGIS_F814w_PSF_images_01.fits") as hdus:
        shipped = hdus[0].data
    assert core_offset(shipped[:19].sum(axis=1)) > 0.5
    cutout = read_all(galaxies(folder / "AEGIS_F814w_catalog.fits"), tmp_path)[0][0]
    psf = cutout.psf[2]
    assert psf.shape == (21, 21)
    for axis in (0, 1):
        assert abs(core_offset(psf.sum(axis=axis))) < 0.05
    # the peak of a band-limited profile is not lowered by the move
    assert psf.max() >= shipped.max() / shipped.sum()


def test_moving_a_psf_keeps_its_shape():
    sharp = moffat_psf(3.0, 3.0, 1.0, size_px=41)
    x = np.arange(41) - 20
    even = np.delete(np.delete(_shifted_moffat(0.5), 40, axis=0), 40, axis=1)
    centred = shipped_psf(even, "here")
    assert centred.shape == (41, 41)
    np.testing.assert_allclose(centred, sharp, atol=3e-4)
    assert abs((centred.sum(axis=0) * x).sum()) < 0.05


def _shifted_moffat(shift: float) -> np.ndarray:
    """Moffat of 3 pixels FWHM whose centre lies `shift` pixels below and left of the middle."""
    fine = moffat_psf(3.0, 3.0, 0.1, size_px=451)
    step = round(shift * 10)
    cut = fine[20 + step : 430 + step, 20 + step : 430 + step]
    return cut.reshape(41, 10, 41, 10).sum(axis=(1, 3))


def test_a_centred_psf_is_only_normalised():
    psf = moffat_psf(2.0, 3.0, 1.0, size_px=21)
    np.testing.assert_allclose(shipped_psf(psf * 7, "here"), psf, atol=1e-8)


@pytest.mark.parametrize("bad", [np.zeros((5, 5)), np.ones(5), np.full((5, 5), np.nan)])
def test_an_impossible_psf_is_refused(bad):
    with pytest.raises(ValueError, match=r"p\.fits: PSF of shape"):
        shipped_psf(bad, "p.fits")


def test_of_two_filters_on_one_slot_the_magnitude_is_that_of_the_image(tmp_path):
    for band, peak in (("F555W", 20.0), ("F606W", 500.0)):
        fits.writeto(tmp_path / f"{band}.fits", noise_image((40, 40), 1, peak))
    columns = {"IDENT": ("K", [7, 7]), "BAND": ("5A", ["F606W", "F555W"])}
    columns |= {"GAL_FILENAME": ("12A", ["F606W.fits", "F555W.fits"])}
    columns |= {"PSF_FILENAME": ("12A", ["none.fits"] * 2), "MAG": ("D", [21.0, 22.0])}
    columns |= {key: ("D", [1.0, 1.0]) for key in ("RA", "DEC", "NOISE_VARIANCE")}
    columns |= {key: ("K", [0, 0]) for key in ("GAL_HDU", "PSF_HDU")}
    columns |= {"PIXEL_SCALE": ("D", [0.03, 0.03])}
    table = [fits.Column(key, form, array=array) for key, (form, array) in columns.items()]
    fits.BinTableHDU.from_columns(table).writeto(tmp_path / "cat.fits")
    sample = HstGalaxiesDataset(
        reader="hst_galaxies",
        catalogues=[str(tmp_path / "cat.fits")],
        zero_point_ab={"F555W": 25.7, "F606W": 26.5},
        **common("hst", "search"),
    )
    metadata = read_all(sample, tmp_path)[0][0].metadata
    assert (metadata.bands[1], metadata.magnitude[1]) == ("F606W", 21.0)


def test_one_ident_at_two_places_is_two_galaxies(tmp_path):
    raw = MAKERS["hst_galaxies"](tmp_path)
    for band, ra in (("F606W", 0.0001), ("F814W", 359.9999)):
        path = tmp_path / f"catalogue_{band}.fits"
        with fits.open(path, mode="update") as hdus:
            # 0.7 arcsec apart across the meridian, and half a degree
            hdus[1].data["IDENT"], hdus[1].data["RA"] = [1, 2], [ra, ra / 2]
    read, rejected = read_all(raw.dataset, tmp_path)
    assert not rejected
    names = {c.metadata.sample_id for c in read}
    assert names == {"set-1", "set-2-F606W", "set-2-F814W"}


def test_a_catalogue_band_without_zero_point_is_rejected_with_the_key(real_data, tmp_path):
    sample = galaxies(
        real_data / "hst_galaxies/AEGIS_F814w_catalog.fits", zero_point_ab={"F606W": 26.0}
    )
    rejected = read_all(sample, tmp_path)[1]
    assert len(rejected) == 5
    assert "zero_point_ab" in rejected[0].reason
