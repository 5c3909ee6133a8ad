"""Challenge 2.0: pixels of NISP on the grid of VIS, their noise and their PSF."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from bologna2_samples import BANDS, LENS, NJY, SIDE, challenge, dataset
from raw_samples import read_all

from lenshunt.config import Grid, QualityConfig
from lenshunt.core import raw_manifest
from lenshunt.core.moffat import moffat_psf
from lenshunt.images import homogenise_chunk, make_kernels, prepare_chunk, read_cutouts
from lenshunt.images.psf import fwhm, psf_residual, target_psf
from lenshunt.raw import bologna2, raw_files
from lenshunt.raw.bologna2 import sky_sigma, split_pixels
from lenshunt.records import RecordReader, read_metadata
from lenshunt.surveys import survey_named


def prepared(sample, folder):
    """Paths of the records (pixels, metadata) and of the rejections of a data set."""
    manifest, paths = folder / "manifest.csv", [str(folder / f"r{e}") for e in (".h5", ".parquet")]
    raw_manifest(raw_files(sample), folder / "hashes.json").write(manifest)
    prepare_chunk(
        name="set",
        dataset=sample,
        chunk=0,
        chunks=1,
        manifest=str(manifest),
        pixels=paths[0],
        metadata=paths[1],
        rejected=str(folder / "r.ecsv"),
    )
    return paths, Table.read(folder / "r.ecsv")


def test_nisp_pixels_lie_on_the_grid_of_vis_about_the_same_middle(tmp_path):
    sample = challenge(tmp_path, [LENS], sigma=1e-16)
    for band in BANDS:
        # a point source in the middle of the field: between the four middle pixels of both grids
        image = np.zeros((SIDE[band],) * 2, np.float32)
        middle = SIDE[band] // 2
        image[middle - 1 : middle + 1, middle - 1 : middle + 1] = 2.5e-10
        image += np.float32(1e-16) * np.random.default_rng(1).normal(size=image.shape)
        path = tmp_path / "Public" / band / f"image{band}-200000.fits"
        fits.writeto(path, image.astype(np.float32), overwrite=True)
    cutout = read_all(sample, tmp_path)[0][0]
    assert cutout.image.shape == (5, 198, 198)
    assert cutout.metadata.pixel_scale == 0.1
    assert cutout.metadata.bands[2:4] == ("EUC_VIS", "EUC_Y")
    y, x = np.mgrid[:198, :198]
    for slot in (2, 3, 4):
        plane = cutout.image[slot].astype(float)
        assert plane.sum() == pytest.approx(1e-9 * NJY, rel=1e-4)
        assert (plane * x).sum() / plane.sum() == pytest.approx(98.5, abs=1e-3)
        assert (plane * y).sum() / plane.sum() == pytest.approx(98.5, abs=1e-3)


def test_splitting_pixels_conserves_the_flux_of_every_one_of_them():
    image = np.random.default_rng(0).normal(size=(66, 66))
    split = split_pixels(image, 3) / 9
    back = split.reshape(66, 3, 66, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(back, image, rtol=1e-12)


def test_of_j_and_h_the_one_of_higher_signal_takes_the_slot(tmp_path):
    sample = challenge(tmp_path, [LENS])
    path = tmp_path / "Public" / "EUC_H" / "imageEUC_H-200000.fits"
    image = fits.getdata(path)
    image[25:41, 25:41] += 5e-11
    fits.writeto(path, image, overwrite=True)
    metadata = read_all(sample, tmp_path)[0][0].metadata
    assert metadata.bands == ("", "", "EUC_VIS", "EUC_Y", "EUC_H")
    assert "unused:EUC_J" in metadata.flags.split(";")


def test_vis_alone_keeps_its_whole_frame_and_its_noise_is_white(tmp_path):
    challenge(tmp_path, [LENS], bands=("EUC_VIS",))
    cutout = read_all(dataset(tmp_path, bands=["EUC_VIS"]), tmp_path)[0][0]
    assert cutout.image.shape == (5, 200, 200)
    assert cutout.metadata.band_flags == (0, 0, 1, 0, 0)
    np.testing.assert_array_equal(cutout.noise_corr, 1)
    raw = fits.getdata(tmp_path / "Public/EUC_VIS/imageEUC_VIS-200000.fits")
    np.testing.assert_allclose(cutout.image[2], raw * NJY, rtol=1e-3)


def test_the_variance_of_box_sums_is_that_of_the_record(tmp_path):
    """Pure noise through prepare_chunk: var(sum of a box) = noise_corr * sum(variance)."""
    sample = challenge(tmp_path, [LENS] * 12, sigma=2e-11)
    paths, rejected = prepared(sample, tmp_path)
    assert len(rejected) == 0
    for batch in RecordReader(*paths).batches(12):
        for slot, corr in ((2, 1.0), (3, 9.0), (4, 9.0)):
            # 12 x 12 boxes of the grid of VIS: 16 independent pixels of NISP each
            boxes = batch.image[:, slot, 3:195, 3:195].reshape(12, 16, 12, 16, 12)
            sums = boxes.sum(axis=(2, 4), dtype=float).ravel()
            variance = batch.variance[:, slot].astype(float).mean() * 144
            assert (batch.noise_corr[:, slot] == corr).all()
            pixels = 1 if slot == 2 else 81
            assert variance / 144 == pytest.approx((2e-11 * NJY) ** 2 / pixels, rel=0.03)
            # 3072 boxes: sampling error 2.6 %
            assert sums.var() / (variance * corr) == pytest.approx(1, abs=0.09)


@pytest.mark.parametrize("bright", [False, True])
def test_the_sky_noise_is_found_beside_and_under_a_galaxy(bright):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:66, :66] - 32.5
    # exponential disk of 0.9 arcsec, three hundred sigma in its middle
    galaxy = 300 * np.exp(-np.hypot(y, x) / 3) if bright else 0.0
    nothing = np.zeros((66, 66), bool)
    found = [sky_sigma(rng.normal(0, 1, (66, 66)) + galaxy, nothing, "a.fits") for _ in range(40)]
    assert np.mean(found) == pytest.approx(1, abs=0.06 if bright else 0.01)
    with pytest.raises(ValueError, match=r"a\.fits: the sky has no scatter"):
        sky_sigma(np.ones((66, 66)), nothing, "a.fits")


def test_an_estimated_variance_is_flagged_as_such(tmp_path):
    paths, _ = prepared(challenge(tmp_path, [LENS]), tmp_path)
    table = read_metadata(paths[1])
    assert not table["variance_available"].any()
    assert table["flags"].str.contains("sky_variance").all()


def test_the_error_of_the_aperture_flux_is_that_of_the_noise(tmp_path):
    sample = challenge(tmp_path, [LENS | {"mag_lens": ""}] * 24, sigma=2e-11)
    paths, _ = prepared(sample, tmp_path)
    flux = read_metadata(paths[1])[["flux_i", "flux_z"]].to_numpy()
    # 3 arcsec diameter: 706.9 pixels of VIS, 78.5 of NISP
    for column, pixels in ((0, 706.9), (1, 78.5)):
        expected = 2e-11 * NJY * math.sqrt(pixels)
        assert 0.6 < flux[:, column].std() / expected < 1.6


def test_the_effective_psf_is_the_mean_over_the_places_in_a_pixel():
    survey = survey_named("bologna2")
    found = bologna2._psf("bologna2", "EUC_J")
    fine = moffat_psf(survey.psf_fwhm("EUC_J"), survey.moffat_beta, 0.1, 183).astype(float)
    # a star at each of the 3 x 3 places in its detector pixel, put back to the middle
    mean = np.zeros((183, 183))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            scene = np.roll(fine, (dy, dx), axis=(0, 1))
            detector = scene.reshape(61, 3, 61, 3).sum(axis=(1, 3))
            mean += np.roll(split_pixels(detector, 3) / 9, (-dy, -dx), axis=(0, 1)) / 9
    margin = (183 - found.shape[0]) // 2
    inner = mean[margin:-margin, margin:-margin] if margin > 0 else mean
    np.testing.assert_allclose(found, inner / inner.sum(), atol=2e-4)
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert fwhm(found, 0.1) > 1.2 * survey.psf_fwhm("EUC_J")


def test_the_psf_is_the_surveys_and_says_so(tmp_path):
    paths, _ = prepared(challenge(tmp_path, [LENS]), tmp_path)
    table = read_metadata(paths[1])
    assert list(table["psf_source"]) == ["survey"]
    # the reference band is VIS: 0.18 arcsec, a little broader through its pixels
    assert 0.17 < table["psf_fwhm"][0] < 0.24


def test_stars_have_one_psf_in_vis_and_nisp_after_homogenisation(tmp_path):
    """Stars at all nine places within a pixel of NISP: their mean is the target in every band."""
    grid = Grid(psf_fwhm_arcsec=0.7, pixel_scale_arcsec=0.1, size_px=128)
    sample = challenge(tmp_path, [LENS | {"mag_lens": ""}] * 9)
    places = [(y, x) for y in (0, 1, 2) for x in (0, 1, 2)]
    survey, rng = survey_named("bologna2"), np.random.default_rng(5)
    for band in BANDS:
        psf = moffat_psf(survey.psf_fwhm(band), survey.moffat_beta, 0.1, 121).astype(float)
        for k, (y, x) in enumerate(places):
            scene = np.zeros((198, 198))
            scene[39 + y : 160 + y, 39 + x : 160 + x] = 1e-8 * psf
            if band == "EUC_VIS":
                image = np.pad(scene, 1)
            else:
                image = scene.reshape(66, 3, 66, 3).sum(axis=(1, 3))
            image = image + rng.normal(0, 1e-14, image.shape)
            path = tmp_path / "Public" / band / f"image{band}-{200000 + k}.fits"
            fits.writeto(path, image.astype(np.float32), overwrite=True)
    paths, _ = prepared(sample, tmp_path)
    kernels = str(tmp_path / "k.h5")
    chunks = [(paths[0], paths[1])]
    make_kernels(chunks=chunks, grid=grid, out=kernels, table=str(tmp_path / "k.csv"))
    out = str(tmp_path / "a.tif"), str(tmp_path / "a.parquet")
    homogenise_chunk(
        pixels=paths[0],
        metadata=paths[1],
        kernels=kernels,
        grid=grid,
        quality=QualityConfig(),
        out=out[0],
        out_metadata=out[1],
    )
    assert read_metadata(out[1])["psf_matched"].all()
    images, _, _ = next(iter(read_cutouts(*out)))
    for slot in (2, 3, 4):
        # the scene's pixel 99 is pixel 64 of the grid
        stars = [np.roll(images[k, slot], (-y, -x), (0, 1)) for k, (y, x) in enumerate(places)]
        mean = np.mean(stars, axis=0, dtype=float)[15:114, 15:114]
        assert psf_residual(mean, target_psf(grid), 7.0) < 0.01
        assert mean.sum() == pytest.approx(1e-8 * NJY, rel=0.01)
