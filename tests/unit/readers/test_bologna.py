"""Lens Finding Challenge 1: official files, labels, masks and broken files."""

import csv
import math

import numpy as np
import pytest
from astropy.io import fits
from raw_samples import common, read_all, truncate

from lenshunt.config import BolognaDataset
from lenshunt.readers import raw_files, reader_of

#: Official folder and file name of each band.
BANDS = {
    "ground": (
        ("Band1", "SDSS_R"),
        ("Band2", "SDSS_I"),
        ("Band3", "SDSS_G"),
        ("Band4", "SDSS_U"),
    ),
    "space": (("Band1", "EUC_VIS"),),
}
HEADER = "ID,is_lens,Einstein_area,numb_pix_lensed_image,flux_lensed_image_in_sigma"
SIGMA = 3e-12


def challenge(folder, rows, header=HEADER, variant="ground", masked=0):
    """Write a label table and its images; `masked` pixels of the first image are 100."""
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    rng = np.random.default_rng(1)
    for row in rows:
        for band_folder, stem in BANDS[variant]:
            image = rng.normal(0, SIGMA, (101, 101)).astype(np.float32)
            image[46:55, 46:55] += 20 * SIGMA
            image.flat[:masked] = 100.0
            (folder / "Public" / band_folder).mkdir(parents=True, exist_ok=True)
            name = f"image{stem}-{row.split(',')[0]}.fits"
            fits.writeto(folder / "Public" / band_folder / name, image)
    return dataset(folder, variant)


def dataset(folder, variant="ground", **more):
    return BolognaDataset(
        reader="bologna",
        labels=str(folder / more.pop("labels", "labels.csv")),
        images=str(folder / "Public"),
        variant=variant,
        **common(f"bologna_{variant}"),
        **more,
    )


