"""Augmentation of a batch on its device: moves, seeing, sky, noise, hidden bands."""

import math

import torch
from torch.nn import functional

from lenshunt.config import TrainingConfig
from lenshunt.models import Batch
from lenshunt.models.inputs import background_sigma
from lenshunt.training.moved_segments import moved_segments, without_hidden_bands
from lenshunt.training.psf_jitter import (
    FWHM_PER_SIGMA,
    USABLE_WEIGHT_MIN,
    broadened,
    broadened_conditions,
)

#: Share of images that are turned by a multiple of 90 degrees: upright, with all their corners, as
#: those that are searched.
UPRIGHT_SHARE = 0.5


def random_affine(
    count: int, size: int, shift_px: float, device: torch.device, upright: float = UPRIGHT_SHARE
) -> torch.Tensor:
    """Random orthogonal maps with a shift, [count, 2, 3], in the units of `affine_grid`.

    A share `upright` of them turns by a multiple of 90 degrees, the others by any angle.
    """
    angle = torch.rand(count, device=device) * 2 * math.pi
    quarter = torch.round(angle / (math.pi / 2)) * (math.pi / 2)
    angle = torch.where(torch.rand(count, device=device) < upright, quarter, angle)
    flip = torch.where(torch.rand(count, device=device) < 0.5, 1.0, -1.0)
    shift = (torch.rand(count, 2, device=device) * 2 - 1) * shift_px * 2 / size
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos * flip, -sin, shift[:, 0], sin * flip, cos, shift[:, 1]], dim=1)
    return rows.view(count, 2, 3)


