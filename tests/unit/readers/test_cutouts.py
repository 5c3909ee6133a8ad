"""Plain FITS cutouts: extensions, cubes, files per band; catalogues; real DES and HSC images."""

import csv
import math
import re

import numpy as np
import pytest
from astropy.io import fits
from raw_samples import common, noise_image, read_all, tan_header, truncate

from lenshunt.config import CutoutsDataset
from lenshunt.readers import raw_files

SHAPE = (40, 40)


def cutouts(pattern, bands, survey="sdss", **more):
    role = more.pop("role", "search")
    return CutoutsDataset(
        reader="cutouts", images=[str(pattern)], bands=list(bands), **common(survey, role), **more
    )


def extensions(path, names="gri", header=None):
    hdus = [fits.PrimaryHDU()]
    hdus += [
        fits.ImageHDU(noise_image(SHAPE, k, 50 * (k + 1)), header, name=n)
        for k, n in enumerate(names)
    ]
    fits.HDUList(hdus).writeto(path)
    return path


DES = {"bands": "gri", "survey": "des", "psf_pattern": (r"DES_(\d+)", r"DES_PSF\1")}


@pytest.mark.real
def test_real_des_galaxies_lie_where_their_table_says(real_data, tmp_path):
    sample = cutouts(real_data / "des_lrg/DES_[0-9]*.fits", **DES)
    read, rejected = read_all(sample, tmp_path)
    assert (len(read), len(rejected)) == (10, 0)
    with open(real_data / "des_lrg/sim.csv") as stream:
        table = {row["lens_id"]: row for row in csv.DictReader(stream)}
    known = [c for c in read if c.metadata.sample_id.rpartition("_")[2] in table]
    assert known
    for cutout in known:
        row = table[cutout.metadata.sample_id.rpartition("_")[2]]
        # the stamps are cut to whole pixels about the galaxy
        east = (cutout.metadata.ra - float(row["lens_ra"])) * math.cos(
            math.radians(cutout.metadata.dec)
        )
        north = cutout.metadata.dec - float(row["lens_dec"])
        assert math.hypot(east, north) * 3600 < 0.6
        flux = cutout.image[2, 15:35, 15:35].sum() - 400 * np.median(cutout.image[2, :8])
        assert 31.4 - 2.5 * math.log10(flux) == pytest.approx(float(row["lens_mag_i"]), abs=0.5)
        assert cutout.metadata.pixel_scale == pytest.approx(0.263, rel=1e-4)


@pytest.mark.real
def test_real_psfs_of_different_size_are_padded_to_one(real_data, tmp_path):
    sample = cutouts(real_data / "des_lrg/DES_1774311.fits", **DES)
    psf = read_all(sample, tmp_path)[0][0].psf
    assert psf.shape == (5, 29, 29)
    np.testing.assert_allclose(psf[:3].sum(axis=(1, 2)), 1, atol=1e-5)
    assert not psf[3:].any()


@pytest.mark.real
def test_real_hsc_and_hst_images_of_one_sky_have_one_position(real_data, tmp_path):
    folder = real_data / "hsc_cosmos"
    hsc = cutouts(
        folder / "Cut_HSC.fits",
        "grizy",
        "hsc",
        layout="cube",
        psf_pattern=("Cut_HSC", "PSF_HSC"),
    )
    hst = cutouts(
        folder / "Cut_HST.fits",
        ["F814W"],
        "hst",
        layout="cube",
        zero_point_ab=25.94,
        psf_pattern=("Cut_HST", "PSF_HST"),
    )
    one, other = (read_all(sample, tmp_path)[0][0] for sample in (hsc, hst))
    assert one.metadata.ra == pytest.approx(other.metadata.ra, abs=0.1 / 3600)
    assert one.metadata.dec == pytest.approx(other.metadata.dec, abs=0.1 / 3600)
    assert other.metadata.pixel_scale == pytest.approx(0.03, rel=1e-3)
    assert one.psf.shape == (5, 31, 31)


