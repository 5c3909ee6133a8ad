"""A survey team's own field: any weights, compressed images, catalogues with their own columns."""

import math
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from field_samples import SCALE, SHAPE, catalogue, field, image
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import noise_image, read_all, tan_header, truncate

from lenshunt.config import FieldDataset
from lenshunt.core import raw_manifest
from lenshunt.readers import raw_files, reader_of, star_field
from lenshunt.readers.field_images import values_at


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits"])
@pytest.mark.parametrize("on_sky", [True, False])
def test_objects_are_cut_out_where_the_catalogue_says(tmp_path, kind, on_sky):
    sample = field(tmp_path, catalogue=catalogue(tmp_path, kind))
    if on_sky:
        pixels = read_all(sample, tmp_path)[0]
        rows = [(c.metadata.ra, c.metadata.dec, f"gal {k}") for k, c in enumerate(pixels)]
        (tmp_path / f"objects.{kind}").unlink()
        names = ("ALPHA_J2000", "DELTA_J2000", "OBJ")
        path = catalogue(tmp_path, kind, rows, names)
        columns = dict(zip(("ra", "dec", "name"), names, strict=True))
        sample = sample.model_copy(update={"catalogue": path, "columns": columns})
    cutouts, rejected = read_all(sample, tmp_path)
    assert not rejected
    assert len(cutouts) == 3
    first = cutouts[0].metadata
    assert first.sample_id == ("set-gal 0" if on_sky else "set-2" if kind == "csv" else "set-1")
    # the blob of the image lies in its middle, as does the first object
    peak = np.unravel_index(cutouts[0].image[2].argmax(), (32, 32))
    assert max(abs(peak[0] - 15.5), abs(peak[1] - 15.5)) <= 1.5
    assert first.ra == pytest.approx(150.0, abs=1e-6)
    assert first.pixel_scale == pytest.approx(SCALE)
    assert first.bands == ("g", "", "i", "", "")
    # zero point 27 of HSC
    njy = 10 ** (0.4 * (31.4 - 27.0))
    assert cutouts[0].image[0].max() == pytest.approx(noise_image(SHAPE, 0).max() * njy, rel=1e-5)
    assert first.label == -1
    if not on_sky:
        assert [c.metadata.z_phot for c in cutouts] == [0.4, 0.6, -1.0]
    assert "partly_outside" in cutouts[2].metadata.flags


def test_a_search_entry_of_the_config_is_read_as_it_stands(tmp_path):
    """The example of a survey team: weights as rms maps, PSFs, magnitudes, and a scan."""
    for name in "gi":
        fits.writeto(tmp_path / f"{name}_rms.fits", np.full(SHAPE, 2.0, np.float32))
        fits.writeto(tmp_path / f"{name}_psf.fits", noise_image((21, 21), peak=1e4).clip(0))
    entry = {
        "reader": "field",
        "role": "search",
        "survey": "hsc",
        "grids": ["ground"],
        "images": {name: image(tmp_path, name) for name in "gi"},
        "weights": {name: str(tmp_path / f"{name}_rms.fits") for name in "gi"},
        "weight_kind": "rms",
        "psfs": {name: str(tmp_path / f"{name}_psf.fits") for name in "gi"},
        "catalogue": catalogue(tmp_path, names=("X_IMAGE", "Y_IMAGE", "MAG_I", "ZBEST")),
        "columns": {"x": "X_IMAGE", "y": "Y_IMAGE", "z_phot": "ZBEST"},
        "magnitudes": {"i": "MAG_I"},
        "size_px": 64,
        "magnitude_max": 21.0,
        "scan_step_arcsec": 10.0,
    }
    dataset = FieldDataset.model_validate(entry)
    cutouts, rejected = read_all(dataset, tmp_path, "mine")
    assert not rejected
    # one object is bright enough; the scan has 180 / 59.5 x 200 / 59.5 positions
    assert [c.metadata.sample_id for c in cutouts] == [
        "mine-2", *(f"mine-grid-{j}-{i}" for j in range(3) for i in range(3))
    ]  # fmt: skip
    bright = cutouts[0]
    assert bright.metadata.magnitude[2] == 20.0
    assert math.isnan(bright.metadata.magnitude[0])
    assert bright.metadata.psf_source == "shipped"
    assert bright.psf.shape == (5, 21, 21)
    njy = 10 ** (0.4 * (31.4 - 27.0))
    np.testing.assert_allclose(bright.variance[2], (2.0 * njy) ** 2, rtol=1e-5)
    files = raw_files(dataset)
    assert len(files) == 7


