"""What an injection needs to know of its host: where the galaxy is, its shape, noise and depth."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lenshunt.injection.population import Survey
from lenshunt.records import SLOTS, Cutout, magnitude_from_njy, njy_from_magnitude

#: Dark sky in AB per square arcsec, g r i z y: Ivezic et al. 2019, ApJ 873, 111, table 2.
SKY_MAG_ARCSEC2 = dict(zip(SLOTS, (22.26, 21.20, 20.48, 19.60, 18.61), strict=True))
#: Radius of the aperture for the host's flux, of the centring and of the Gaussian moments (arcsec).
_FLUX_RADIUS, _CENTRE_RADIUS, _MOMENT_SIGMA = 3.0, 1.0, 1.2


@dataclass(frozen=True)
class HostShape:
    """The central galaxy: x, y in arcsec from the image centre, angle in radians from +x.

    q : axis ratio as seen (rounded by the PSF); flux_njy : [band slot] within 3 arcsec
    """

    x: float
    y: float
    q: float
    angle: float
    flux_njy: np.ndarray


@dataclass(frozen=True)
class Noise:
    """electrons_per_njy [band slot], 1 in a slot without data; sigma_njy [band slot] of the sky."""

    electrons_per_njy: np.ndarray
    sigma_njy: np.ndarray


def _offsets(host: Cutout) -> tuple[np.ndarray, np.ndarray]:
    """x and y in arcsec of every pixel from the centre of the image."""
    height, width = host.image.shape[1:]
    y, x = np.mgrid[:height, :width].astype(float)
    scale = host.metadata.pixel_scale
    return (x - (width - 1) / 2) * scale, (y - (height - 1) / 2) * scale


def host_shape(host: Cutout) -> HostShape:
    """Centroid within 1 arcsec, Gaussian-weighted moments, aperture flux of the central galaxy.

    Raises ValueError where no light is there to be measured.
    """
    x, y = _offsets(host)
    usable = np.isfinite(host.variance)
    light = np.where(usable, host.image, 0.0).astype(float)
    weight = np.where(usable, 1.0 / np.where(usable, host.variance, 1.0), 0.0)
    middle = np.hypot(x, y) < _CENTRE_RADIUS
    # the sum over bands weighted by their depth
    depth = [
        float(np.median(w[u])) if u.any() else 0.0 for w, u in zip(weight, usable, strict=True)
    ]
    stack = np.einsum("b,byx->yx", np.array(depth) / sum(depth), light)
    centre = np.where(middle, np.maximum(stack, 0.0), 0.0)
    around = np.hypot(x, y) < 2 * _CENTRE_RADIUS
    if not centre.sum() > 0 or not middle[np.unravel_index((stack * around).argmax(), stack.shape)]:
        raise ValueError(
            f"{host.metadata.sample_id}: the light within {2 * _CENTRE_RADIUS} arcsec does not "
            f"peak within {_CENTRE_RADIUS} arcsec of the centre; this record cannot be a host"
        )
    present = np.array(host.metadata.band_flags, bool)
    if not usable[present][:, np.hypot(x, y) < 0.5 * _CENTRE_RADIUS].all():
        raise ValueError(
            f"{host.metadata.sample_id}: unusable (saturated?) pixels in the galaxy's core; this "
            "record cannot be a host"
        )
    x0, y0 = float((centre * x).sum() / centre.sum()), float((centre * y).sum() / centre.sum())
    dx, dy = x - x0, y - y0
    window = np.maximum(stack, 0.0) * np.exp(-0.5 * (dx**2 + dy**2) / _MOMENT_SIGMA**2)
    xx, yy, xy = ((window * p).sum() / window.sum() for p in (dx * dx, dy * dy, dx * dy))
    spread = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    aperture = np.hypot(dx, dy) < _FLUX_RADIUS
    return HostShape(
        x0,
        y0,
        float(np.sqrt((xx + yy - spread) / (xx + yy + spread))),
        float(0.5 * np.arctan2(2 * xy, xx - yy)),
        (light * aperture).sum(axis=(1, 2)),
    )


def host_noise(host: Cutout) -> Noise:
    """Sky noise, and the electrons behind one nJy: the sky's own Poisson noise gives them.

    An exposure limited by the sky has a variance of sky / electrons per pixel; with the brightness
    of the dark sky this is the gain, whatever units and coadds lie between. Brighter nights give
    fewer electrons than are assumed in vain: the arcs' noise is then too high by that factor, a
    small part of a sky-limited total.
    Raises ValueError where a band has no variance.
    """
    electrons, sigma = np.ones(len(SLOTS)), np.full(len(SLOTS), np.inf)
    area = host.metadata.pixel_scale**2
    for band, flag in enumerate(host.metadata.band_flags):
        if not flag:
            continue
        variance = host.variance[band]
        usable = np.isfinite(variance) & (variance > 0)
        if not usable.any():
            raise ValueError(
                f"{host.metadata.sample_id}: band {SLOTS[band]} has no variance; prepare the "
                "records (the images room estimates it) before arcs are painted"
            )
        # the sky's variance is the lower half: the host's own light adds to that of the upper
        sky = float(np.quantile(variance[usable], 0.25))
        sigma[band] = np.sqrt(sky)
        electrons[band] = njy_from_magnitude(SKY_MAG_ARCSEC2[SLOTS[band]]) * area / sky
    return Noise(electrons, sigma)


def survey_of(hosts: Iterable[Cutout], band: str = "i") -> Survey:
    """Seeing and depth of a set of hosts (medians), for the selection of its population.

    Raises ValueError where no host has the band with a PSF.
    """
    slot, seeing, depth = SLOTS.index(band), [], []
    for host in hosts:
        if not host.metadata.band_flags[slot] or host.psf is None:
            continue
        scale = host.metadata.pixel_scale
        # noise-equivalent area of the PSF: 1 / sum of its squares, in pixels
        area = 1.0 / float((host.psf[slot].astype(float) ** 2).sum())
        seeing.append(2.3548 * np.sqrt(area / (4 * np.pi)) * scale)
        depth.append(5.0 * host_noise(host).sigma_njy[slot] * np.sqrt(area))
    if not seeing:
        raise ValueError(f"no host has band {band} with a PSF; name another band")
    limit = float(magnitude_from_njy(float(np.median(depth))))
    return Survey(float(np.median(seeing)), limit, SKY_MAG_ARCSEC2[band])