def test_extensions_are_taken_by_name_whatever_their_order(tmp_path):
    extensions(tmp_path / "a.fits", "irg")
    cutout = read_all(cutouts(tmp_path / "*.fits", "gri"), tmp_path)[0][0]
    assert cutout.metadata.bands == ("g", "r", "i", "", "")
    peaks = cutout.image[:3].max(axis=(1, 2))
    assert peaks[0] > peaks[1] > peaks[2]
    np.testing.assert_allclose(
        cutout.image[2], fits.getdata(tmp_path / "a.fits", "i") * 10 ** (0.4 * 8.9), rtol=1e-5
    )


def test_a_file_per_band_is_grouped_by_object(tmp_path):
    for band in "gr":
        for name in ("a", "b"):
            fits.writeto(tmp_path / f"{name}_{band}.fits", noise_image(SHAPE))
    sample = cutouts(tmp_path / "*_{band}.fits", "gr", layout="files")
    read, _ = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in read] == ["set-a", "set-b"]
    assert read[0].metadata.bands == ("g", "r", "", "", "")
    (tmp_path / "b_r.fits").unlink()
    read, rejected = read_all(sample, tmp_path)
    assert len(read) == 1
    assert "no file of b in band r" in rejected[0].reason


def test_a_variance_file_gives_the_variance_and_is_no_object_itself(tmp_path):
    extensions(tmp_path / "a.fits")
    hdus = [fits.ImageHDU(np.full(SHAPE, 4.0, np.float32)) for _ in "gri"]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a_var.fits")
    sample = cutouts(tmp_path / "*.fits", "gri", variance_suffix="_var")
    read, _ = read_all(sample, tmp_path)
    assert len(read) == 1
    np.testing.assert_allclose(read[0].variance[:3], 4.0 * 10 ** (0.8 * 8.9), rtol=1e-5)
    assert len(raw_files(sample)) == 2


def catalogue(folder, text):
    (folder / "cat.csv").write_text(text)
    return str(folder / "cat.csv")


def test_a_catalogue_gives_labels_and_metadata(tmp_path):
    extensions(tmp_path / "a.fits")
    extensions(tmp_path / "001.fits")
    path = catalogue(
        tmp_path,
        "name,label,label_source,label_confidence,ra,dec,z_phot,einstein_radius,note\n"
        "a,1,obs:lens,0.9,10.5,-3,0.4,1.2,x\n001,0,obs:matched,1,11,-3,,,y\n",
    )
    sample = cutouts(tmp_path / "*.fits", "gri", catalogue=path, role="labelled")
    negative, lens = (c.metadata for c in read_all(sample, tmp_path)[0])
    assert (lens.label, lens.einstein_radius, lens.z_phot) == (1, 1.2, 0.4)
    assert (lens.ra, lens.label_source) == (10.5, "obs:lens")
    assert (negative.sample_id, negative.label, negative.z_phot) == ("set-001", 0, -1)
    assert math.isnan(negative.einstein_radius)


def test_a_label_of_the_catalogue_counts_fully_unless_it_says_otherwise(tmp_path):
    for name in ("a", "b"):
        extensions(tmp_path / f"{name}.fits")
    path = catalogue(tmp_path, "name,label,label_source\na,1,obs:lens\nb,-1,unlabelled\n")
    sample = cutouts(tmp_path / "*.fits", "gri", catalogue=path, role="labelled")
    lens, unknown = (c.metadata for c in read_all(sample, tmp_path)[0])
    assert (lens.label, lens.label_confidence) == (1, 1.0)
    assert (unknown.label, unknown.label_confidence) == (-1, 0.0)