@pytest.mark.parametrize(
    ("kind", "good", "empty"),
    [
        ("inverse_variance", 0.25, 0.0),
        ("variance", 4.0, 0.0),
        ("rms", 2.0, math.nan),
        ("rms", 2.0, -1.0),
    ],
)
def test_all_kinds_of_weights_give_the_same_variance(tmp_path, kind, good, empty):
    weights = np.full(SHAPE, good, np.float32)
    weights[:, :100] = empty
    path = image(tmp_path, "i")
    extension = {"inverse_variance": "WHT", "variance": "VAR", "rms": "ERR"}[kind]
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.ImageHDU(weights, name=extension))
    sample = field(tmp_path, images={"i": path}, weights={"i": path}, weight_kind=kind)
    cutouts, _ = read_all(sample, tmp_path)
    # the second object lies where there is no data
    assert [c.metadata.raw_index for c in cutouts] == [0, 1]
    njy = 10 ** (0.4 * (31.4 - 27.0))
    # 0-based 99.5: the cutout is columns 84 to 115
    assert np.isposinf(cutouts[0].variance[2][:, :16]).all()
    np.testing.assert_allclose(cutouts[0].variance[2][:, 16:], 4.0 * njy**2, rtol=1e-5)


def test_weights_in_the_image_file_need_the_name_of_their_kind(tmp_path):
    path = image(tmp_path, "i")
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.ones(SHAPE, np.float32), name="WHT"))
    sample = field(tmp_path, images={"i": path}, weights={"i": path}, weight_kind="rms")
    assert "an extension named ERR or RMS or SIGMA" in read_all(sample, tmp_path)[1][0].reason


def test_compressed_and_scaled_images_give_the_same_pixels_as_plain_ones(tmp_path):
    plain = field(tmp_path, images={"i": image(tmp_path, "i")})
    tiled = image(tmp_path, "tiled", compress=True)
    whole = tmp_path / "scaled.fits"
    hdu = fits.PrimaryHDU(noise_image(SHAPE), tan_header(SHAPE, SCALE))
    hdu.scale("int32", bscale=1e-4, bzero=3.0)
    hdu.writeto(whole)
    with fits.open(whole) as hdus:
        assert "BZERO" in hdus[0].header
    zipped = tmp_path / "i.fits.gz"
    fits.writeto(zipped, noise_image(SHAPE), tan_header(SHAPE, SCALE))
    expected = read_all(plain, tmp_path)[0]
    njy = 10 ** (0.4 * (31.4 - 27.0))
    for path, tolerance in ((tiled, 0.05), (str(whole), 1e-3), (str(zipped), 1e-6)):
        cutouts, rejected = read_all(plain.model_copy(update={"images": {"i": path}}), tmp_path)
        assert not rejected
        assert len(cutouts) == len(expected)
        for one, other in zip(cutouts, expected, strict=True):
            # zeros of quantised noise are data
            assert (np.isinf(one.variance) == np.isinf(other.variance)).all()
            np.testing.assert_allclose(one.image, other.image, atol=tolerance * njy)


def test_unsigned_integers_are_read_as_images_weights_and_psfs(tmp_path):
    counts = (noise_image(SHAPE) + 100.0).astype(np.uint16)
    fits.writeto(tmp_path / "i.fits", counts, tan_header(SHAPE, SCALE))
    fits.writeto(tmp_path / "w.fits", np.full(SHAPE, 4, np.uint16))
    fits.writeto(tmp_path / "p.fits", noise_image((21, 21), peak=1e4).clip(0).astype(np.uint16))
    paths = [{"i": str(tmp_path / f"{name}.fits")} for name in "iwp"]
    sample = field(tmp_path, images=paths[0], weights=paths[1], psfs=paths[2])
    cutouts, rejected = read_all(sample, tmp_path)
    assert not rejected
    njy = 10 ** (0.4 * (31.4 - 27.0))
    # 1-based 100.5, 90.5: columns 84 to 115, rows 74 to 105
    expected = counts[74:106, 84:116] * njy
    np.testing.assert_allclose(cutouts[0].image[2], expected, rtol=1e-6)
    np.testing.assert_allclose(cutouts[0].variance[2], 0.25 * njy**2, rtol=1e-6)


