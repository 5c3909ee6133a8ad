"""16-bit files: faint arcs survive, boxes keep their sums, files are whole and repeatable."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lenshunt.images import CutoutFile, read_cutouts
from lenshunt.images.tiff16 import decode_image, decode_variance, encode_image, encode_variance
from lenshunt.schema import SLOTS, Metadata
from lenshunt.schema.metadata import table_from_records


def _planes(peak_snr, n=12, seed=0):
    """Noisy galaxies of peak S/N `peak_snr` per pixel, with Poisson noise of their own."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(*(np.indices((64, 64)) - 31.5))
    light = np.exp(-radius / 4)
    # With variance sky + a light, S/N at the peak is light / sqrt(sky + a light).
    signal = peak_snr**2 * light / max(peak_snr, 1)
    variance = np.broadcast_to(1.0 + signal / max(peak_snr, 1), (n, 64, 64)).astype(np.float32)
    image = signal + rng.normal(size=variance.shape) * np.sqrt(variance)
    return (image * 37.0).astype(np.float32), (variance * 37.0**2).astype(np.float32)


def _roundtrip(image, variance):
    seen = decode_variance(*encode_variance(variance))
    return decode_image(encode_image(image, seen), seen), seen


@pytest.mark.parametrize("peak_snr", [0, 5, 100, 2000])
def test_every_pixel_moves_by_less_than_half_the_allowed_step(peak_snr):
    image, variance = _planes(peak_snr)
    decoded, seen = _roundtrip(image, variance)
    assert (np.abs(decoded - image) / np.sqrt(variance)).max() <= 0.05 / 2
    np.testing.assert_allclose(seen, variance, rtol=1e-3)


@pytest.mark.parametrize("peak_snr", [0, 5, 100, 2000])
def test_the_flux_of_any_5_by_5_box_moves_by_less_than_a_tenth_of_its_sigma(peak_snr):
    image, variance = _planes(peak_snr)
    decoded, _ = _roundtrip(image, variance)

    def boxes(a):
        windows = np.lib.stride_tricks.sliding_window_view(a.astype(float), (5, 5), axis=(1, 2))
        return windows.sum(axis=(-2, -1))

    moved = np.abs(boxes(decoded) - boxes(image)) / np.sqrt(boxes(variance))
    assert moved.max() < 0.1


def test_the_worst_case_of_all_roundings_in_one_direction_stays_in_the_bound():
    variance = np.full((1, 8, 8), 4.0, np.float32)
    image = np.full((1, 8, 8), 0.4999 * 0.038 * 2, np.float32)
    image[0, 0, 0] = 0.0
    decoded, _ = _roundtrip(image, variance)
    box = (decoded - image)[0, 2:7, 2:7].sum(dtype=float)
    assert abs(box) / np.sqrt(25 * 4.0) < 0.1


def test_an_arc_of_signal_to_noise_5_is_unchanged():
    rng = np.random.default_rng(5)
    y, x = np.indices((64, 64)) - 31.5
    radius = np.hypot(y, x)
    arc = np.exp(-(((radius - 9) / 1.5) ** 2)) * (x > 0)
    arc *= 5 / np.sqrt((arc**2).sum())
    image = (arc + rng.normal(size=(40, 64, 64))).astype(np.float32)
    decoded, _ = _roundtrip(image, np.ones_like(image))
    # Matched-filter S/N of the arc before and after.
    before, after = ((a * arc).sum(axis=(1, 2)) / 5 for a in (image, decoded))
    assert np.abs(after - before).max() < 0.05


@pytest.mark.parametrize("peak", [3e3, 2e5, -2e5, 1e7])
def test_the_step_is_the_same_however_bright_a_pixel_is(peak):
    image = np.full((2, 16, 16), 1.0, np.float32)
    image[0, 7:9, 7:9] = [[peak, peak / 3], [peak / 50, -peak]]
    decoded, _ = _roundtrip(image, np.ones_like(image))
    # float32 itself holds whole steps up to S/N 640,000
    assert np.abs(decoded - image).max() <= max(0.05 / 2, 1.2e-7 * abs(peak))


@given(
    peaks=st.lists(st.floats(-3e5, 3e5), min_size=1, max_size=20),
    scale=st.floats(1e-6, 1e6),
    spread=st.floats(0, 6),
)
def test_any_image_with_any_variance_keeps_its_pixels(peaks, scale, spread):
    rng = np.random.default_rng(len(peaks))
    variance = (scale**2 * np.exp(rng.uniform(0, spread, (1, 8, 8)))).astype(np.float32)
    image = rng.normal(size=variance.shape) * np.sqrt(variance)
    image.flat[: len(peaks)] = np.array(peaks) * scale
    image = image.astype(np.float32)
    decoded, _ = _roundtrip(image, variance)
    # Beside half a step, what float32 itself cannot tell of a pixel that bright.
    rounding = 3 * np.finfo(np.float32).eps * np.abs(image)
    error = np.abs(decoded - image)
    assert (error <= (0.05 / 2) * np.sqrt(variance) + rounding).all()


@pytest.mark.parametrize("value, noise", [(np.nan, 1.0), (np.inf, 1.0), (1e3, 1e-30)])
def test_a_pixel_that_no_code_can_hold_is_refused(value, noise):
    image = np.full((1, 8, 8), value, np.float32)
    with pytest.raises(ValueError, match="not finite, or its variance is far too small"):
        encode_image(image, np.full_like(image, noise))


