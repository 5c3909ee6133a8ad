"""PSF jitter: flux, width, noise of pixels and of wide apertures, masks, metadata, refusals."""

import numpy as np
import pytest
import torch
from config_values import check, values_of
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve
from scipy.special import ive
from small_models import small
from training_toy import batch_of, toy_table

from lenshunt.config import ConfigError, TrainingConfig
from lenshunt.core.moffat import moffat_psf
from lenshunt.images import fwhm, matching_kernel
from lenshunt.models import CONDITIONS, condition_table
from lenshunt.training.augment import augment, with_psf_jitter
from lenshunt.training.psf_jitter import (
    FWHM_PER_SIGMA,
    broadened,
    broadened_conditions,
    discrete_gaussian,
    smoothing_of,
)
from lenshunt.training.train import train

SCALE = 0.168
SEEING, PSF = CONDITIONS.index("log_seeing"), CONDITIONS.index("log_psf_fwhm")


def added(*fwhm_arcsec: float) -> torch.Tensor:
    """Variances in px^2 of Gaussians of these FWHM."""
    return (torch.tensor(fwhm_arcsec) / (FWHM_PER_SIGMA * SCALE)).square()


def star(sigma_px: float, size: int = 65) -> torch.Tensor:
    """A Gaussian star of unit flux in the middle, [1, 1, y, x]."""
    offset = torch.arange(size) - (size - 1) / 2
    profile = torch.exp(-0.5 * (offset / sigma_px).square())
    image = profile[:, None] * profile
    return (image / image.sum())[None, None]


@pytest.mark.parametrize("variance_px2", [0.0, 0.01, 0.3, 5.0])
def test_the_kernel_is_the_discrete_gaussian_however_narrow(variance_px2):
    found = discrete_gaussian(torch.tensor(variance_px2), 64).numpy()
    np.testing.assert_allclose(found, ive(np.arange(64), variance_px2), atol=1e-6)
    both = np.r_[found[:0:-1], found]
    assert both.sum() == pytest.approx(1.0, abs=1e-5)
    place = np.arange(-63, 64)
    assert (both * place**2).sum() == pytest.approx(variance_px2, abs=2e-3)