def test_patches_of_zeros_without_weights_are_no_data(tmp_path):
    path = image(tmp_path, "i")
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[:, :40] = 0.0
        hdus[0].data[90, 105] = 0.0
    cutouts, _ = read_all(field(tmp_path, images={"i": path}), tmp_path)
    # the second object lies in the zeros
    assert [c.metadata.z_phot for c in cutouts] == [0.4, -1.0]
    assert np.isnan(cutouts[0].variance[2]).all()
    assert not cutouts[0].metadata.variance_available


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (180, 201)}, r"i\.fits: shape \(180, 201\), but .*g\.fits has \(180, 200\)"),
        ({"ra": 150.001}, r"i\.fits: not on the pixel grid of .*g\.fits"),
        ({"scale": 0.2}, r"i\.fits: not on the pixel grid of .*g\.fits"),
    ],
)
def test_an_image_on_another_grid_is_refused_naming_both(tmp_path, change, message):
    images = {"g": image(tmp_path, "g"), "i": image(tmp_path, "i", **change)}
    cutouts, rejected = read_all(field(tmp_path, images=images), tmp_path)
    assert not cutouts
    assert len(rejected) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(rejected[0].reason)


def test_broken_rows_of_a_catalogue_cost_those_rows(tmp_path):
    path = tmp_path / "objects.csv"
    path.write_text(
        "# my objects\nname,RA,Dec,mag\na,150.0,2.0,20\n\nb,150.0,two,20\nc,,2.0,20\n"
        'a,150.0,2.0,20\nd,150.0,2.0\n"e, the last",150.0,2.0,\nf,150.0,92.0,20\n'
    )
    sample = field(tmp_path, catalogue=str(path))
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.system_id for c in cutouts] == ["set-a", "set-e, the last"]
    reasons = [item.reason.removeprefix(f"{path}:") for item in rejected]
    assert reasons == [
        "5: Dec is 'two', not a number",
        "6: ra nan, dec 2.0 is not a position in degrees",
        "7: name a occurred before, in line 3",
        "8: 3 values, but the header names 4 columns",
        "10: ra 150.0, dec 92.0 is not a position in degrees",
    ]
    assert [item.raw_index for item in rejected] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"columns": {"ra": "RAJ"}}, "no column 'RAJ', which `columns.ra` names"),
        ({"magnitudes": {"i": "MAG"}}, "no column 'MAG', which `magnitudes.i` names"),
        ({"columns": {"x": "magnitude"}, "magnitude_max": 20.0, "rows": ("a", "b")},
         "neither columns ra and dec nor x and y"),
        ({"role": "labelled", "label_source": "obs:lens"}, "no column 'label'"),
    ],
)  # fmt: skip
def test_missing_columns_are_named_with_their_key(tmp_path, more, message):
    names = more.pop("rows", None)
    if names:
        more = {"catalogue": catalogue(tmp_path, rows=[(1.0, 2.0)], names=names)}
    rejected = read_all(field(tmp_path, **more), tmp_path)[1]
    assert message in rejected[0].reason


def test_negatives_and_labels_carry_their_source(tmp_path):
    sample = field(tmp_path, "negatives", label_source="obs:matched")
    assert {(c.metadata.label, c.metadata.label_source) for c in read_all(sample, tmp_path)[0]} == {
        (0, "obs:matched")
    }
    rows = [(100.0, 90.0, 1), (60.0, 60.0, 0), (80.0, 80.0, -1), (81.0, 80.0, 2)]
    path = catalogue(tmp_path, "ecsv", rows, ("x", "y", "is_lens"))
    sample = sample.model_copy(
        update={"role": "labelled", "catalogue": path, "columns": {"label": "is_lens"}}
    )
    cutouts, rejected = read_all(sample, tmp_path)
    labels = [(c.metadata.label, c.metadata.label_confidence) for c in cutouts]
    assert labels == [(1, 0.99), (0, 0.99), (-1, 0.0)]
    assert "label 2.0 is none of -1, 0, 1" in rejected[0].reason


