"""Lens Finding Challenge 2.0: catalogue, label rule, broken rows and files."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from bologna2_samples import (
    BANDS,
    EMPTY,
    HEADER,
    LENS,
    NJY,
    SIDE,
    catalogue_text,
    challenge,
    dataset,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from raw_samples import common, read_all, truncate, write_records

from lenshunt.config import Bologna2Dataset, Grid, QualityConfig
from lenshunt.core import raw_manifest
from lenshunt.core.moffat import moffat_psf
from lenshunt.images import homogenise_chunk, make_kernels, read_cutouts
from lenshunt.images.psf import fwhm, psf_residual, target_psf
from lenshunt.readers import bologna2, raw_files, reader_of
from lenshunt.readers.bologna2 import Row, label_of, sky_sigma, split_pixels
from lenshunt.schema import RecordReader, is_trainable_source, read_metadata, survey_named


def test_a_lens_has_the_values_of_the_catalogue(tmp_path):
    lens = read_all(challenge(tmp_path, [LENS]), tmp_path)[0][0].metadata
    assert (lens.sample_id, lens.label, lens.label_source) == ("set-200000", 1, "sim:bologna")
    # 1e-10 steradian: sqrt(1e-10 / pi) rad
    assert lens.einstein_radius == pytest.approx(5.6419e-6 * 206264.806, rel=1e-4)
    assert lens.flux_ratio == pytest.approx(0.2)
    assert (lens.z_spec, lens.z_source) == (0.55, "simulation")
    assert lens.magnitude[2] == 19.7
    assert np.isnan(np.delete(lens.magnitude, 2)).all()
    assert math.isnan(lens.ra)


def test_a_galaxy_without_a_source_is_a_negative_and_carries_no_lensing_values(tmp_path):
    other = read_all(challenge(tmp_path, [EMPTY | {"ein_area": 3e-11}]), tmp_path)[0][0].metadata
    assert (other.label, other.label_source, other.label_confidence) == (0, "sim:bologna", 1.0)
    assert math.isnan(other.einstein_radius)
    assert math.isnan(other.flux_ratio)
    assert other.z_spec == 0.4


@pytest.mark.parametrize("column", ["n_source_im", "mag_eff", "n_pix_source"])
def test_a_threshold_itself_is_no_lens_and_the_flags_name_it(tmp_path, column):
    at = {"n_source_im": 0, "mag_eff": 1.6, "n_pix_source": 20}
    weak = read_all(challenge(tmp_path, [LENS | {column: at[column]}]), tmp_path)[0][0].metadata
    assert (weak.label, weak.label_source, weak.label_confidence) == (-1, "unlabelled", 0.0)
    assert [f for f in weak.flags.split(";") if f.startswith("below:")] == [f"below:{column}"]
    assert math.isnan(weak.einstein_radius)


def test_the_thresholds_and_the_negatives_follow_the_config(tmp_path):
    rows = [
        LENS | {"n_pix_source": 15},
        LENS | {"n_source_im": 0, "n_pix_source": 0, "mag_eff": 0},
        EMPTY,
        {"z_lens": 0.4},
    ]
    labels = {}
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    for key, more in {
        "default": {},
        "faint": {"n_pix_source_min": 10},
        "no_image": {"negatives": "no_image"},
    }.items():
        read, _ = read_all(dataset(tmp_path, bands=["EUC_VIS"], **more), tmp_path)
        labels[key] = [cutout.metadata.label for cutout in read]
    assert labels == {
        "default": [-1, -1, 0, -1],
        "faint": [1, -1, 0, -1],
        "no_image": [-1, 0, 0, -1],
    }


def test_objects_without_a_label_are_kept_and_a_bad_row_is_not_one_of_them(tmp_path):
    rows = [LENS, LENS | {"mag_eff": 1.2}, EMPTY, LENS | {"mag_eff": "many"}]
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    read, rejected = read_all(dataset(tmp_path, bands=["EUC_VIS"]), tmp_path)
    assert [cutout.metadata.label for cutout in read] == [1, -1, 0]
    sources = [cutout.metadata.label_source for cutout in read]
    assert [is_trainable_source(source) for source in sources] == [True, False, True]
    assert len(rejected) == 1
    assert "mag_eff is 'many'" in rejected[0].reason


values = st.one_of(st.none(), st.floats(0, 1000), st.just(0.0))


@settings(max_examples=200, deadline=None)
@given(images=values, magnification=values, pixels=values, sources=st.sampled_from([None, 0, 1, 2]))
def test_a_lens_and_a_negative_always_fulfil_their_definitions(
    images, magnification, pixels, sources
):
    cells = {
        "n_source_im": images,
        "mag_eff": magnification,
        "n_pix_source": pixels,
        "n_sources": sources,
    }
    text = {key: "" if value is None else repr(value) for key, value in cells.items()}
    row = Row("here", "1", text, "")
    config = Bologna2Dataset(reader="bologna2", catalogue="c", images="i", **common("bologna2"))
    label, flags = label_of(row, config)
    big = [
        value is not None and value > least
        for value, least in ((images, 0), (magnification, 1.6), (pixels, 20))
    ]
    assert (label == 1) == all(big)
    if label == 0:
        assert sources == 0
        assert not images
        assert not pixels
    assert len(flags) == (big.count(False) if label == -1 else 0)


def test_rows_that_cannot_be_used_are_rejected_by_line_and_the_others_read(tmp_path):
    rows = [LENS, EMPTY, LENS | {"mag_eff": "many"}, LENS]
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    path = tmp_path / "catalogue.csv"
    text = path.read_text()
    lines = text.splitlines()
    lines[-1] = lines[-1].replace("200003", "200000")
    lines.append("4,200004,1,2")
    path.write_text("\n".join(lines) + "\n")
    cutouts, rejected = read_all(dataset(tmp_path, bands=["EUC_VIS"]), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200000", "set-200001"]
    reasons = [r.reason for r in rejected]
    assert "line 32, ID 200002: mag_eff is 'many'" in reasons[0]
    assert "this ID stands in line 30 too" in reasons[1]
    assert "4 values for 27 columns" in reasons[2]


def test_a_missing_file_of_a_listed_band_is_a_rejection_that_names_it(tmp_path):
    sample = challenge(tmp_path, [LENS, EMPTY])
    (tmp_path / "Public/EUC_Y/imageEUC_Y-200000.fits").unlink()
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200001"]
    assert "imageEUC_Y-200000.fits" in rejected[0].reason
    fewer = dataset(tmp_path, bands=["EUC_VIS", "EUC_J"])
    assert len(read_all(fewer, tmp_path)[0]) == 2


@pytest.mark.parametrize("damage", ["truncated", "shape", "nan"])
def test_a_broken_file_costs_its_object_and_no_other(tmp_path, damage):
    sample = challenge(tmp_path, [LENS, EMPTY])
    broken = tmp_path / "Public/EUC_H/imageEUC_H-200000.fits"
    if damage == "truncated":
        truncate(broken)
    else:
        shape = (200, 200) if damage == "shape" else (66, 66)
        fits.writeto(broken, np.full(shape, np.nan, np.float32), overwrite=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200001"]
    assert "imageEUC_H-200000.fits" in rejected[0].reason


def test_only_present_takes_the_rows_that_have_images(tmp_path):
    rows = [{"ID": 200000 + k, **LENS} for k in range(4)]
    challenge(tmp_path, [LENS, LENS], bands=("EUC_VIS",))
    (tmp_path / "catalogue.csv").write_text(catalogue_text(rows))
    every = dataset(tmp_path, bands=["EUC_VIS"])
    assert len(read_all(every, tmp_path)[1]) == 2
    sample = dataset(tmp_path, bands=["EUC_VIS"], only_present=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (2, 0)


def test_another_layout_is_named_by_the_pattern(tmp_path):
    challenge(tmp_path, [LENS], bands=("EUC_VIS",))
    (tmp_path / "Public/EUC_VIS/imageEUC_VIS-200000.fits").rename(tmp_path / "Public/v200000.fits")
    (tmp_path / "catalogue.csv").write_text(catalogue_text([{"ID": "200000.0", **LENS}]))
    with pytest.raises(ValidationError, match="pattern"):
        dataset(tmp_path, pattern="v{id}.fits")
    (tmp_path / "Public/EUC_VIS.d").mkdir()
    (tmp_path / "Public/v200000.fits").rename(tmp_path / "Public/EUC_VIS.d/200000.fits")
    sample = dataset(tmp_path, bands=["EUC_VIS"], pattern="{band}.d/{id}.fits", only_present=True)
    assert read_all(sample, tmp_path)[0][0].metadata.sample_id == "set-200000"


def test_a_table_that_is_not_the_catalogue_is_an_error_that_names_the_column(tmp_path):
    sample = challenge(tmp_path, [LENS])
    header = [name for name in HEADER if name != "mag_eff"]
    (tmp_path / "catalogue.csv").write_text(catalogue_text([{"ID": 200000, **LENS}], header))
    with pytest.raises(ValueError, match=r"catalogue\.csv: no column mag_eff"):
        read_all(sample, tmp_path)


def test_a_chunk_reads_the_same_objects_as_the_whole(tmp_path):
    challenge(tmp_path, [LENS, EMPTY] * 2, bands=("EUC_VIS",))
    sample = dataset(tmp_path, bands=["EUC_VIS"])
    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    part = list(reader_of(sample).read("set", sample, 1, 3, manifest))
    whole, _ = read_all(sample, tmp_path)
    assert [str(c.metadata) for c in part] == [str(c.metadata) for c in whole[1:3]]


def prepared(sample, folder):
    """Paths of the records (pixels, metadata) and of the rejections of a data set."""
    manifest, paths = folder / "manifest.csv", [str(folder / f"r{e}") for e in (".h5", ".parquet")]
    raw_manifest(raw_files(sample), folder / "hashes.json").write(manifest)
    write_records(
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


@pytest.mark.slow
def test_the_variance_of_box_sums_is_that_of_the_record(tmp_path):
    """Pure noise through write_records: var(sum of a box) = noise_corr * sum(variance)."""
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


@pytest.mark.slow
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


@pytest.mark.slow
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