def test_keys_are_taken_from_the_extension_before_the_primary_header(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"], primary.header["SEEING"] = "MegaCam", 0.9
    header = tan_header(SHAPE, 0.3, 20.0)
    header["SEEING"] = 1.1
    planes = [fits.ImageHDU(noise_image(SHAPE), header, name=name) for name in "gri"]
    fits.HDUList([primary, *planes]).writeto(tmp_path / "a.fits")
    metadata = read_all(cutouts(tmp_path / "*.fits", "gri"), tmp_path)[0][0].metadata
    assert (metadata.instrument, metadata.seeing) == ("MegaCam", 1.1)
    assert metadata.ra == pytest.approx(20.0)
    assert metadata.pixel_scale == pytest.approx(0.3)


def test_an_image_that_the_catalogue_lacks_is_rejected(tmp_path):
    extensions(tmp_path / "a.fits")
    sample = cutouts(tmp_path / "*.fits", "gri", catalogue=catalogue(tmp_path, "name,ra\nb,1\n"))
    assert "no row named a" in read_all(sample, tmp_path)[1][0].reason


def test_a_negative_with_an_einstein_radius_is_rejected(tmp_path):
    extensions(tmp_path / "a.fits")
    path = catalogue(tmp_path, "name,label,label_source,einstein_radius\na,0,obs:matched,1.0\n")
    sample = cutouts(tmp_path / "*.fits", "gri", catalogue=path)
    assert "NaN for label 0" in read_all(sample, tmp_path)[1][0].reason


def test_the_wcs_of_a_simulated_sky_gives_no_position(tmp_path):
    extensions(tmp_path / "a.fits", header=tan_header(SHAPE, 0.396, 10.0))
    real = cutouts(tmp_path / "*.fits", "gri")
    simulated = cutouts(tmp_path / "*.fits", "gri", label=1, label_source="sim:demo")
    assert read_all(real, tmp_path)[0][0].metadata.ra == pytest.approx(10.0)
    assert math.isnan(read_all(simulated, tmp_path)[0][0].metadata.ra)


def test_seeing_scale_and_saturation_come_from_the_header(tmp_path):
    header = tan_header(SHAPE, 0.3)
    header["SEEING"], header["SATURATE"] = 1.4, 40.0
    extensions(tmp_path / "a.fits", header=header)
    cutout = read_all(cutouts(tmp_path / "*.fits", "gri"), tmp_path)[0][0]
    assert cutout.metadata.seeing == 1.4
    assert cutout.metadata.pixel_scale == pytest.approx(0.3)
    saturated = fits.getdata(tmp_path / "a.fits", "i") >= 40
    assert (np.isposinf(cutout.variance[2]) == saturated).all()
    assert saturated.any()


@pytest.mark.parametrize("unit", ["MJy/sr", "uJy", "mJy"])
def test_flux_density_units_are_taken_from_the_header(tmp_path, unit):
    header = tan_header(SHAPE, 0.031)
    header["BUNIT"], header["PIXAR_SR"] = unit, 2.3e-14
    extensions(tmp_path / "a.fits", ["F150W"], header)
    cutout = read_all(cutouts(tmp_path / "*.fits", ["F150W"], "jwst"), tmp_path)[0][0]
    njy = {"MJy/sr": 1e15 * 2.3e-14, "uJy": 1e3, "mJy": 1e6}[unit]
    expected = fits.getdata(tmp_path / "a.fits", 1) * njy
    np.testing.assert_allclose(cutout.image[4], expected, rtol=1e-5)


def test_milli_and_mega_jansky_per_steradian_are_not_confused(tmp_path):
    header = tan_header(SHAPE, 0.031)
    header["BUNIT"], header["PIXAR_SR"] = "mJy/sr", 2.3e-14
    extensions(tmp_path / "a.fits", ["F150W"], header)
    cutouts_read, rejected = read_all(cutouts(tmp_path / "*.fits", ["F150W"], "jwst"), tmp_path)
    assert not cutouts_read
    assert "PHOTFLAM" in rejected[0].reason or "BUNIT" in rejected[0].reason


def test_a_psf_file_that_is_not_there_is_flagged(tmp_path):
    extensions(tmp_path / "a.fits")
    sample = cutouts(tmp_path / "*.fits", "gri", psf_pattern=(r"a\.fits$", "psf.fits"))
    assert "psf_missing:i" in read_all(sample, tmp_path)[0][0].metadata.flags


def test_a_psf_pattern_that_changes_nothing_is_an_error(tmp_path):
    extensions(tmp_path / "a.fits")
    sample = cutouts(tmp_path / "*.fits", "gri", psf_pattern=("b", "c"))
    with pytest.raises(ValueError, match="psf_pattern"):
        raw_files(sample)


@pytest.mark.parametrize("damage", ["truncated", "planes", "nan", "filter"])
def test_a_broken_file_costs_only_itself(tmp_path, damage):
    extensions(tmp_path / "good.fits")
    bad = tmp_path / "bad.fits"
    extensions(bad, "gr" if damage == "planes" else "gri")
    if damage == "truncated":
        truncate(bad)
    if damage == "nan":
        with fits.open(bad, mode="update") as hdus:
            for hdu in hdus[1:]:
                hdu.data[:] = np.nan
    bands = "gri" if damage != "filter" else ["g", "r", "blue"]
    read, rejected = read_all(cutouts(tmp_path / "*.fits", bands), tmp_path)
    assert len(read) == (0 if damage == "filter" else 1)
    assert any(re.search(r"bad(\.fits)?", item.reason) for item in rejected)


def test_two_filters_on_one_slot_leave_the_better_one_and_list_the_other(tmp_path):
    extensions(tmp_path / "a.fits", ["F110W", "F160W"])
    sample = cutouts(tmp_path / "*.fits", ["F110W", "F160W"], "hst", zero_point_ab=26.0)
    metadata = read_all(sample, tmp_path)[0][0].metadata
    assert metadata.bands[4] == "F160W"
    assert metadata.flags == "unused:F110W"


def test_u_takes_g_only_where_there_is_no_g(tmp_path):
    extensions(tmp_path / "a.fits", ["SDSS_U", "SDSS_R"])
    sample = cutouts(tmp_path / "*.fits", ["SDSS_U", "SDSS_R"])
    metadata = read_all(sample, tmp_path)[0][0].metadata
    assert metadata.bands[:2] == ("SDSS_U", "SDSS_R")
    assert metadata.flags == "fallback:SDSS_U"


def test_missing_files_are_named_with_the_key_of_the_error(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        raw_files(cutouts(tmp_path / "one.fits", "g"))
    assert missing.value.filename == str(tmp_path / "one.fits")
    with pytest.raises(FileNotFoundError, match="no raw file matches"):
        raw_files(cutouts(tmp_path / "*.fits", "g"))


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*_{band}.fits", {"g": "my_ring_g.fits", "r": "my_ring_r.fits"}),
        ("{band}-*.fits", {"g": "g-my_ring.fits", "r": "r-my_ring.fits"}),
        ("*_{band}_v1.fits", {"g": "my_ring_g_v1.fits", "r": "my_ring_r_v1.fits"}),
        ("{band}/*_{band}.fits", {"g": "g/my_ring_g.fits", "r": "r/my_ring_r.fits"}),
        ("*/{band}.fits", {"g": "my_ring/g.fits", "r": "my_ring/r.fits"}),
    ],
)
def test_a_name_that_holds_the_letter_of_a_band_is_one_object(tmp_path, pattern, files):
    for path in files.values():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        fits.writeto(tmp_path / path, noise_image(SHAPE))
    read, rejected = read_all(cutouts(tmp_path / pattern, "gr", layout="files"), tmp_path)
    assert not rejected
    assert len(read) == 1
    assert "my_ring" in read[0].metadata.sample_id


