"""GalaxiesML HDF5: slices, scalars of both shapes, sentinels, no lens labels."""

import math

import h5py
import numpy as np
import pytest
from raw_samples import common, noise_image, read_all, truncate

from lenshunt.config import GalaxiesMLDataset

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