@pytest.mark.real
@pytest.mark.parametrize(("variant", "n"), [("ground", 6), ("space", 8)])
def test_official_sample_images_are_read_with_the_labels_of_the_table(
    real_data, tmp_path, variant, n
):
    folder = real_data / "bologna1" / variant
    sample = dataset(folder, variant, labels="classifications.csv", only_present=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (n, 0)
    with open(folder / "classifications.csv") as stream:
        table = {row["ID"]: row for row in csv.DictReader(stream)}
    for cutout in cutouts:
        row = table[cutout.metadata.sample_id.removeprefix("set-")]
        assert cutout.metadata.label == int(row["is_lens"])
        assert cutout.image.shape == (5, 101, 101)
        if cutout.metadata.label:
            theta = math.sqrt(float(row["Einstein_area"]) / math.pi) * 206264.806
            assert cutout.metadata.einstein_radius == pytest.approx(theta)
            assert 0 < cutout.metadata.flux_ratio <= 1
        else:
            assert math.isnan(cutout.metadata.einstein_radius)
            assert math.isnan(cutout.metadata.flux_ratio)


@pytest.mark.real
def test_ground_bands_take_their_slots_and_u_stands_back_where_there_is_g(real_data, tmp_path):
    sample = dataset(
        real_data / "bologna1" / "ground", labels="classifications.csv", only_present=True
    )
    cutout = read_all(sample, tmp_path)[0][0]
    assert cutout.metadata.bands == ("SDSS_G", "SDSS_R", "SDSS_I", "", "")
    assert "unused:SDSS_U" in cutout.metadata.flags
    band1 = real_data / "bologna1/ground/Public/Band1/imageSDSS_R-100002.fits"
    np.testing.assert_allclose(cutout.image[1], fits.getdata(band1) * 3.631e12, rtol=1e-3)


@pytest.mark.real
def test_the_sky_noise_in_njy_is_that_of_the_surveys_imitated(real_data, tmp_path):
    # 5 sigma in a 2 arcsec aperture: KiDS i about 23.7 mag, Euclid VIS about 25 mag
    for variant, low, high in (("ground", 22.7, 24.7), ("space", 24.0, 26.5)):
        folder = real_data / "bologna1" / variant
        sample = dataset(folder, variant, labels="classifications.csv", only_present=True)
        cutout = read_all(sample, tmp_path)[0][0]
        border = cutout.image[2, :20]
        sigma = 1.4826 * np.median(np.abs(border - np.median(border)))
        pixels = math.pi / cutout.metadata.pixel_scale**2
        depth = 31.4 - 2.5 * math.log10(5 * sigma * math.sqrt(pixels))
        assert low < depth < high


def test_masked_pixels_become_unusable_and_others_do_not(tmp_path):
    sample = challenge(tmp_path, ["100,1,2e-10,90,500"], masked=7)
    cutout = read_all(sample, tmp_path)[0][0]
    assert [np.isposinf(v).sum() for v in cutout.variance[:3]] == [7, 7, 7]
    assert (cutout.image[:3][np.isposinf(cutout.variance[:3])] == 0).all()
    assert np.isnan(cutout.variance[:3]).sum() == 3 * (101 * 101 - 7)
    assert not cutout.metadata.variance_available


def test_flux_ratio_is_lensed_flux_over_the_aperture_flux(tmp_path):
    sample = challenge(tmp_path, ["100,1,2e-10,90,81"])
    metadata = read_all(sample, tmp_path)[0][0].metadata
    # blob of 9 x 9 pixels at 20 sigma, all but its corners inside 3 arcsec diameter
    y, x = np.mgrid[:101, :101]
    inside = (np.hypot(y - 50, x - 50) <= 7.5)[46:55, 46:55].sum()
    assert metadata.flux_ratio == pytest.approx(81 / (20 * inside), rel=0.06)
    assert metadata.arc_snr == pytest.approx(81 / math.sqrt(90))


def test_lenses_without_a_lensed_pixel_are_kept_and_flagged(tmp_path):
    sample = challenge(tmp_path, ["100,1,4.7e-11,0,0", "101,0,4.7e-11,0,0"])
    lens, other = read_all(sample, tmp_path)[0]
    assert "undetectable" in lens.metadata.flags.split(";")
    assert lens.metadata.flux_ratio == 0
    assert "undetectable" not in other.metadata.flags


def test_quoted_headers_and_another_column_order_are_read(tmp_path):
    names = HEADER.split(",")
    quoted = ",".join(f'"{name}"' for name in names)
    sample = challenge(tmp_path, ["100,1,2e-10,90,81"], header=quoted, variant="space")
    assert read_all(sample, tmp_path)[0][0].metadata.label == 1


def test_a_score_in_place_of_a_label_is_never_cut_to_one(tmp_path):
    sample = challenge(tmp_path, ["100,0.7,2e-10,90,81", "101,1,2e-10,90,81"])
    read, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in read] == ["set-101"]
    assert "ID 100: is_lens is '0.7', not 0 or 1" in rejected[0].reason


def test_a_label_table_without_its_columns_is_an_error_that_names_the_column(tmp_path):
    sample = challenge(tmp_path, ["100,1,2e-10,90,81"], header=HEADER.replace("is_lens", "class"))
    with pytest.raises(ValueError, match=r"labels\.csv: no column is_lens"):
        read_all(sample, tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "missing", "shape", "nan"])
def test_a_broken_file_costs_its_object_and_no_other(tmp_path, damage):
    rows = ["100,1,2e-10,90,81", "101,0,2e-10,90,81"]
    sample = challenge(tmp_path, rows)
    broken = tmp_path / "Public/Band2/imageSDSS_I-100.fits"
    if damage == "truncated":
        truncate(broken)
    elif damage == "missing":
        broken.unlink()
    else:
        shape = (50, 50) if damage == "shape" else (101, 101)
        fits.writeto(broken, np.full(shape, np.nan, np.float32), overwrite=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-101"]
    assert [r.raw_index for r in rejected] == [0]
    assert "imageSDSS_I-100.fits" in rejected[0].reason


def test_a_chunk_reads_the_same_objects_as_the_whole(tmp_path):
    sample = challenge(tmp_path, [f"{k},0,0,0,0" for k in range(100, 105)], variant="space")
    from lenshunt.core import raw_manifest

    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    part = list(reader_of(sample).read("set", sample, 2, 4, manifest))
    whole, _ = read_all(sample, tmp_path)
    assert [c.metadata for c in part] == [c.metadata for c in whole[2:4]] or str(
        [c.metadata for c in part]
    ) == str([c.metadata for c in whole[2:4]])
