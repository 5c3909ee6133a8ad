"""Injection: the arcs of a lens painted onto a real galaxy, beside the galaxy as its negative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.core.sersic import semi_major_of
from lenshunt.scenes.arcs import Mass, count_images, lensed_light, supersampling, through_psf
from lenshunt.scenes.host_lenses import at_redshift, check_alike, lenses_like, movable
from lenshunt.scenes.hosts import (
    HostShape,
    Noise,
    UnsuitableHostError,
    host_noise,
    host_shape,
)
from lenshunt.scenes.injected_records import (
    HOST_CONFIDENCE,
    Injected,
    lens_records,
    matched_negative,
)
from lenshunt.scenes.painted_noise import (
    HOST_RESIDUAL,
    matched_snr,
    visible_snr,
    with_arcs,
)
from lenshunt.scenes.profiles import Clumpy, clumpy_brightness, draw_clumpy
from lenshunt.scenes.real_sources import RealSource
from lenshunt.scenes.seds import band_fluxes
from lenshunt.schema import (
    SLOTS,
    Cutout,
    best_redshift,
    magnitude_from_njy,
    reference_band,
)

__all__ = [
    "HOST_CONFIDENCE", "HOST_RESIDUAL", "Injected", "Lens", "Painted", "at_redshift", "draw_lens",
    "inject", "lenses_like", "matched_negative", "matched_snr", "paint", "suited_host",
    "visible_lens", "with_arcs",
]  # fmt: skip

#: Angle between the major axes of mass and light, rms: Koopmans et al. 2006, ApJ 649, 599.
_ANGLE_RMS = np.radians(10.0)


@dataclass(frozen=True)
class Lens:
    """One lens to be painted: mass, source, and the fluxes of the source before lensing.

    row : of `draw_population`; real : the galaxy whose light is used, or None for a clumpy one
    clumpy : body and clumps where there is no real galaxy
    fluxes_njy : [band slot]
    """

    mass: Mass
    row: dict[str, float]
    source: tuple[float, float]
    real: RealSource | None
    clumpy: Clumpy
    turned: tuple[float, bool]
    fluxes_njy: np.ndarray

    def brightness(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Surface brightness per square arcsec of the source of unit flux."""
        if self.real is None:
            return clumpy_brightness(x.astype(np.float32), y.astype(np.float32), self.clumpy)
        return self.real.brightness(x, y, self.source, self.row["source_radius"], *self.turned)


def draw_lens(
    rng: np.random.Generator,
    row: dict[str, float],
    shape: HostShape,
    bands: tuple[str, ...],
    sources: list[RealSource],
) -> Lens:
    """The lens of a row of the population, placed on a host and turned along its light.

    sources : real galaxies, drawn with equal chance; none makes clumpy Sersic galaxies
    """
    angle = shape.angle + float(rng.normal(0.0, _ANGLE_RMS))
    mass = Mass(row["theta_e"], row["q"], angle, row["gamma1"], row["gamma2"], shape.x, shape.y)
    x, y = shape.x + row["source_x"], shape.y + row["source_y"]
    q = row["source_q"]
    clumpy = draw_clumpy(rng, x, y, semi_major_of(row["source_radius"], q))
    body = replace(
        clumpy.body, n=round(row["source_sersic"], 2), q=q, angle=float(row["source_angle"])
    )
    fluxes = np.zeros(len(SLOTS))
    for slot, name in enumerate(bands):
        if name:
            fluxes[slot] = band_fluxes(
                row["source_magnitude"], row["source_sed"], row["z_source"], (name,),
                row["source_reddening"],
            )[0]  # fmt: skip
    real = sources[int(rng.integers(len(sources)))] if sources else None
    turned = float(rng.uniform(0.0, 2.0 * np.pi)), bool(rng.random() < 0.5)
    return Lens(mass, row, (x, y), real, Clumpy(body, clumpy.clumps), turned, fluxes)


def paint(lens: Lens, host: Cutout) -> tuple[np.ndarray, float]:
    """Arcs in nJy [band, y, x] through the host's PSFs, and the magnification.

    Raises UnsuitableHostError where the host has no PSF: nothing can be painted at its resolution.
    """
    if host.psf is None:
        raise UnsuitableHostError(
            host.metadata.sample_id, "no PSF; arcs cannot be seen at an unknown resolution"
        )
    scale = host.metadata.pixel_scale
    rays = supersampling(lens.row["source_radius"], scale)
    shape = (host.image.shape[1], host.image.shape[2])
    fine = lensed_light(lens.mass, lens.brightness, shape, scale, rays)
    present = np.flatnonzero(host.metadata.band_flags)
    arcs = np.zeros_like(host.image)
    psf = host.psf[present]
    if (psf == psf[:1]).all():
        # matched to one target: the bands differ in flux alone
        psf = psf[:1]
    # ringing of the low-pass, 1e-6 of the peak, is no light
    unit = np.maximum(through_psf(fine, psf, rays), 0.0)
    arcs[present] = unit * lens.fluxes_njy[present, None, None].astype(np.float32)
    return arcs, float(fine.sum())


