"""GalaxiesML HDF5: slices, scalars of both shapes, sentinels, no lens labels."""

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_samples import common, noise_image, read_all, truncate

from lenshunt.config import GalaxiesMLDataset
from lenshunt.readers import galaxiesml

NAME = "5x64x64_{}_with_morphology.hdf5"


def galaxies(folder, n=3, split="training", first_id=100, **columns):
    """Write one file; `columns` replace scalar columns."""
    path = folder / NAME.format(split)
    with h5py.File(path, "w") as file:
        image = np.stack([[noise_image((64, 64), 5 * k + b) for b in range(5)] for k in range(n)])
        file["image"] = image
        scalars = {
            "object_id": np.arange(first_id, first_id + n),
            "ra": np.linspace(150, 151, n),
            "dec": np.full((n, 1), 2.0),
            "specz_redshift": np.full(n, 0.5),
            "specz_redshift_err": np.full(n, 0.01),
            "specz_name": np.array([b"SDSS_DR14"] * n),
            "specz_mag_i": np.full(n, 20.0),
        }
        for band in "grizy":
            scalars[f"{band}_cmodel_mag"] = np.full(n, 20.0, np.float32)
            scalars[f"{band}_sersic_index"] = np.full(n, 2.0)
            scalars[f"{band}_half_light_radius"] = np.full(n, 5.0)
            scalars[f"{band}_ellipticity"] = np.full(n, 0.25)
            scalars[f"{band}_pos_angle"] = np.full(n, 30.0)
        for key, values in {**scalars, **columns}.items():
            if values is not None:
                file[key] = values
    return path


def dataset(*paths, **more):
    return GalaxiesMLDataset(
        reader="galaxiesml",
        files=[str(p) for p in paths],
        **common("hsc", "pretrain"),
        **more,
    )


def test_galaxies_carry_no_label_and_their_official_split(tmp_path):
    paths = [galaxies(tmp_path, 2), galaxies(tmp_path, 1, "testing", 200)]
    cutouts, rejected = read_all(dataset(*paths), tmp_path)
    assert not rejected
    assert [c.metadata.official_split for c in cutouts] == ["training", "training", "testing"]
    assert {(c.metadata.label, c.metadata.label_source) for c in cutouts} == {
        (-1, "pretrain:galaxiesml")
    }
    assert [c.metadata.sample_id for c in cutouts] == ["set-100", "set-101", "set-200"]
    assert [c.metadata.raw_index for c in cutouts] == [0, 1, 0]


def test_pixels_are_scaled_from_zero_point_27_to_njy(tmp_path):
    path = galaxies(tmp_path, 1)
    cutout = read_all(dataset(path), tmp_path)[0][0]
    with h5py.File(path) as file:
        expected = file["image"][0] * 10 ** (0.4 * (31.4 - 27.0))
    np.testing.assert_allclose(cutout.image, expected, rtol=1e-6)
    assert cutout.metadata.bands == ("g", "r", "i", "z", "y")
    assert np.isnan(cutout.variance).all()


def test_photometry_redshift_and_shape_are_kept_with_units(tmp_path):
    metadata = read_all(dataset(galaxies(tmp_path, 1)), tmp_path)[0][0].metadata
    assert metadata.z_spec == 0.5
    assert metadata.z_source == "SDSS_DR14"
    assert metadata.magnitude[2] == pytest.approx(20.0)
    assert metadata.flux[2] == pytest.approx(10 ** (0.4 * 11.4))
    assert metadata.half_light_radius == pytest.approx(5 * 0.168)
    assert metadata.axis_ratio == pytest.approx(0.75)
    assert metadata.position_angle == pytest.approx(120.0)
    in_arcsec = dataset(galaxies(tmp_path, 1), half_light_radius_unit="arcsec")
    assert read_all(in_arcsec, tmp_path)[0][0].metadata.half_light_radius == 5.0


def test_a_missing_shape_in_i_is_taken_from_the_next_band_or_stays_missing(tmp_path):
    path = galaxies(
        tmp_path,
        2,
        i_half_light_radius=np.zeros(2),
        r_sersic_index=np.array([3.0, 0.0]),
        specz_redshift=np.array([-99.0, np.nan]),
        g_cmodel_mag=np.array([-99.0, np.inf]),
    )
    first, second = (c.metadata for c in read_all(dataset(path), tmp_path)[0])
    assert first.sersic_index == 3.0
    assert math.isnan(second.sersic_index)
    assert (first.z_spec, second.z_spec) == (-1.0, -1.0)
    assert math.isnan(first.magnitude[0])
    assert math.isnan(second.flux[0])


