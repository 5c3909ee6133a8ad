"""Injection: the arcs of a lens painted onto a real galaxy, beside the galaxy as its negative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.injection.arcs import Mass, count_images, lensed_light, supersampling, through_psf
from lenshunt.injection.hosts import HostShape, Noise, host_noise, host_shape
from lenshunt.injection.real_sources import RealSource
from lenshunt.records import (
    SLOTS,
    Cutout,
    magnitude_from_njy,
    njy_from_magnitude,
    slot_index,
)
from lenshunt.simulate.profiles import Clumpy, clumpy_brightness, draw_clumpy
from lenshunt.simulate.seds import band_fluxes

#: Confidence in the label of a host: unknown lenses are rare.
HOST_CONFIDENCE = 0.99
#: Angle between the major axes of mass and light, rms: Koopmans et al. 2006, ApJ 649, 599.
_ANGLE_RMS = np.radians(10.0)
#: Differences in magnitude and redshift over which a lens of the population may stand for a host.
_HOST_MAGNITUDE, _HOST_REDSHIFT = 0.25, 0.05
#: How well the host's own light can be told from arcs: to this fraction of its brightness, in
#: every area of the size of the PSF.
HOST_RESIDUAL = 0.05
#: Lenses of the population nearest to a host among which one is drawn.
_NEAREST = 60


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


@dataclass(frozen=True)
class Injected:
    """A lens made from a host, the host as its negative, and what was painted.

    arcs_njy : float32 [band, y, x], noiseless; truth : one value per column of the truth table
    """

    lens: Cutout
    host: Cutout
    arcs_njy: np.ndarray
    truth: dict[str, Any]


def choose_lens(
    rng: np.random.Generator, population: pd.DataFrame, magnitude_i: float, redshift: float
) -> dict[str, float]:
    """A row of the population whose lens galaxy could be the host.

    magnitude_i : AB; redshift : of the host, below 0 where unknown
    """
    distance = ((population["lens_magnitude"] - magnitude_i) / _HOST_MAGNITUDE) ** 2
    if redshift >= 0:
        distance = distance + ((population["z_lens"] - redshift) / _HOST_REDSHIFT) ** 2
    nearest = np.argsort(distance.to_numpy(), kind="stable")[:_NEAREST]
    return dict(population.iloc[int(rng.choice(nearest))])


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
    clumpy = draw_clumpy(rng, x, y, row["source_radius"] / np.sqrt(q))
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

    Raises ValueError where the host has no PSF: nothing can be painted at its resolution.
    """
    if host.psf is None:
        raise ValueError(
            f"{host.metadata.sample_id}: no PSF; arcs cannot be seen at an unknown resolution"
        )
    scale = host.metadata.pixel_scale
    rays = supersampling(lens.row["source_radius"], scale)
    shape = (host.image.shape[1], host.image.shape[2])
    fine = lensed_light(lens.mass, lens.brightness, shape, scale, rays)
    present = np.flatnonzero(host.metadata.band_flags)
    arcs = np.zeros_like(host.image)
    # ringing of the low-pass, 1e-6 of the peak, is no light
    unit = np.maximum(through_psf(fine, host.psf[present], rays), 0.0)
    arcs[present] = unit * lens.fluxes_njy[present, None, None].astype(np.float32)
    return arcs, float(fine.sum())


def matched_snr(arcs_njy: np.ndarray, variance: np.ndarray, noise_corr: np.ndarray) -> float:
    """S/N of arcs of known shape, all bands together: sqrt(sum arcs^2 / (variance noise_corr))."""
    weight = np.where(np.isfinite(variance), 1.0 / (variance * noise_corr[:, None, None]), 0.0)
    return float(np.sqrt((arcs_njy.astype(float) ** 2 * weight).sum()))