def inject(
    rng: np.random.Generator,
    host: Cutout,
    population: pd.DataFrame,
    dataset: str,
    sources: list[RealSource] | None = None,
    snr_min: float = 20.0,
    tries: int = 20,
) -> Injected | None:
    """Make a lens of a host; None where no lens of `tries` is seen.

    host : with PSF and variance, raw (before any PSF matching)
    population : of `draw_population`, for the survey of the hosts
    snr_min : of the arcs in their best band, over the noise and HOST_RESIDUAL of the host's
        light; arcs that are a per cent of a bright galaxy are far above the noise and yet nobody
        sees them. `arc_snr` of the record is over the noise alone, of all bands together.
    The lens and its host share the system of the host, so that no split parts them, nor either of
    them from the host's own record. Where the host's redshift is known, it is the lens's.
    Raises UnsuitableHostError where PSF, variance or a galaxy in the middle are missing.
    """
    painted = visible_lens(rng, host, population, sources, snr_min, tries)
    if painted is None:
        return None
    image, variance = with_arcs(rng, host, painted.arcs_njy, painted.noise)
    snr = matched_snr(painted.arcs_njy, variance, host.noise_corr)
    truth = _truth(painted, snr)
    return lens_records(host, image, variance, painted.arcs_njy, truth, dataset)


@dataclass(frozen=True)
class Painted:
    """A lens that is seen on a host, before any noise is drawn.

    arcs_njy : as in `Injected`; magnification : of the whole source, within the image
    visible_snr : over the noise and HOST_RESIDUAL of the host's light
    shape, noise : of the host; band : slot in which its flux and the flux ratio are given
    """

    lens: Lens
    arcs_njy: np.ndarray
    magnification: float
    visible_snr: float
    shape: HostShape
    noise: Noise
    band: int

    @property
    def host_njy(self) -> float:
        """Flux of the host within 3 arcsec in the band."""
        return float(self.shape.flux_njy[self.band])


def visible_lens(
    rng: np.random.Generator,
    host: Cutout,
    population: pd.DataFrame,
    sources: list[RealSource] | None,
    snr_min: float,
    tries: int,
) -> Painted | None:
    """The first of `tries` lenses for the host that is seen, or None; arguments as `inject`."""
    suited = suited_host(host, population)
    for _ in range(tries):
        row = dict(population.iloc[int(rng.choice(suited.alike))])
        moved = at_redshift(row, suited.redshift)
        if moved is None:
            continue
        lens = draw_lens(rng, moved, suited.shape, host.metadata.bands, sources or [])
        arcs, magnified = paint(lens, host)
        visible = visible_snr(arcs, host, suited.noise)
        if visible >= snr_min:
            return Painted(lens, arcs, magnified, visible, suited.shape, suited.noise, suited.band)
    return None


@dataclass(frozen=True)
class SuitedHost:
    """A host that lenses of the population may be painted on.

    band : slot in which its flux is compared; redshift : NaN where unknown
    alike : rows of the population, nearest first
    """

    noise: Noise
    shape: HostShape
    band: int
    redshift: float
    alike: np.ndarray


def suited_host(host: Cutout, population: pd.DataFrame) -> SuitedHost:
    """Noise and shape of a host, and the lenses that its galaxy could be.

    Raises UnsuitableHostError where it can carry no arcs, or where no lens of the population has
    such a galaxy.
    """
    noise, shape = host_noise(host), host_shape(host)
    band = int(reference_band(host.metadata.band_flags))
    flux = float(shape.flux_njy[band])
    if not flux > 0:
        raise UnsuitableHostError(
            host.metadata.sample_id, f"no flux in band {SLOTS[band]}; this record cannot be a host"
        )
    meta = host.metadata
    redshift = float(best_redshift(meta.z_spec, meta.z_phot))
    magnitude = float(magnitude_from_njy(flux))
    alike = lenses_like(population, magnitude, redshift)
    check_alike(host, shape, population.iloc[alike], magnitude, band)
    if not movable(population.iloc[alike], redshift).any():
        raise UnsuitableHostError(
            meta.sample_id, "no lens of the population could be at the redshift of this galaxy"
        )
    return SuitedHost(noise, shape, band, redshift, alike)


def _truth(painted: Painted, snr: float) -> dict[str, Any]:
    """What the truth table holds of one lens."""
    lens, host_njy, magnified = painted.lens, painted.host_njy, painted.magnification
    lensed = magnified * float(lens.fluxes_njy[painted.band])
    kept = ("theta_e", "z_lens", "z_source", "sigma_km_s", "q", "gamma1", "gamma2",
            "source_magnitude", "source_radius", "source_sersic", "source_q")  # fmt: skip
    return {
        **{name: float(lens.row[name]) for name in kept},
        "angle": float(lens.mass.angle),
        "lens_x": lens.mass.x,
        "lens_y": lens.mass.y,
        "source_x": lens.source[0],
        "source_y": lens.source[1],
        "source_name": lens.real.name if lens.real else "",
        "magnification": magnified,
        "n_images": count_images(lens.mass, *lens.source),
        "lensed_flux": lensed,
        "flux_ratio": lensed / (lensed + max(host_njy, 0.0)),
        "arc_snr": snr,
        "visible_snr": painted.visible_snr,
        "host_magnitude": float(magnitude_from_njy(host_njy)),
        **{f"arc_flux_{name}": float(flux) for name, flux in
           zip(SLOTS, painted.arcs_njy.sum(axis=(1, 2)), strict=True)},
    }  # fmt: skip