def test_scalars_stored_as_columns_of_one_are_the_same(tmp_path):
    flat = read_all(dataset(galaxies(tmp_path, 3)), tmp_path)[0]
    path = galaxies(
        tmp_path, 3, object_id=np.arange(100, 103)[:, None], specz_redshift=np.full((3, 1), 0.5)
    )
    columns = read_all(dataset(path), tmp_path)[0]
    assert [c.metadata.sample_id for c in flat] == [c.metadata.sample_id for c in columns]
    assert [c.metadata.z_spec for c in flat] == [c.metadata.z_spec for c in columns]


def test_a_column_that_a_release_lacks_is_missing_data(tmp_path):
    path = galaxies(tmp_path, 1, specz_redshift=None, i_ellipticity=None)
    metadata = read_all(dataset(path), tmp_path)[0][0].metadata
    assert metadata.z_spec == -1.0
    assert math.isnan(metadata.axis_ratio)


def test_a_file_without_positions_is_refused_by_name(tmp_path):
    cutouts, rejected = read_all(dataset(galaxies(tmp_path, 2, dec=None)), tmp_path)
    assert not cutouts
    assert "no data set 'dec'" in rejected[0].reason


def test_a_damaged_galaxy_costs_only_itself(tmp_path):
    path = galaxies(tmp_path, 3)
    with h5py.File(path, "a") as file:
        file["image"][1] = np.nan
        file["image"][2, 0, :3] = np.nan
    cutouts, rejected = read_all(dataset(path), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-100", "set-102"]
    assert "no usable pixel" in rejected[0].reason
    assert np.isposinf(cutouts[1].variance[0]).sum() == 3 * 64


def test_a_file_that_cannot_be_read_counts_as_one_rejected_object(tmp_path):
    good, bad = galaxies(tmp_path, 2), galaxies(tmp_path, 2, "testing", 200)
    truncate(bad)
    cutouts, rejected = read_all(dataset(bad, good), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-100", "set-101"]
    assert [r.raw_file for r in rejected] == [str(bad)]


QUICK = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def large(folder, n=2, first_id=100, side=127):
    """A file of the release with larger images."""
    path = folder / f"5x{side}x{side}_training_with_morphology.hdf5"
    with h5py.File(path, "w") as file:
        file["image"] = np.stack([[noise_image((side, side), b) for b in range(5)]] * n)
        file["object_id"] = np.arange(first_id, first_id + n)[:, None]
        file["ra"], file["dec"] = np.linspace(150, 151, n), np.full(n, 2.0)
    return path


def small(folder, n, chunks=None, **columns):
    """A file of tiny images, to be read often."""
    path = Path(folder) / "5x64x64_validation_with_morphology.hdf5"
    with h5py.File(path, "w") as file:
        image = np.random.default_rng(n).normal(size=(n, 5, 16, 16)).astype(np.float32)
        file.create_dataset("image", data=image, chunks=chunks)
        scalars = {"object_id": np.arange(n), "ra": np.full(n, 150.0), "dec": np.full(n, 2.0)}
        for key, values in {**scalars, **columns}.items():
            file[key] = values
    return path


def test_one_galaxy_in_both_releases_is_two_samples_of_one_system(tmp_path):
    read, rejected = read_all(dataset(galaxies(tmp_path, 2), large(tmp_path)), tmp_path)
    assert not rejected
    assert [one.metadata.sample_id for one in read] == [
        "set-100", "set-101", "set-100-127px", "set-101-127px",
    ]  # fmt: skip
    assert [one.metadata.system_id for one in read] == ["hsc-100", "hsc-101"] * 2
    assert [one.image.shape[1:] for one in read] == [(64, 64)] * 2 + [(127, 127)] * 2
    assert {one.metadata.pixel_scale for one in read} == {0.168}
    assert [one.metadata.raw_index for one in read] == [0, 1, 0, 1]


def test_names_do_not_depend_on_the_other_files_of_the_data_set(tmp_path):
    read = read_all(dataset(large(tmp_path)), tmp_path)[0]
    assert [one.metadata.sample_id for one in read] == ["set-100-127px", "set-101-127px"]


def test_a_galaxy_twice_in_one_size_is_rejected_the_second_time(tmp_path):
    paths = [galaxies(tmp_path, 2), galaxies(tmp_path, 2, "testing", 101)]
    read, rejected = read_all(dataset(*paths), tmp_path)
    assert [one.metadata.sample_id for one in read] == ["set-100", "set-101", "set-102"]
    assert [(one.raw_file, one.raw_index) for one in rejected] == [(str(paths[1]), 0)]
    assert "object_id 101 came before" in rejected[0].reason


@QUICK
@given(
    ids=st.sampled_from(["int64", "int32", "uint64", "bytes", "text"]),
    floats=st.sampled_from(["float32", "float64", "int16"]),
    column=st.booleans(),
    lacking=st.sets(st.sampled_from(["specz_name", "specz_redshift", "r_pos_angle"])),
    redshift=st.sampled_from([0.0, 0.5, -99.0, math.nan, math.inf]),
)
def test_every_dtype_and_shape_of_a_column_reads_the_same(
    tmp_path, ids, floats, column, lacking, redshift
):
    numbers = 43158034708430000 + np.arange(3)
    if ids in ("int32",):
        numbers = 1000 + np.arange(3)
    stored = {
        "bytes": np.array([str(k).encode() for k in numbers]),
        "text": np.array([str(k) for k in numbers], dtype=h5py.string_dtype()),
    }.get(ids)
    stored = numbers.astype(ids) if stored is None else stored
    columns = {
        "object_id": stored,
        "specz_redshift": np.full(3, redshift),
        "specz_name": np.array([b"SDSS  "] * 3),
        "r_half_light_radius": np.full(3, 4).astype(floats),
        "r_sersic_index": np.full(3, 2).astype(floats),
        "r_pos_angle": np.full(3, 30).astype(floats),
    }
    columns = {key: values for key, values in columns.items() if key not in lacking}
    path = small(tmp_path, 3, **{k: v[:, None] if column else v for k, v in columns.items()})
    read, rejected = read_all(dataset(path), tmp_path)
    assert not rejected
    assert [one.metadata.system_id for one in read] == [f"hsc-{k}" for k in numbers]
    metadata = read[2].metadata
    known = "specz_redshift" not in lacking and math.isfinite(redshift) and redshift >= 0
    assert metadata.z_spec == (redshift if known else -1.0)
    assert metadata.z_source == ("SDSS" if known and "specz_name" not in lacking else "")
    assert metadata.half_light_radius == pytest.approx(4 * 0.168)
    assert metadata.sersic_index == 2.0
    assert math.isnan(metadata.position_angle) == ("r_pos_angle" in lacking)


@QUICK
@given(
    value=st.sampled_from([0.0, -99.0, -999.0, math.nan, math.inf, 99.0]),
    key=st.sampled_from(["sersic_index", "ellipticity", "pos_angle", "half_light_radius"]),
)
def test_sentinels_are_missing_values_and_never_numbers(tmp_path, value, key):
    good = {"sersic_index": 2.0, "ellipticity": 0.25, "pos_angle": 30.0, "half_light_radius": 5.0}
    columns = {f"i_{name}": np.array([one]) for name, one in {**good, key: value}.items()}
    metadata = read_all(dataset(small(tmp_path, 1, **columns)), tmp_path)[0][0].metadata
    fields = {
        "sersic_index": metadata.sersic_index,
        "ellipticity": metadata.axis_ratio,
        "pos_angle": metadata.position_angle,
        "half_light_radius": metadata.half_light_radius,
    }
    # a Sersic index or radius of 99 is odd, but a number
    odd = value == 99.0 and key in ("sersic_index", "half_light_radius")
    assert math.isnan(fields.pop(key)) != odd
    if key != "half_light_radius":
        assert all(math.isfinite(one) for one in fields.values())


@pytest.mark.parametrize("ra", [math.nan, -99.0, 999.0])
def test_a_galaxy_without_a_position_costs_only_itself(tmp_path, ra):
    path = galaxies(tmp_path, 2, ra=np.array([150.0, ra]))
    read, rejected = read_all(dataset(path), tmp_path)
    assert len(read) == 1
    assert "no position on the sky" in rejected[0].reason


def test_an_object_id_that_floats_have_rounded_is_refused(tmp_path):
    path = galaxies(tmp_path, 2, object_id=np.array([43158034708430001.0, 43158034708430002.0]))
    read, rejected = read_all(dataset(path), tmp_path)
    assert not read
    assert "object_id is float64" in rejected[0].reason


def test_a_column_of_another_length_is_refused_by_name(tmp_path):
    path = galaxies(tmp_path, 3, r_sersic_index=np.ones(2))
    _, rejected = read_all(dataset(path), tmp_path)
    assert "r_sersic_index has shape (2,)" in rejected[0].reason


@QUICK
@given(
    n=st.integers(1, 24),
    chunk=st.integers(1, 24),
    piece=st.integers(1, 24),
    slice_size=st.integers(1, 24),
)
def test_pieces_across_chunk_boundaries_equal_the_whole(
    tmp_path, monkeypatch, n, chunk, piece, slice_size
):
    monkeypatch.setattr(galaxiesml, "_SLICE", slice_size)
    path = small(tmp_path, n, chunks=(min(chunk, n), 5, 16, 16))
    sample = dataset(path)
    from lenshunt.core import raw_manifest

    manifest = raw_manifest([path], tmp_path / "hashes.json")
    with h5py.File(path) as file:
        expected = file["image"][:] * 10 ** (0.4 * (31.4 - 27.0))
    read = [
        cutout
        for start in range(0, n, piece)
        for cutout in galaxiesml.read("set", sample, start, min(start + piece, n), manifest)
    ]
    assert [one.metadata.raw_index for one in read] == list(range(n))
    np.testing.assert_allclose([one.image for one in read], expected, rtol=1e-6)