def with_arcs(
    rng: np.random.Generator, host: Cutout, arcs_njy: np.ndarray, noise: Noise
) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance of the host with arcs: their light, its Poisson noise, its variance."""
    usable = np.isfinite(host.variance)
    poisson = arcs_njy / noise.electrons_per_njy[:, None, None].astype(np.float32)
    drawn = np.sqrt(poisson) * rng.standard_normal(arcs_njy.shape, dtype=np.float32)
    image = np.where(usable, host.image + arcs_njy + drawn, host.image)
    return image.astype(np.float32), (host.variance + poisson).astype(np.float32)


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
    snr_min : of the arcs over the noise and HOST_RESIDUAL of the host's light; arcs that are a
        per cent of a bright galaxy are far above the noise and yet nobody sees them. `arc_snr` of
        the record is over the noise alone.
    The lens and its host share the system of the host, so that no split parts them, nor either of
    them from the host's own record. Raises ValueError where PSF or variance are missing.
    """
    noise, shape = host_noise(host), host_shape(host)
    band = _reference_band(host)
    flux = float(shape.flux_njy[band])
    magnitude = float(magnitude_from_njy(flux))
    meta = host.metadata
    redshift = meta.z_spec if meta.z_spec >= 0 else meta.z_phot
    for _ in range(tries):
        row = choose_lens(rng, population, magnitude, redshift)
        lens = draw_lens(rng, row, shape, meta.bands, sources or [])
        arcs, magnified = paint(lens, host)
        image, variance = with_arcs(rng, host, arcs, noise)
        visible = matched_snr(arcs, variance + _confusion(host), host.noise_corr)
        if visible >= snr_min:
            snr = matched_snr(arcs, variance, host.noise_corr)
            truth = _truth(lens, arcs, magnified, snr, band, flux)
            truth["visible_snr"] = visible
            return _records(host, image, variance, arcs, truth, dataset)
    return None


def _confusion(host: Cutout) -> np.ndarray:
    """Variance [band, y, x] of the host's light that cannot be told from arcs.

    It is the same all over one PSF, whose noise-equivalent area in pixels it is multiplied with.
    """
    if host.psf is None:
        raise ValueError(f"{host.metadata.sample_id}: no PSF")
    squares = (host.psf.astype(float) ** 2).sum(axis=(1, 2))
    area = np.where(squares > 0, 1.0 / np.where(squares > 0, squares, 1.0), 1.0)
    light = HOST_RESIDUAL * np.maximum(host.image, 0.0)
    return (light**2 * area[:, None, None]).astype(np.float32)


def _reference_band(host: Cutout) -> int:
    """i, or the nearest band that is there."""
    flags = np.flatnonzero(host.metadata.band_flags)
    return int(flags[np.argmin(np.abs(flags - slot_index("i")))])


def _truth(
    lens: Lens, arcs: np.ndarray, magnified: float, snr: float, band: int, host_njy: float
) -> dict[str, Any]:
    """What the truth table holds of one lens."""
    lensed = magnified * float(lens.fluxes_njy[band])
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
        "host_magnitude": float(magnitude_from_njy(host_njy)),
        **{f"arc_flux_{name}": float(flux) for name, flux in
           zip(SLOTS, arcs.sum(axis=(1, 2)), strict=True)},
    }  # fmt: skip


def _records(
    host: Cutout,
    image: np.ndarray,
    variance: np.ndarray,
    arcs: np.ndarray,
    truth: dict[str, Any],
    dataset: str,
) -> Injected:
    name = f"{dataset}-{host.metadata.sample_id}"
    flux = np.array(host.metadata.flux) + arcs.sum(axis=(1, 2), dtype=float)
    before = njy_from_magnitude(np.array(host.metadata.magnitude))
    # unknown magnitudes stay unknown
    magnitude = magnitude_from_njy(before + arcs.sum(axis=(1, 2), dtype=float))
    lens = replace(host, image=image, variance=variance).with_metadata(
        sample_id=f"{name}-lens",
        dataset=dataset,
        label=1,
        label_source="sim:injection",
        label_confidence=1.0,
        einstein_radius=truth["theta_e"],
        flux_ratio=truth["flux_ratio"],
        arc_snr=truth["arc_snr"],
        flux=tuple(float(value) for value in flux),
        magnitude=tuple(float(value) for value in magnitude),
    )
    negative = host.with_metadata(
        sample_id=f"{name}-host",
        dataset=dataset,
        label=0,
        label_source="obs:matched",
        label_confidence=HOST_CONFIDENCE,
        einstein_radius=float("nan"),
        flux_ratio=float("nan"),
        arc_snr=float("nan"),
    )
    truth = {"sample_id": lens.metadata.sample_id, "system_id": lens.metadata.system_id, **truth}
    return Injected(lens, negative, arcs, truth)
