"""Sky level and noise, apertures, quality: what the object must not change."""

import numpy as np
import pytest
from raw_samples import common, read_all

from lenshunt.config import StampsDataset
from lenshunt.images import aperture_photometry, assess, growth_curve, remove_background
from lenshunt.images.background import fill_variance


def _noise(shape, seed=0, sigma=1.0):
    return np.random.default_rng(seed).normal(0, sigma, shape).astype(np.float32)


def _galaxy(side, flux, scale_px):
    radius = np.hypot(*(np.indices((side, side)) - (side - 1) / 2))
    light = np.exp(-radius / scale_px)
    return (flux * light / light.sum()).astype(np.float32)


@pytest.mark.parametrize("side", [64, 101, 200])
def test_the_sky_level_and_its_sigma_are_found(side):
    image = _noise((20, side, side), sigma=3.0) + 50.0
    out, level, sigma = remove_background(image, np.ones_like(image))
    np.testing.assert_allclose(level, 50.0, atol=1.0)
    assert level.mean() == pytest.approx(50.0, abs=0.15)
    assert sigma.mean() == pytest.approx(3.0, rel=0.02)
    assert abs(out.mean()) < 0.15


@pytest.mark.parametrize("side, scale_px", [(64, 4), (101, 6), (200, 12)])
def test_a_bright_extended_galaxy_is_not_taken_for_sky(side, scale_px):
    galaxy = _galaxy(side, 3e5, scale_px)
    image = np.stack([galaxy + _noise((side, side), seed) + 20.0 for seed in range(6)])
    out, _, _ = remove_background(image, np.ones_like(image))
    radius = np.hypot(*(np.indices((side, side)) - (side - 1) / 2)) < 2 * scale_px
    assert out[:, radius].sum(axis=1).mean() == pytest.approx(galaxy[radius].sum(), rel=0.01)


def _crowded(side, seed):
    """Unit noise, and 30 round sources of 3 px over a sky of 10."""
    rng = np.random.default_rng(seed)
    image = _noise((side, side), seed) + 10.0
    for y, x in rng.uniform(0, side, (30, 2)):
        radius2 = (np.arange(side)[:, None] - y) ** 2 + (np.arange(side) - x) ** 2
        image += np.float32(rng.lognormal(2, 1)) * np.exp(-radius2 / 18).astype(np.float32)
    return image


def test_light_of_a_crowded_field_is_not_taken_for_sky():
    image = np.stack([_crowded(64, seed) for seed in range(40)])
    _, level, sigma = remove_background(image, np.ones_like(image))
    assert np.median(level) == pytest.approx(10.0, abs=0.15)
    assert np.percentile(level, 95) < 10.6
    assert np.median(sigma) == pytest.approx(1.0, rel=0.05)


def test_masked_pixels_on_a_bright_sky_are_not_mistaken_for_a_faint_one():
    image = _noise((20, 64, 64)) + 1000.0
    variance = np.ones_like(image)
    image[:, :, ::3], variance[:, :, ::3] = 0.0, np.inf
    _, level, _ = remove_background(image, variance)
    np.testing.assert_allclose(level, 1000.0, atol=0.3)


@pytest.mark.real
def test_no_real_hsc_stamp_is_left_with_a_negative_object_by_its_sky(real_data, tmp_path):
    # HSC coadds have no sky left; taking the corners of crowded stamps for it made S/N of -5
    sample = StampsDataset(
        reader="stamps",
        images=[str(real_data / "hsc_stamps/*.npz")],
        size_px=64,
        **common("hsc", "search"),
    )
    levels, snr = [], []
    for cutout in read_all(sample, tmp_path)[0]:
        usable = np.where(np.isfinite(cutout.variance), cutout.variance, np.nan)
        image, level, _ = remove_background(cutout.image, cutout.variance)
        levels.append(level / np.sqrt(np.nanmedian(usable, axis=(1, 2))))
        flux, error = aperture_photometry(image, cutout.variance, cutout.metadata.pixel_scale)
        snr.append(flux / error)
    assert len(levels) == 27
    assert np.nanmin(snr) > -2
    assert np.median(np.abs(levels)) < 0.1