def test_a_file_returns_the_bright_cores_it_was_given(tmp_path):
    flags = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0]], bool)
    planes, noise = _planes(30, n=10)
    image, variance = planes.reshape(2, 5, 64, 64), noise.reshape(2, 5, 64, 64).copy()
    image[0, 3, 30:33, 30:33] = 4e6
    image[1, 2, 30:33, 30:33] = -4e6
    image[~flags], variance[~flags] = 0.0, np.inf
    _table(flags).to_parquet(tmp_path / "m.parquet", index=False)
    tiff = _write(tmp_path, "a.tif", flags, image, variance, [[1], [0]])
    for batch in (1, 2):
        parts = list(read_cutouts(tiff, tmp_path / "m.parquet", batch=batch))
        read = np.concatenate([part[0] for part in parts])
        sigma = np.sqrt(np.where(np.isfinite(variance), variance, 1))
        # 4e6 in float32: spaced by 0.25, a hundredth of this sigma
        assert (np.abs(read - image) / sigma).max() <= 0.05 / 2


def test_a_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((1, 8, 8), np.uint16), description='{"format": "older-1"}')
    _table(np.ones((1, 5), bool)).to_parquet(tmp_path / "m.parquet", index=False)
    with pytest.raises(ValueError, match="'older-1' found"):
        list(read_cutouts(path, tmp_path / "m.parquet"))


def test_unusable_pixels_come_back_as_zero_with_infinite_variance():
    image, variance = _planes(20)
    variance[:, 10:14, 20:30] = np.inf
    decoded, seen = _roundtrip(image, variance)
    np.testing.assert_array_equal(np.isinf(seen), np.isinf(variance))
    assert (decoded[np.isinf(variance)] == 0).all()


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_a_variance_without_meaning_is_refused(bad):
    variance = np.ones((1, 8, 8), np.float32)
    variance[0, 3, 3] = bad
    with pytest.raises(ValueError, match="variance is NaN, zero or negative"):
        encode_variance(variance)


def _table(flags):
    records = [
        Metadata(
            sample_id=f"s-{i}",
            system_id=f"s-{i}",
            dataset="s",
            raw_file="a.fits",
            raw_index=i,
            raw_sha256="0" * 64,
            label=-1,
            label_source="unlabelled",
            label_confidence=0.0,
            pixel_scale=0.168,
            instrument="HSC",
            survey="hsc",
            bands=tuple(s if f else "" for s, f in zip(SLOTS, row, strict=True)),
            band_flags=tuple(map(int, row)),
        )
        for i, row in enumerate(flags)
    ]
    return table_from_records(records)


def _write(folder, name, flags, image, variance, order):
    path = folder / name
    with CutoutFile(path, flags, 64) as file:
        for rows in order:
            file.write(np.array(rows), image[rows], variance[rows])
    return path


def test_a_file_holds_its_cutouts_in_table_order_whatever_the_order_of_writing(tmp_path):
    flags = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 0, 0]], bool)
    planes, noise = _planes(30, n=20)
    image, variance = planes.reshape(4, 5, 64, 64), noise.reshape(4, 5, 64, 64).copy()
    image[~flags], variance[~flags] = 0.0, np.inf
    metadata = tmp_path / "m.parquet"
    _table(flags).to_parquet(metadata, index=False)
    tiff = _write(tmp_path, "a.tif", flags, image, variance, [[1, 3], [0], [2]])
    parts = list(read_cutouts(tiff, metadata, batch=3))
    assert [len(part[0]) for part in parts] == [3, 1]
    np.testing.assert_allclose(
        np.concatenate([part[0] for part in parts]),
        image,
        atol=0.03 * np.sqrt(variance[flags].max()),
    )
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), variance, rtol=1e-3)
    assert list(pd.concat([part[2] for part in parts])["sample_id"]) == [f"s-{i}" for i in range(4)]
    # Only bands with data take pages: 11 of 20, image and variance.
    with tifffile.TiffFile(tiff) as file:
        assert len(file.pages) == 22
        assert file.pages[0].dtype == np.uint16


def test_the_same_cutouts_give_the_same_bytes(tmp_path):
    flags = np.ones((2, 5), bool)
    planes, noise = _planes(30, n=10)
    image, variance = planes.reshape(2, 5, 64, 64), noise.reshape(2, 5, 64, 64)
    one = _write(tmp_path, "a.tif", flags, image, variance, [[0, 1]])
    two = _write(tmp_path, "b.tif", flags, image, variance, [[1], [0]])
    assert one.read_bytes() == two.read_bytes()


def test_an_error_while_writing_leaves_no_file(tmp_path):
    flags = np.ones((1, 5), bool)
    with pytest.raises(RuntimeError), CutoutFile(tmp_path / "a.tif", flags, 64):
        raise RuntimeError("killed")
    assert list(tmp_path.iterdir()) == []


def test_a_file_and_a_table_that_do_not_belong_together_are_refused(tmp_path):
    flags = np.ones((2, 5), bool)
    planes, noise = _planes(30, n=10)
    shape = (2, 5, 64, 64)
    tiff = _write(tmp_path, "a.tif", flags, planes.reshape(shape), noise.reshape(shape), [[0, 1]])
    _table(flags[:1]).to_parquet(tmp_path / "m.parquet", index=False)
    with pytest.raises(ValueError, match="make both again"):
        list(read_cutouts(tiff, tmp_path / "m.parquet"))


def test_a_chunk_without_cutouts_is_an_empty_file(tmp_path):
    flags = np.ones((0, 5), bool)
    with CutoutFile(tmp_path / "a.tif", flags, 64):
        pass
    _table(flags).to_parquet(tmp_path / "m.parquet", index=False)
    assert list(read_cutouts(tmp_path / "a.tif", tmp_path / "m.parquet")) == []