def test_images_without_a_wcs_are_cut_by_pixels_and_have_no_place_on_the_sky(tmp_path):
    fits.writeto(tmp_path / "i.fits", noise_image(SHAPE))
    sample = field(tmp_path, images={"i": str(tmp_path / "i.fits")})
    cutouts, rejected = read_all(sample, tmp_path)
    assert not rejected
    assert math.isnan(cutouts[0].metadata.ra)
    assert cutouts[0].metadata.pixel_scale == 0.168
    (tmp_path / "objects.csv").write_text("ra,dec\n150.0,2.0\n")
    assert "no celestial WCS" in read_all(sample, tmp_path)[1][0].reason


def test_positions_in_other_units_are_converted_or_refused(tmp_path):
    table = Table({"ra": [math.radians(150.0)], "dec": [math.radians(2.0)]})
    table["ra"].unit = table["dec"].unit = "rad"
    path = tmp_path / "objects.ecsv"
    table.write(path, format="ascii.ecsv")
    sample = field(tmp_path, catalogue=str(path))
    assert read_all(sample, tmp_path)[0][0].metadata.ra == pytest.approx(150.0)
    table["ra"].unit = "m"
    table.write(path, format="ascii.ecsv", overwrite=True)
    assert "column ra is in m, expected degrees" in read_all(sample, tmp_path)[1][0].reason


def test_a_truncated_image_or_a_psf_of_other_pixels_rejects_the_field(tmp_path):
    sample = field(tmp_path, images={"i": image(tmp_path, "i")})
    fits.writeto(tmp_path / "psf.fits", noise_image((21, 21), peak=1e4), tan_header((21, 21), 0.1))
    other = sample.model_copy(update={"psfs": {"i": str(tmp_path / "psf.fits")}})
    assert "PSF of 0.1 arcsec per pixel" in read_all(other, tmp_path)[1][0].reason
    assert reader_of(other).count(other) == 1
    truncate(tmp_path / "i.fits")
    cutouts, rejected = read_all(sample, tmp_path)
    assert not cutouts
    assert "i.fits" in rejected[0].reason


def test_the_field_is_offered_for_stars(tmp_path):
    sample = field(tmp_path)
    cutout = read_all(sample, tmp_path)[0][0]
    found, scale = star_field(sample, cutout.metadata.raw_file, "i")
    assert found.shape == SHAPE
    assert scale == pytest.approx(SCALE)
    assert star_field(sample, cutout.metadata.raw_file, "z") is None


def test_chunks_together_give_what_one_reading_gives(tmp_path):
    sample = field(tmp_path, scan_step_arcsec=8.0, catalogue=catalogue(tmp_path))
    whole = [c.metadata.sample_id for c in read_all(sample, tmp_path)[0]]
    reader = reader_of(sample)
    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    parts = [
        item.metadata.sample_id
        for start in range(0, reader.count(sample), 5)
        for item in reader.read("set", sample, start, start + 5, manifest)
    ]
    assert parts == whole


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=st.tuples(st.integers(1, 700), st.integers(1, 60)))
def test_values_at_positions_are_those_of_the_array(data, shape):
    pixels = np.arange(shape[0] * shape[1], dtype=float).reshape(shape)
    n = data.draw(st.integers(0, 20))
    row = np.array([data.draw(st.integers(0, shape[0] - 1)) for _ in range(n)], int)
    column = np.array([data.draw(st.integers(0, shape[1] - 1)) for _ in range(n)], int)
    np.testing.assert_array_equal(values_at(pixels, row, column), pixels[row, column])