@pytest.mark.real
def test_the_sky_of_real_stamps_about_their_objects_is_near_zero(real_data):
    # HSC coadds have their sky taken off; planes full of one galaxy have little of it to see
    wrong = []
    for path in sorted((real_data / "hsc_stamps").glob("*.npz")):
        with np.load(path) as file:
            image, spread, peaks = file["images"], file["variance"], file["centers"]
        sigma = np.sqrt([np.median(plane[plane > 0]) for plane in spread])
        for y, x in peaks - 32:
            cut = image[:, max(y, 0) : y + 64, max(x, 0) : x + 64]
            if cut.shape[1:] == (64, 64) and min(y, x) >= 0:
                _, level, _ = remove_background(cut, np.full_like(cut, np.nan))
                wrong.append(level / sigma)
    wrong = np.concatenate(wrong)
    assert len(wrong) > 200
    assert np.sqrt(np.mean(wrong**2)) < 0.25
    assert np.abs(wrong).max() < 1.5


@pytest.mark.real
def test_few_pixels_free_of_sources_go_before_the_corners(real_data):
    # a galaxy that fills 48 pixels but for 143, and lies 3 sigma above the sky in the corners
    with np.load(real_data / "hsc_stamps" / "43160590213972168.npz") as file:
        image = file["images"][1:3, 23:71, 20:68]
        sigma = np.sqrt(np.median(file["variance"][1:3], axis=(1, 2)))
    _, level, _ = remove_background(image, np.full_like(image, np.nan))
    assert (np.abs(level / sigma) < 1).all()


@pytest.mark.parametrize("scale_px, worst", [(2, 0.03), (5, 0.12), (10, 0.7)])
def test_the_sky_under_the_wings_of_a_galaxy_is_found(scale_px, worst):
    galaxy = _galaxy(64, 1e4, scale_px)
    image = np.stack([galaxy + _noise((64, 64), seed) + 10.0 for seed in range(40)])
    _, level, sigma = remove_background(image, np.ones_like(image))
    outside = galaxy[np.hypot(*(np.indices((64, 64)) - 31.5)) > 30].mean()
    assert abs(level.mean() - 10.0) < worst
    # the corners, which are the darkest part, are brighter
    assert scale_px < 10 or level.mean() - 10.0 < outside
    assert sigma.mean() == pytest.approx(1.0, abs=0.03)


def test_the_level_of_an_empty_image_is_as_good_as_all_its_pixels():
    image = _noise((200, 64, 64))
    _, level, sigma = remove_background(image, np.ones_like(image))
    assert level.std() < 1.25 / 64
    assert abs(level.mean()) < 0.01
    assert sigma.mean() == pytest.approx(1.0, abs=0.01)


def test_a_symmetric_map_is_the_object_not_the_sky():
    side = 180
    image = _noise((side, side)) + 5.0
    radius = np.hypot(*(np.indices((side, side)) - (side - 1) / 2))
    halo = (3 * np.exp(-radius / 30)).astype(np.float32)
    out, _, _ = remove_background((image + halo)[None], np.ones((1, side, side), np.float32))
    ring = (radius > 30) & (radius < 60)
    assert out[0][ring].mean() == pytest.approx(halo[ring].mean(), abs=0.25)


def test_a_gradient_across_a_large_image_is_removed():
    side = 240
    ramp = np.linspace(-4, 4, side, dtype=np.float32)
    image = (_noise((side, side)) + ramp + _galaxy(side, 1e4, 5))[None]
    out, _, _ = remove_background(image, np.ones_like(image))
    corners = [out[0, :40, :40], out[0, :40, -40:], out[0, -40:, :40], out[0, -40:, -40:]]
    assert max(abs(float(np.median(corner))) for corner in corners) < 1.0