@pytest.mark.parametrize(
    ("pattern", "layout"),
    [("*.fits", "files"), ("*_{band}.fits", "cube"), ("{band}_{band}.fits", "files")],
)
def test_a_pattern_that_does_not_fit_the_layout_is_named(pattern, layout):
    with pytest.raises(ValueError, match=r"images: .*\{band\}"):
        cutouts(pattern, "gr", layout=layout)


@pytest.mark.parametrize("cell", ["0.7", "lens", "2"])
def test_what_is_no_label_is_never_cut_to_one(tmp_path, cell):
    extensions(tmp_path / "a.fits")
    path = catalogue(tmp_path, f"name,label,label_source\na,{cell},obs:lens\n")
    sample = cutouts(tmp_path / "*.fits", "gri", role="labelled", catalogue=path)
    with pytest.raises(ValueError, match=r"cat\.csv: a: label .* is none of -1, 0, 1"):
        read_all(sample, tmp_path)


def test_a_blank_unit_of_the_axes_is_degrees(tmp_path):
    header = tan_header(SHAPE, 0.3)
    header["CUNIT1"] = header["CUNIT2"] = fits.card.Undefined()
    extensions(tmp_path / "a.fits", header=header)
    read, _ = read_all(cutouts(tmp_path / "*.fits", "gri"), tmp_path)
    assert read[0].metadata.pixel_scale == pytest.approx(0.3)