_MEMORY = """
import resource, sys
from lenshunt.config import FieldDataset
from lenshunt.core import raw_manifest
from lenshunt.readers import raw_files, reader_of
folder = sys.argv[1]
def read(image):
    dataset = FieldDataset(
        reader="field", survey="hsc", role="search", grids=["g"], images={"i": image},
        catalogue=folder + "/objects.csv",
    )
    manifest = raw_manifest(raw_files(dataset), folder + "/hashes.json")
    return sum(1 for _ in reader_of(dataset).read("set", dataset, 0, 100, manifest))
read(folder + "/small.fits")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read(folder + "/large.fits") == 100
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_100_cutouts_of_a_large_image_take_a_fraction_of_its_memory(tmp_path):
    side = 10_000
    header = tan_header((side, side), SCALE)
    image(tmp_path, "small")
    band = np.random.default_rng(0).normal(size=(100, side)).astype(">f4")
    card = fits.PrimaryHDU(header=header).header
    card["BITPIX"], card["NAXIS"], card["NAXIS1"], card["NAXIS2"] = -32, 2, side, side
    with open(tmp_path / "large.fits", "wb") as stream:
        stream.write(card.tostring().encode())
        for _ in range(side // 100):
            stream.write(band.tobytes())
        stream.write(bytes(-(side * side * 4) % 2880))
    places = np.random.default_rng(1).uniform(50, side - 50, (100, 2))
    catalogue(tmp_path, rows=[tuple(place) for place in places], names=("x", "y"))
    command = [sys.executable, "-c", _MEMORY, str(tmp_path)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 0.2 * side * side * 4


def test_a_masked_name_is_no_name(tmp_path):
    path = catalogue(tmp_path, "ecsv", [("a", 100.0, 90.0), ("", 30.0, 150.0)], ("name", "x", "y"))
    table = Table.read(path, format="ascii.ecsv")
    table["name"] = np.ma.array(table["name"], mask=[False, True])
    table.write(path, format="ascii.ecsv", overwrite=True)
    cutouts, rejected = read_all(field(tmp_path, catalogue=path), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-a"]
    assert "the name is empty" in rejected[0].reason


def test_a_sentinel_in_place_of_a_position_leaves_the_pixels(tmp_path):
    rows = [("a", 100.5, 90.5, -99.0, -99.0), ("b", 30.0, 150.0, 150.0, 2.0)]
    path = catalogue(tmp_path, rows=rows, names=("name", "x", "y", "ra", "dec"))
    cutouts, rejected = read_all(field(tmp_path, catalogue=path), tmp_path)
    assert not rejected
    assert [c.metadata.ra for c in cutouts] == pytest.approx([150.0, 150.0], abs=1e-6)


def test_positions_that_a_distortion_cannot_place_are_not_observed(tmp_path):
    header = tan_header(SHAPE, SCALE)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"] = header["B_ORDER"] = 3
    header["A_2_0"], header["B_0_2"], header["A_3_0"], header["B_0_3"] = 2e-3, -2e-3, 1e-5, -1e-5
    fits.writeto(tmp_path / "g.fits", noise_image(SHAPE), header)
    rng = np.random.default_rng(1)
    ra, dec = 150 + rng.uniform(-0.012, 0.012, 50), 2 + rng.uniform(-0.012, 0.012, 50)
    rows = [("middle", 150.0, 2.0), *((f"o{k}", ra[k], dec[k]) for k in range(50))]
    path = catalogue(tmp_path, rows=rows, names=("name", "ra", "dec"))
    sample = field(tmp_path, images={"g": str(tmp_path / "g.fits")}, catalogue=path)
    cutouts, rejected = read_all(sample, tmp_path)
    assert not rejected
    assert cutouts[0].metadata.sample_id == "set-middle"
    assert 1 < len(cutouts) < 51


def test_an_object_without_a_label_has_no_source_of_labels(tmp_path):
    rows = [("a", 100.0, 90.0, 1), ("b", 30.0, 150.0, -1)]
    path = catalogue(tmp_path, rows=rows, names=("name", "x", "y", "label"))
    sample = field(tmp_path, "labelled", catalogue=path, label_source="obs:lens")
    labels = [
        (c.metadata.label, c.metadata.label_source, c.metadata.label_confidence)
        for c in read_all(sample, tmp_path)[0]
    ]
    assert labels == [(1, "obs:lens", 0.99), (-1, "unlabelled", 0.0)]
