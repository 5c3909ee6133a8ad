"""Inputs that no training set has, made of test images: the same pixels, masks and metadata."""

from collections.abc import Callable

import torch

from lenshunt.core.moffat import moffat_psf
from lenshunt.models import Batch, Normalisation
from lenshunt.models.inputs import usable_pixels

#: Counts of a star's saturated peak, in sigma of the background: it is clipped there.
SATURATION_SIGMA = 1e3
#: Flux of the brightest pixel of that star without the clipping, in units of the above.
STAR_PEAK = 10.0
#: Noise of the shallower images, in units of their own: 1.5 mag in depth.
SHALLOWER = 4.0
#: PSF FWHM in pixels where the normalisation knows none.
_FWHM_PX = 5.0

#: A batch, the normalisation of its network, and random numbers, to the changed batch.
Change = Callable[[Batch, Normalisation, torch.Generator], Batch]


def pure_noise(batch: Batch, normalisation: Normalisation, random: torch.Generator) -> Batch:
    """Nothing but noise of the right variance in each pixel."""
    return _with_image(batch, _sigma(batch) * _normal(batch, random))


def swapped_bands(batch: Batch, normalisation: Normalisation, random: torch.Generator) -> Batch:
    """Bands in reversed order, of those that an object has: red arcs around blue ellipticals."""
    order = torch.arange(batch["image"].shape[1], device=batch["image"].device)
    rows = order.repeat(len(batch["image"]), 1)
    for row, flags in zip(rows, batch["band_flags"], strict=True):
        there = torch.nonzero(flags > 0)[:, 0]
        row[there] = there.flip(0)
    index = rows[:, :, None, None].expand_as(batch["image"])
    changed: Batch = {
        **batch,
        "image": batch["image"].gather(1, index),
        "variance": batch["variance"].gather(1, index),
    }
    if "noise_corr" in batch:
        changed["noise_corr"] = batch["noise_corr"].gather(1, rows)
    return changed


def saturated_star(batch: Batch, normalisation: Normalisation, random: torch.Generator) -> Batch:
    """A star of white colour somewhere in the image, clipped at the saturation of the detector.

    As a survey that does not flag saturation would deliver it; the variance has its photon noise,
    of one electron per sigma of the background.
    """
    image = batch["image"]
    count, size = len(image), image.shape[-1]
    fwhm = normalisation.psf_fwhm_arcsec or _FWHM_PX * normalisation.pixel_scale_arcsec
    beta = normalisation.psf_moffat_beta or 3.0
    side = 2 * size + 1
    psf = torch.from_numpy(moffat_psf(fwhm, beta, normalisation.pixel_scale_arcsec, side))
    psf = (psf / psf.max()).float()
    corner = torch.randint(size // 8, size - size // 8, (count, 2), generator=random)
    stars = torch.stack(
        [psf[size - y : 2 * size - y, size - x : 2 * size - x] for y, x in corner.tolist()]
    ).to(image.device)
    light = (STAR_PEAK * stars).clamp(max=1.0)[:, None] * SATURATION_SIGMA
    unit = torch.tensor(normalisation.band_sigma_njy, device=image.device)[:, None, None]
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    added = torch.where(usable, light * unit, 0.0)
    noise = torch.where(usable, light, 0.0).sqrt() * unit
    changed: Batch = {
        **batch,
        "image": image + added + noise * _normal(batch, random),
        "variance": batch["variance"] + noise**2,
    }
    return changed


def shallower(batch: Batch, normalisation: Normalisation, random: torch.Generator) -> Batch:
    """SHALLOWER times the noise, and a variance that says so."""
    more = (SHALLOWER**2 - 1.0) ** 0.5
    changed = _with_image(batch, batch["image"] + more * _sigma(batch) * _normal(batch, random))
    changed["variance"] = batch["variance"] * SHALLOWER**2
    if "noise_corr" in batch:
        # what is added is white: both variances of a sum over both sums of variances
        changed["noise_corr"] = (batch["noise_corr"] - 1.0) / SHALLOWER**2 + 1.0
    return changed


CHANGES: dict[str, Change] = {
    "pure noise": pure_noise,
    "bands swapped": swapped_bands,
    "saturated star": saturated_star,
    "shallower": shallower,
}


def _with_image(batch: Batch, image: torch.Tensor) -> Batch:
    changed: Batch = {**batch, "image": image}
    return changed


def _sigma(batch: Batch) -> torch.Tensor:
    """Noise per pixel; 0 where unusable."""
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    return torch.where(usable, batch["variance"], 0.0).sqrt()


def _normal(batch: Batch, random: torch.Generator) -> torch.Tensor:
    """Standard normal numbers of the shape of the images: the same ones on every device."""
    drawn = torch.randn(batch["image"].shape, generator=random)
    return drawn.to(batch["image"].device)