def test_unusable_pixels_are_zero_and_out_of_the_statistics():
    image = _noise((1, 64, 64)) + 5.0
    variance = np.full_like(image, np.nan)
    image[0, :6, :6], variance[0, :6, :6] = 1e6, np.inf
    out, level, sigma = remove_background(image, variance)
    assert level[0] == pytest.approx(5.0, abs=0.2)
    assert (out[0, :6, :6] == 0).all()
    filled = fill_variance(variance, sigma)
    assert np.isinf(filled[0, :6, :6]).all()
    assert filled[0, 30, 30] == pytest.approx(sigma[0] ** 2, rel=1e-6)


def test_a_plane_without_usable_sky_is_told_by_nan():
    image = _noise((1, 64, 64))
    _, level, sigma = remove_background(image, np.full_like(image, np.inf))
    assert np.isnan(level[0])
    assert np.isnan(sigma[0])


def test_the_aperture_sums_exact_circles_and_the_error_grows_with_correlation():
    image = np.ones((1, 5, 64, 64), np.float32)
    flux, error = aperture_photometry(image, np.full_like(image, 4.0), 0.168)
    np.testing.assert_allclose(flux, np.pi * (1.5 / 0.168) ** 2, rtol=1e-5)
    _, correlated = aperture_photometry(image, np.full_like(image, 4.0), 0.168, 9.0)
    np.testing.assert_allclose(correlated, 3 * error)


def test_an_aperture_that_is_mostly_masked_has_no_flux():
    image = np.ones((2, 64, 64), np.float32)
    variance = np.ones_like(image)
    variance[0, 28:36, 28:36] = np.inf
    variance[1, 31, 31] = np.inf
    flux, _ = aperture_photometry(image, variance, 0.168)
    assert np.isnan(flux[0])
    assert flux[1] == pytest.approx(np.pi * (1.5 / 0.168) ** 2, rel=1e-5)


def test_a_growth_curve_of_uniform_light_grows_with_the_area():
    curve = growth_curve(np.ones((41, 41)), np.array([5.0, 10.0]))
    np.testing.assert_allclose(curve, np.pi * np.array([25, 100]) / 41**2)
    with pytest.raises(ValueError, match="must be positive"):
        growth_curve(np.zeros((5, 5)), np.array([1.0]))


def _assess(variance, flags=None, covered=1.0, snr=50.0, matched=True):
    n = len(variance)
    flags = np.ones((n, 5), bool) if flags is None else flags
    return assess(
        variance, flags, np.full(n, covered), np.full(n, snr), np.full(n, matched, dtype=bool)
    )


def test_a_clean_cutout_has_quality_one_and_no_reason():
    verdict = _assess(np.ones((1, 5, 64, 64), np.float32))
    assert verdict.quality[0] == 1.0
    assert verdict.reasons == [""]


def test_every_fault_lowers_the_quality_and_is_named():
    good = np.ones((1, 5, 64, 64), np.float32)
    centre = good.copy()
    centre[:, :, 28:36, 28:36] = np.inf
    absent = good.copy()
    absent[:, 3:] = np.inf
    flags = np.array([[1, 1, 1, 0, 0]], bool)
    cases = {
        "saturated_centre": _assess(centre),
        "missing_band:zy": _assess(absent, flags),
        "edge": _assess(good, covered=0.5),
        "low_snr": _assess(good, snr=1.0),
        "psf_unmatched": _assess(good, matched=False),
        "no_usable_pixel": _assess(np.full_like(good, np.inf)),
    }
    for word, verdict in cases.items():
        assert word in verdict.reasons[0].split(";")
        assert verdict.quality[0] < 1.0
    assert cases["no_usable_pixel"].quality[0] == 0.0
    assert cases["saturated_centre"].quality[0] < 0.7
    assert cases["missing_band:zy"].quality[0] > 0.7
