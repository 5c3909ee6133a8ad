"""HSC stamps: variance, mask bits and PSFs of the real files."""

import numpy as np
import pytest
from raw_samples import common, read_all, truncate

from lenshunt.config import StampsDataset
from lenshunt.core.moffat import moffat_psf
from lenshunt.readers.crop import crop


def stamps(pattern, **more):
    return StampsDataset(reader="stamps", images=[str(pattern)], **common("hsc", "search"), **more)


@pytest.mark.real
def test_all_real_stamps_are_read_with_variance_and_psf(real_data, tmp_path):
    cutouts, rejected = read_all(stamps(real_data / "hsc_stamps/*.npz", size_px=64), tmp_path)
    assert (len(cutouts), len(rejected)) == (27, 0)
    for cutout in cutouts:
        assert cutout.image.shape == (5, 64, 64)
        assert cutout.metadata.variance_available
        assert cutout.psf.shape[1] == cutout.psf.shape[2] == 43
        assert cutout.metadata.label_source == "unlabelled"


@pytest.mark.real
def test_the_real_variance_agrees_with_the_pixel_scatter(real_data, tmp_path):
    # coadd noise is correlated by warping, so pixels scatter a little less than the variance says
    ratios = []
    for cutout in read_all(stamps(real_data / "hsc_stamps/*.npz"), tmp_path)[0]:
        image, variance = cutout.image[0], cutout.variance[0]
        difference = np.diff(image, axis=0)[:, ::2] / np.sqrt(2 * variance[1:, ::2])
        ratios.append(1.4826 * np.median(np.abs(difference[np.isfinite(difference)])))
    assert 0.5 < np.median(ratios) < 1.1


def write_stamp(path, mask_value=0, shape=(70, 66)):
    mask = np.zeros((5, *shape), np.int32)
    mask[1, 30, 40] = mask_value
    np.savez(
        path,
        images=np.ones((5, *shape), np.float32),
        variance=np.ones((5, *shape), np.float32),
        mask=mask,
        psfs=np.stack([moffat_psf(4.0, 3.0, 1.0, size_px=43)[1:-1]] * 5),
    )


@pytest.mark.parametrize(
    ("bit", "unusable"), [(0, 1), (1, 1), (2, 0), (3, 0), (4, 1), (5, 0), (8, 1), (12, 0)]
)
def test_only_bad_saturated_edge_and_empty_pixels_are_unusable(tmp_path, bit, unusable):
    write_stamp(tmp_path / "s.npz", 1 << bit)
    cutout = read_all(stamps(tmp_path / "s.npz"), tmp_path)[0][0]
    assert np.isposinf(cutout.variance).sum(axis=(1, 2)).tolist() == [0, unusable, 0, 0, 0]


def test_the_central_cutout_follows_the_mask_and_marks_what_lies_outside(tmp_path):
    write_stamp(tmp_path / "s.npz", 1)
    cutout = read_all(stamps(tmp_path / "s.npz", size_px=68), tmp_path)[0][0]
    assert cutout.image.shape == (5, 68, 68)
    assert np.isposinf(cutout.variance[0]).sum() == 2 * 68
    assert np.isposinf(cutout.variance[1]).sum() == 2 * 68 + 1


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize("place", [(41.5, 42.5), (40.0, 43.0), (45.3, 46.8)])
def test_a_crop_has_its_middle_within_half_a_pixel_of_the_place(side, place):
    y, x = np.mgrid[:90, :90].astype(float)
    for axis, coordinate in ((0, x), (1, y)):
        cut = crop(coordinate, *place, side)[0]
        assert abs(cut.mean() - place[axis]) <= 0.5


def test_a_truncated_stamp_costs_only_itself(tmp_path):
    write_stamp(tmp_path / "a.npz")
    write_stamp(tmp_path / "b.npz")
    truncate(tmp_path / "a.npz")
    cutouts, rejected = read_all(stamps(tmp_path / "*.npz"), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-b"]
    assert "a.npz" in rejected[0].reason
