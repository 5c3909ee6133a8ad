"""What an injection needs to know of its host: where the galaxy is, its shape, noise and depth."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lenshunt.scenes.selection import Band, Survey
from lenshunt.schema import SLOTS, Cutout, magnitude_from_njy, njy_from_magnitude

#: Middle of the bands in micrometres.
SLOT_UM = dict(zip(SLOTS, (0.48, 0.62, 0.77, 0.90, 0.98), strict=True))
#: Dark sky in AB per square arcsec, g r i z y: Ivezic et al. 2019, ApJ 873, 111, table 2.
SKY_MAG_ARCSEC2 = dict(zip(SLOTS, (22.26, 21.20, 20.48, 19.60, 18.61), strict=True))
#: Radius of the aperture for the host's flux, of the centring and of the Gaussian moments (arcsec).
_FLUX_RADIUS, _CENTRE_RADIUS, _MOMENT_SIGMA = 3.0, 1.0, 1.2
#: A host is no star: its moments are larger than those of its PSF by this factor at least. Two per
#: cent is how well a PSF is known; the smallest lens galaxies are wider than a PSF by a tenth.
_STAR_SIZE = 1.05
#: Part of the aperture that must have been observed.
_USABLE_MIN = 0.8


class UnsuitableHostError(ValueError):
    """A record on which no arcs can be painted; `reason` says why, without its name."""

    def __init__(self, sample_id: str, reason: str) -> None:
        super().__init__(f"{sample_id}: {reason}")
        self.reason = reason


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

    Raises UnsuitableHostError where no light is there to be measured.
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
        raise UnsuitableHostError(
            host.metadata.sample_id,
            f"the light within {2 * _CENTRE_RADIUS} arcsec does not "
            f"peak within {_CENTRE_RADIUS} arcsec of the centre; this record cannot be a host",
        )
    present = np.array(host.metadata.band_flags, bool)
    if not usable[present][:, np.hypot(x, y) < 0.5 * _CENTRE_RADIUS].all():
        raise UnsuitableHostError(
            host.metadata.sample_id,
            "unusable (saturated?) pixels in the galaxy's core; this record cannot be a host",
        )
    x0, y0 = float((centre * x).sum() / centre.sum()), float((centre * y).sum() / centre.sum())
    dx, dy = x - x0, y - y0
    xx, yy, xy = _moments(stack, dx, dy)
    spread = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    aperture = np.hypot(dx, dy) < _FLUX_RADIUS
    if usable[present][:, aperture].mean() < _USABLE_MIN:
        raise UnsuitableHostError(
            host.metadata.sample_id,
            f"more than {1 - _USABLE_MIN:.0%} of the pixels within {_FLUX_RADIUS} arcsec are "
            "unusable (edge, bright star?); this record cannot be a host",
        )
    shape = HostShape(
        x0,
        y0,
        float(np.sqrt((xx + yy - spread) / (xx + yy + spread))),
        float(0.5 * np.arctan2(2 * xy, xx - yy)),
        (light * aperture).sum(axis=(1, 2)),
    )
    weights = np.array(depth) * np.maximum(shape.flux_njy, 0.0)
    if host.psf is not None and xx + yy < _STAR_SIZE * _psf_size(host, weights):
        raise UnsuitableHostError(
            host.metadata.sample_id,
            "as compact as its PSF, a star or quasar; this record cannot be a host",
        )
    return shape


def _moments(stack: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> list[float]:
    """Second moments xx, yy, xy in arcsec^2 under a Gaussian window."""
    window = np.maximum(stack, 0.0) * np.exp(-0.5 * (dx**2 + dy**2) / _MOMENT_SIGMA**2)
    return [float((window * p).sum() / window.sum()) for p in (dx * dx, dy * dy, dx * dy)]


def _psf_size(host: Cutout, weights: np.ndarray) -> float:
    """xx + yy of the moments of a star: the PSFs added up with `weights` [band]."""
    assert host.psf is not None
    star = np.einsum("b,byx->yx", weights / weights.sum(), host.psf.astype(float))
    scale = host.metadata.pixel_scale
    y, x = (np.indices(star.shape) - (np.array(star.shape) - 1)[:, None, None] / 2) * scale
    xx, yy, _ = _moments(star, x, y)
    return xx + yy


def host_noise(host: Cutout) -> Noise:
    """Sky noise, and the electrons behind one nJy: the sky's own Poisson noise gives them.

    An exposure limited by the sky has a variance of sky / electrons per pixel; with the brightness
    of the dark sky this is the gain, whatever units and coadds lie between. Brighter nights give
    fewer electrons than are assumed in vain: the arcs' noise is then too high by that factor, a
    small part of a sky-limited total.
    Raises UnsuitableHostError where a band has no variance.
    """
    electrons, sigma = np.ones(len(SLOTS)), np.full(len(SLOTS), np.inf)
    area = host.metadata.pixel_scale**2
    for band, flag in enumerate(host.metadata.band_flags):
        if not flag:
            continue
        variance = host.variance[band]
        usable = np.isfinite(variance) & (variance > 0)
        if not usable.any():
            raise UnsuitableHostError(
                host.metadata.sample_id,
                f"band {SLOTS[band]} has no variance; prepare the records (the images room "
                "estimates it) before arcs are painted",
            )
        # the sky's variance is the lower half: the host's own light adds to that of the upper
        sky = float(np.quantile(variance[usable], 0.25))
        sigma[band] = np.sqrt(sky)
        electrons[band] = njy_from_magnitude(SKY_MAG_ARCSEC2[SLOTS[band]]) * area / sky
    return Noise(electrons, sigma)


def survey_of(hosts: Iterable[Cutout], band: str = "i") -> Survey:
    """Seeing and depth of a set of hosts (medians), for the selection of its population.

    In `band`, and in those other bands that at least half of these hosts have.
    Raises ValueError where no host has the band with a PSF.
    """
    slot = SLOTS.index(band)
    measured = [_seeing_and_noise(host) for host in hosts
                if host.metadata.band_flags[slot] and host.psf is not None]  # fmt: skip
    if not measured:
        raise ValueError(f"no host has band {band} with a PSF; name another band")
    bands: dict[str, Band] = {}
    for name in (band, *(other for other in SLOTS if other != band)):
        found = np.array([one[name] for one in measured if name in one])
        if 2 * len(found) >= len(measured):
            seeing, depth_njy = np.median(found, axis=0)
            limit = float(magnitude_from_njy(float(depth_njy)))
            bands[name] = Band(SLOT_UM[name], float(seeing), limit, SKY_MAG_ARCSEC2[name])
    first, *others = bands.values()
    return Survey(
        first.seeing_arcsec, first.depth_5sigma, first.sky_mag_arcsec2, tuple(others),
        first.wavelength_um,
    )  # fmt: skip


def _seeing_and_noise(host: Cutout) -> dict[str, tuple[float, float]]:
    """Band: FWHM in arcsec and flux in nJy of a point source at 5 sigma."""
    assert host.psf is not None
    sigma, found = host_noise(host).sigma_njy, {}
    for slot in np.flatnonzero(host.metadata.band_flags):
        # noise-equivalent area of the PSF: 1 / sum of its squares, in pixels
        area = 1.0 / float((host.psf[slot].astype(float) ** 2).sum())
        seeing = 2.3548 * np.sqrt(area / (4 * np.pi)) * host.metadata.pixel_scale
        # the noise of a sum of neighbouring pixels, not of single ones
        noise = sigma[slot] * np.sqrt(area * float(host.noise_corr[slot]))
        found[SLOTS[slot]] = (float(seeing), 5.0 * noise)
    return found