def test_flux_is_kept_and_widths_add_in_quadrature():
    before = star(1.0 / (FWHM_PER_SIGMA * SCALE))
    broader = (0.1, 0.4, 0.8)
    image, _, _ = broadened(
        before.repeat(3, 1, 1, 1), torch.ones(3, 1, 65, 65), torch.ones(3, 1), added(*broader)
    )
    torch.testing.assert_close(image.sum(dim=(1, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    assert fwhm(before[0, 0].numpy(), SCALE) == pytest.approx(1.0, rel=2e-3)
    widths = [fwhm(one[0].numpy(), SCALE) for one in image]
    assert widths == pytest.approx([np.hypot(1.0, one) for one in broader], rel=1e-2)


def test_a_moffat_of_the_sky_grows_nearly_in_quadrature():
    psf = torch.from_numpy(moffat_psf(0.7, 3.0, SCALE, 65)).float()[None, None]
    image, _, _ = broadened(psf, torch.ones_like(psf), torch.ones(1, 1), added(0.5))
    before, after = (fwhm(one[0, 0].numpy(), SCALE) for one in (psf, image))
    assert 1.0 < after / np.hypot(before, 0.5) < 1.05


def test_the_smoothing_is_that_of_the_noise_correlation():
    corr = torch.tensor([1.0, 1.001, 1.2, 2.0, 9.0, 40.0, 1e3, 1e4])
    found = smoothing_of(corr)
    torch.testing.assert_close(torch.special.i0e(found) ** -2, corr, rtol=1e-3, atol=0)
    # 4 pi s^2 for a wide Gaussian
    assert float(found[-1]) == pytest.approx(1e4 / (2 * np.pi), rel=1e-3)
    assert smoothing_of(torch.tensor([0.5])).tolist() == [0.0]


@pytest.mark.parametrize("smoothed_px", [0.0, 0.7, 1.8])
def test_noise_of_pixels_and_of_wide_apertures_is_what_is_predicted(smoothed_px):
    """Monte Carlo with white noise and with noise as correlated as that of matched images."""
    rng = np.random.default_rng(0)
    count, size = 1500, 80
    noise = rng.normal(size=(count, size, size))
    impulse = np.zeros((size, size))
    impulse[40, 40] = 1.0
    kernel = gaussian_filter(impulse, smoothed_px, mode="wrap")
    noise = gaussian_filter(noise, smoothed_px, axes=(1, 2), mode="wrap")
    noise *= 3.0 / np.sqrt((kernel**2).sum())
    corr = 1.0 / (kernel**2).sum()
    image = torch.from_numpy(noise).float()[:, None]
    variance, correlation = torch.full_like(image, 9.0), torch.full((count, 1), corr)
    found, variance, correlation = broadened(
        image, variance, correlation.float(), torch.full((count,), 1.5)
    )
    middle = (slice(None), 0, slice(20, 60), slice(20, 60))
    ratio = found[middle].square().mean() / variance[middle].mean()
    # Narrow Gaussians that are sampled are not quite the discrete ones that are assumed.
    assert float(ratio) == pytest.approx(1.0, abs=0.02 if smoothed_px != 0.7 else 0.06)
    # A wide, soft aperture, so that the edges of its noise hardly count.
    aperture = star(10.0, size)[0]
    usable = torch.isfinite(variance)
    sums = (torch.where(usable, found, 0.0) * aperture).sum(dim=(1, 2, 3))
    predicted = (
        torch.where(usable, variance, 0.0) * aperture.square() * correlation[:, :, None, None]
    )
    ratio = sums.square().mean() / predicted.sum(dim=(1, 2, 3)).mean()
    assert float(ratio) == pytest.approx(1.0, abs=0.1)
    # The pixels became so much quieter that none of this is there by chance.
    assert float(variance[0, 0, 40, 40]) < 0.8 * 9.0
    assert float(correlation[0, 0] * variance[0, 0, 40, 40]) == pytest.approx(9.0 * corr, rel=1e-3)


@pytest.mark.parametrize(
    "source_arcsec, jitter_arcsec", [(0.5, 0.2), (0.6, 1.0), (0.8, 0.5), (0.9, 0.3)]
)
def test_noise_that_a_real_kernel_matched_is_predicted_too(source_arcsec, jitter_arcsec):
    """By the kernels themselves: white noise, matched from Moffat to Moffat, then broadened."""
    source, target = (moffat_psf(width, 3.0, SCALE, 61) for width in (source_arcsec, 1.0))
    kernel = matching_kernel(source, target, 1.0 / SCALE).kernel
    corr = kernel.sum() ** 2 / np.square(kernel).sum()
    once = discrete_gaussian(added(jitter_arcsec)[0], 30).double().numpy()
    once = np.r_[once[:0:-1], once]
    twice = fftconvolve(kernel, once[:, None] * once)
    expected = np.square(twice).sum() / np.square(kernel).sum()
    ones = torch.ones(1, 1, 65, 65)
    _, variance, _ = broadened(ones, ones, torch.full((1, 1), corr), added(jitter_arcsec))
    assert float(variance[0, 0, 32, 32]) == pytest.approx(expected, rel=0.15)


def test_white_noise_of_unequal_pixels_is_convolved_with_the_square_of_the_kernel():
    variance = 1.0 + 50.0 * star(2.0) / star(2.0).max()
    _, found, _ = broadened(torch.zeros_like(variance), variance, torch.ones(1, 1), torch.ones(1))
    kernel = ive(np.abs(np.arange(-20, 21)), 1.0)
    expected = fftconvolve(variance[0, 0].numpy(), np.outer(kernel, kernel) ** 2, mode="same")
    np.testing.assert_allclose(found[0, 0, 20:45, 20:45], expected[20:45, 20:45], rtol=1e-4)


@pytest.mark.parametrize("rubbish", [1e9, float("nan")])
def test_what_lies_under_a_mask_never_spreads(rubbish):
    image, variance = torch.full((1, 2, 33, 33), 7.0), torch.ones(1, 2, 33, 33)
    image[0, 0, 16, 16], variance[0, 0, 16, 16] = rubbish, torch.inf
    found, spread, _ = broadened(image, variance, torch.ones(1, 2), torch.ones(1))
    usable = torch.isfinite(spread)
    assert (found[~usable] == 0).all()
    assert found[usable].tolist() == pytest.approx([7.0] * int(usable.sum()), rel=2e-3)
    # Pixels that draw on the mask or on the outside, three sigma around, in its own band alone.
    assert not usable[0, 0, 14:19, 14:19].any()
    assert usable[0, 0, 16, [11, 21]].all()
    assert usable[0, 1, 5:28, 5:28].all()
    assert not usable[0, 1, 0].any()


def test_no_broadening_changes_nothing():
    batch = batch_of()
    image, variance, corr = broadened(
        batch["image"], batch["variance"], torch.full((8, 5), 9.0), torch.zeros(8)
    )
    torch.testing.assert_close(image, batch["image"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(variance, batch["variance"])
    torch.testing.assert_close(corr, torch.full((8, 5), 9.0))


def test_the_seeing_follows_where_the_psf_is_kept_and_stays_where_it_was_matched():
    metadata = torch.from_numpy(condition_table(toy_table(np.zeros(3, int), seeing=0.8)))
    metadata[2, SEEING] = torch.nan
    matched, broader = torch.tensor([True, False, False]), torch.tensor([0.6, 0.6, 0.6])
    found = broadened_conditions(metadata, matched, broader)
    assert found[1, SEEING] == pytest.approx(np.log10(1.0))
    assert float(10 ** found[1, PSF]) == pytest.approx(np.hypot(0.71, 0.6), rel=1e-5)
    assert torch.isnan(found[2, SEEING])
    found[:, [SEEING, PSF]] = metadata[:, [SEEING, PSF]]
    torch.testing.assert_close(found, metadata, equal_nan=True, rtol=0, atol=0)
    assert torch.equal(broadened_conditions(metadata, matched, broader)[0, :2], metadata[0, :2])


def test_every_sample_is_broadened_anew_evenly_up_to_the_configured_width():
    torch.manual_seed(0)
    profile = star(2.0, 33).repeat(400, 2, 1, 1)
    batch = {
        "image": profile,
        "variance": torch.ones_like(profile),
        "band_flags": torch.ones(400, 2),
        "metadata": torch.zeros(400, len(CONDITIONS)),  # 1 arcsec
        "psf_matched": torch.zeros(400, dtype=torch.bool),
    }
    found = with_psf_jitter(batch, 0.6, SCALE)
    drawn = (10.0 ** (2.0 * found["metadata"][:, PSF]) - 1.0).clamp(min=0.0).sqrt()
    assert 0.0 <= float(drawn.min()) < 0.02
    assert 0.58 < float(drawn.max()) < 0.601
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.6 / np.sqrt(12), abs=0.02)
    # All bands alike, and as broad as the metadata say.
    assert torch.equal(found["image"][:, 0], found["image"][:, 1])
    offset = torch.arange(33) - 16.0
    marginal = found["image"][:, 0].sum(dim=1)
    moment = (marginal * offset.square()).sum(dim=1) / marginal.sum(dim=1)
    torch.testing.assert_close(moment - 4.0, added(*drawn.tolist()), atol=0.03, rtol=0.03)
    assert found["noise_corr"].min() >= 1.0
    assert not found["psf_matched"].any()


def test_augmented_segments_keep_their_fluxes_and_samples_their_labels():
    torch.manual_seed(0)
    batch = {**batch_of(), "segments": torch.rand(8, 4, 15)}
    found = augment(batch, TrainingConfig(psf_jitter_arcsec=0.8), SCALE)
    assert torch.equal(found["segments"][:, :, :10], batch["segments"][:, :, :10])
    assert torch.equal(found["label"], batch["label"])
    assert torch.isfinite(found["image"]).all()
    assert torch.isposinf(found["variance"][:, 4]).all()


def test_a_model_that_renders_with_the_psf_of_the_grid_refuses_another_one():
    values = values_of()
    values["training"]["psf_jitter_arcsec"] = 0.4
    check(values)
    values["experiments"]["ground"]["models"].append("pinn_lens")
    with pytest.raises(ConfigError, match=r"pinn_lens.yaml: training.psf_jitter_arcsec 0.4 makes"):
        check(values)
    small("pinn_lens").check_training(TrainingConfig())
    with pytest.raises(ValueError, match="psf_jitter_arcsec: 0 under `training`"):
        train(
            indexes=[],
            exclusions=None,
            model=small("pinn_lens"),
            training=TrainingConfig(psf_jitter_arcsec=0.4),
            seed=1,
            pretrained=None,
            checkpoint="",
            history="",
            log_dir="",
            threads=1,
        )