def warp(
    image: torch.Tensor, variance: torch.Tensor, affine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move image and variance [b, band, y, x] by `affine`, bilinearly.

    A pixel that draws on an unusable one, or on the outside, becomes unusable. The variance is
    interpolated like the image: neighbouring pixels of a PSF-matched image are so correlated
    that their mean is hardly less noisy than one of them.
    """
    bands = image.shape[1]
    good = variance < torch.inf
    planes = torch.cat(
        [torch.where(good, image, 0.0), torch.where(good, variance, 0.0), good.to(image.dtype)],
        dim=1,
    )
    grid = functional.affine_grid(affine, list(planes.shape), align_corners=False)
    moved = functional.grid_sample(planes, grid, align_corners=False)
    weight = moved[:, 2 * bands :]
    usable = weight > USABLE_WEIGHT_MIN
    image = torch.where(usable, moved[:, :bands], 0.0)
    return image, torch.where(usable, moved[:, bands : 2 * bands], torch.inf)


def drop_bands(band_flags: torch.Tensor, chance: float) -> torch.Tensor:
    """Band flags [b, band] with each band hidden with `chance`, but never the last one."""
    keep = (torch.rand_like(band_flags) >= chance) & (band_flags > 0)
    # The band that survives in any case is drawn from those that are there.
    lucky = torch.where(band_flags > 0, torch.rand_like(band_flags), -1.0).argmax(dim=1)
    survivor = functional.one_hot(lucky, band_flags.shape[1]).bool()
    keep = torch.where(keep.any(dim=1, keepdim=True), keep, survivor & (band_flags > 0))
    return keep.to(band_flags.dtype)


def with_white_noise(noise_corr: torch.Tensor, amount: float | torch.Tensor) -> torch.Tensor:
    """`noise_corr` [b, band] after white noise of `amount` sigma was added to noise of 1 sigma.

    Both variances of a sum over both sums of variances. amount : one, or [b, band]
    """
    return (noise_corr + amount**2) / (1.0 + amount**2)


def with_background_offset(
    image: torch.Tensor, variance: torch.Tensor, offset_sigma: float
) -> torch.Tensor:
    """Images [b, band, y, x] with another sky: a constant for each sample and band.

    Drawn from a Gaussian whose scatter is `offset_sigma` times the band's background sigma per
    pixel. Unusable pixels stay what they are, and so does the variance: an error of the sky is
    the same in all pixels, no noise of each.
    """
    usable = torch.isfinite(variance) & (variance > 0)
    scatter = offset_sigma * background_sigma(variance, usable)
    offset = (scatter * torch.randn_like(scatter))[:, :, None, None]
    return torch.where(usable, image + offset, image)


def with_psf_jitter(batch: Batch, fwhm_max_arcsec: float, pixel_scale_arcsec: float) -> Batch:
    """`batch` with each sample made broader by a Gaussian of FWHM 0 to `fwhm_max_arcsec`.

    All bands of a sample alike. Variance, noise_corr, masks, and the seeing in the metadata
    follow (`psf_jitter`). The PSF is then no longer the one that images were matched to.
    """
    image, variance, flags = batch["image"], batch["variance"], batch["band_flags"]
    fwhm = torch.rand(len(image), device=image.device) * fwhm_max_arcsec
    sigma_px = fwhm / (FWHM_PER_SIGMA * pixel_scale_arcsec)
    correlation = batch["noise_corr"].float() if "noise_corr" in batch else torch.ones_like(flags)
    image, variance, correlation = broadened(image, variance, correlation, sigma_px.square())
    matched = batch["psf_matched"] if "psf_matched" in batch else torch.ones_like(fwhm).bool()
    new: Batch = {**batch, "image": image, "variance": variance, "noise_corr": correlation}
    new["psf_matched"] = torch.zeros_like(matched)
    if "metadata" in batch:
        new["metadata"] = broadened_conditions(batch["metadata"], matched, fwhm)
    return new


def carried_along(
    segments: torch.Tensor, affine: torch.Tensor, half_side_arcsec: float
) -> torch.Tensor:
    """Packed segments of images that `warp` moved by `affine`.

    `affine` tells for each place of the new image where it was in the old one, in units of half a
    side; a segment goes the other way.
    """
    back = affine[:, :, :2].mT  # the inverse of an orthogonal matrix
    shift = -(back @ affine[:, :, 2:])[:, :, 0] * half_side_arcsec
    return moved_segments(segments, back, shift)


@torch.no_grad()
def augment(
    batch: Batch,
    training: TrainingConfig,
    pixel_scale_arcsec: float,
    upright: float = UPRIGHT_SHARE,
) -> Batch:
    """A new batch of images moved, made broader and noisier at random, under another sky.

    Noise of `noise_augmentation` times each pixel's own sigma is added; variance and noise_corr
    say so.
    upright : share of the images that stay so, see `random_affine`
    Segments move with their images; their fluxes stay those that were measured, where their band
    is not hidden.
    Random numbers are torch's global ones. Broader PSFs, skies, noise and hidden bands draw none
    where their key is 0.
    """
    # Coordinates in bfloat16 would be wrong by tenths of a pixel, and quarter turns by some angle.
    with torch.autocast(batch["image"].device.type, enabled=False):
        # Of five slots a survey fills three or four: moving empty planes would cost as much.
        filled = (batch["band_flags"] > 0).any(dim=0)
        there = torch.nonzero(filled | ~filled.any())[:, 0]
        count, *_, size = batch["image"].shape
        affine = random_affine(count, size, training.shift_px, batch["image"].device, upright)
        moved = _augmented(_of_bands(batch, there), affine, training, pixel_scale_arcsec)
        new = _with_all_bands(moved, batch, there)
        if "segments" in batch:
            half = 0.5 * size * pixel_scale_arcsec
            segments = carried_along(batch["segments"], affine, half)
            if training.band_dropout:
                segments = without_hidden_bands(segments, new["band_flags"])
            new["segments"] = segments
    return new


def _of_bands(batch: Batch, there: torch.Tensor) -> Batch:
    """The batch with the bands `there` alone, images in float32."""
    few: Batch = {
        **batch,
        "image": batch["image"][:, there].float(),
        "variance": batch["variance"][:, there].float(),
        "band_flags": batch["band_flags"][:, there],
    }
    if "noise_corr" in batch:
        few["noise_corr"] = batch["noise_corr"][:, there]
    return few


def _with_all_bands(few: Batch, batch: Batch, there: torch.Tensor) -> Batch:
    """`few` with the bands of `batch`; those that are not `there` are unusable everywhere."""
    new: Batch = {
        **few,
        "image": torch.zeros_like(batch["image"], dtype=torch.float32),
        "variance": torch.full_like(batch["variance"], torch.inf, dtype=torch.float32),
        "band_flags": torch.zeros_like(batch["band_flags"]),
    }
    new["image"][:, there] = few["image"]
    new["variance"][:, there] = few["variance"]
    new["band_flags"][:, there] = few["band_flags"]
    if "noise_corr" in few:
        # broader PSFs correlate the noise of a batch that had none to tell of
        before = (
            batch["noise_corr"] if "noise_corr" in batch else torch.ones_like(batch["band_flags"])
        )
        new["noise_corr"] = before.clone()
        new["noise_corr"][:, there] = few["noise_corr"]
    return new


def _augmented(
    batch: Batch, affine: torch.Tensor, training: TrainingConfig, pixel_scale_arcsec: float
) -> Batch:
    image, variance = warp(batch["image"], batch["variance"], affine)
    if training.psf_jitter_arcsec:
        moved: Batch = {**batch, "image": image, "variance": variance}
        batch = with_psf_jitter(moved, training.psf_jitter_arcsec, pixel_scale_arcsec)
        image, variance = batch["image"], batch["variance"]
    if training.background_offset_sigma:
        image = with_background_offset(image, variance, training.background_offset_sigma)
    if training.noise_augmentation:
        usable = variance < torch.inf
        sigma = torch.where(usable, variance, 0.0).sqrt() * training.noise_augmentation
        image = torch.addcmul(image, sigma, torch.randn_like(image))
        variance = variance * (1.0 + training.noise_augmentation**2)
    flags = batch["band_flags"]
    if training.band_dropout:
        flags = drop_bands(flags, training.band_dropout)
        present = flags[:, :, None, None] > 0
        image = torch.where(present, image, 0.0)
        variance = torch.where(present, variance, torch.inf)
    new: Batch = {**batch, "image": image, "variance": variance, "band_flags": flags}
    if "noise_corr" in batch:
        new["noise_corr"] = with_white_noise(batch["noise_corr"], training.noise_augmentation)
    return new
