"""A population of galaxy-scale lenses as a survey would find it: physics, then selection."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.core.cosmology import fine_distances
from lenshunt.scenes.population_priors import (
    SIGMA_RANGE_KM_S,
    absolute_v,
    apparent_i,
    deflectors_per_deg2,
    dispersion_function,
    draw_axis_ratio,
    draw_deflector_redshift,
    draw_from,
    draw_shear,
    draw_source_magnitude,
    draw_source_redshift,
    early_type_light,
    source_radius_kpc,
    sources_per_arcsec2,
)
from lenshunt.scenes.seds import SCD, STARBURST
from lenshunt.scenes.selection import (
    Selection,
    Survey,
    arc_snr,
    magnification,
    selected,
    sharpest,
    with_snr,
)

__all__ = [
    "Deflectors", "Selection", "Survey", "arc_snr", "draw_population",
    "lenses_per_deg2", "magnification", "selected",
]  # fmt: skip

#: Candidates drawn at once.
_BLOCK = 200_000
#: A prior that finds fewer lenses than this among the candidates of one block is refused.
_EFFICIENCY_MIN = 1e-5


@dataclass(frozen=True)
class Deflectors:
    """How the velocity-dispersion function reaches out in redshift.

    z_max : redshift of the farthest deflector
    evolution : exponent of (1 + z) in the number per comoving volume; -2.5 as in LensPop's code
    """

    z_max: float = 2.0
    evolution: float = -2.5


def _candidates(rng: np.random.Generator, n: int, deflectors: Deflectors) -> pd.DataFrame:
    """Lens and source pairs weighted by the cross-section for multiple images, pi theta_E^2.

    theta_E^2 = const sigma^4 (D_LS/D_S)^2: the first factor is drawn, the second one accepted.
    """
    sigma_grid = np.linspace(*SIGMA_RANGE_KM_S, 2000)
    density = dispersion_function(sigma_grid) * sigma_grid**4
    magnitude = draw_source_magnitude(rng, n)
    table = pd.DataFrame(
        {
            "z_lens": draw_deflector_redshift(rng, n, deflectors.z_max, deflectors.evolution),
            "sigma_km_s": draw_from(rng, sigma_grid, density, n),
            "source_magnitude": magnitude,
            "z_source": draw_source_redshift(rng, magnitude),
        }
    )
    table["theta_e"] = fine_distances().einstein_radius(
        *_columns(table, "sigma_km_s", "z_lens", "z_source")
    )
    ratio = table["theta_e"] / fine_distances().einstein_radius(
        table["sigma_km_s"].to_numpy(), np.zeros(n), np.ones(n)
    )
    return table[rng.random(n) < ratio**2].reset_index(drop=True)


def _columns(table: pd.DataFrame, *names: str) -> list[np.ndarray]:
    return [table[name].to_numpy(float) for name in names]


def _with_shapes(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Columns of light, ellipticity, shear and source added to the candidates."""
    n = len(table)
    z_lens, z_source, sigma = _columns(table, "z_lens", "z_source", "sigma_km_s")
    lens_sed = np.abs(rng.normal(0.0, 0.15, n))
    absolute_r, radius_kpc = early_type_light(rng, sigma)
    q, angle = draw_axis_ratio(rng, sigma), rng.uniform(0.0, np.pi, n)
    ellipticity = (1.0 - q) / (1.0 + q)
    gamma1, gamma2 = draw_shear(rng, n)
    source_sed = rng.uniform(SCD - 0.3, STARBURST, n)
    absolute = absolute_v(table["source_magnitude"].to_numpy(), source_sed, z_source)
    source_kpc = source_radius_kpc(rng, absolute, z_source)
    # uniform over the disc of multiple images of the isothermal sphere
    offset, turn = np.sqrt(rng.random(n)), rng.uniform(0.0, 2.0 * np.pi, n)
    return table.assign(
        q=q,
        angle=angle,
        e1=ellipticity * np.cos(2 * angle),
        e2=ellipticity * np.sin(2 * angle),
        gamma1=gamma1,
        gamma2=gamma2,
        lens_sed=lens_sed,
        lens_magnitude=apparent_i(absolute_r, lens_sed, z_lens),
        lens_radius=np.clip(radius_kpc / fine_distances().kpc_per_arcsec(z_lens), 0.05, 10.0),
        source_sed=source_sed,
        source_reddening=np.maximum(rng.normal(0.05, 0.08, n), -0.05),
        source_radius=np.clip(source_kpc / fine_distances().kpc_per_arcsec(z_source), 0.03, 2.0),
        source_sersic=np.clip(rng.lognormal(0.0, 0.25, n), 0.5, 2.5),
        source_q=draw_axis_ratio(rng, np.full(n, 140.0)),
        source_angle=rng.uniform(0.0, np.pi, n),
        source_x=offset * np.cos(turn) * table["theta_e"],
        source_y=offset * np.sin(turn) * table["theta_e"],
    )


def draw_population(
    rng: np.random.Generator,
    n: int,
    survey: Survey | None,
    selection: Selection | None = None,
    deflectors: Deflectors | None = None,
) -> pd.DataFrame:
    """Table of `n` lenses in random order, one row each.

    survey : None draws what is on the sky, without any selection
    Columns: z_lens, z_source, sigma_km_s, theta_e (arcsec), q, angle (radians from +x), e1, e2,
    gamma1, gamma2, lens_magnitude (i, AB), lens_sed, lens_radius (arcsec, circularised),
    source_magnitude (i, AB, unlensed), source_sed, source_reddening, source_radius (arcsec,
    circularised), source_sersic, source_q, source_angle, source_x, source_y (arcsec from the
    lens), magnification (estimate), arc_snr (estimate, of the best band; without a survey NaN),
    arc_seeing (arcsec, in that band).
    Raises ValueError where the selection leaves next to nothing.
    """
    chosen, deflectors = selection or Selection(), deflectors or Deflectors()
    parts: list[pd.DataFrame] = []
    found = drawn = 0
    while found < n:
        pairs = _candidates(rng, _BLOCK, deflectors)
        if survey is not None:
            # most pairs fail here already; the full selection follows
            smallest = chosen.seeing_fraction * sharpest(survey)
            pairs = pairs[pairs["theta_e"] > smallest].reset_index(drop=True)
        table = _with_shapes(rng, pairs)
        table["magnification"] = magnification(table)
        if survey is None:
            table = table.assign(arc_snr=float("nan"), arc_seeing=float("nan"))
        else:
            table = with_snr(table, survey)
            table = table[selected(table, survey, chosen)]
        drawn += _BLOCK
        found += len(table)
        parts.append(table)
        if found < _EFFICIENCY_MIN * drawn:
            raise ValueError(_too_few(found, drawn, survey, chosen))
    return pd.concat(parts, ignore_index=True).head(n)


def _too_few(found: int, drawn: int, survey: Survey | None, chosen: Selection) -> str:
    seen = ""
    if survey is not None:
        seen = (
            f" can be seen at a seeing of {survey.seeing_arcsec:g} arcsec and a depth of "
            f"{survey.depth_5sigma:g} mag (point source, 5 sigma), and"
        )
    low, high = chosen.theta_e_range
    return (
        f"only {found} of {drawn} simulated lenses{seen} have arcs of S/N {chosen.snr_min:g}, "
        f"magnified {chosen.magnification_min:g} times, and an Einstein radius of {low:g} to "
        f"{high:g} arcsec; lower snr_min, allow more Einstein radii where a key gives them, or "
        "take sharper or deeper images"
    )


def lenses_per_deg2(
    rng: np.random.Generator,
    survey: Survey | None,
    selection: Selection | None = None,
    deflectors: Deflectors | None = None,
    blocks: int = 4,
) -> float:
    """Number of lenses per square degree that the survey shows (None: that there are).

    Deflectors per square degree x sources per square arcsec x mean of pi theta_E^2 over both,
    times the fraction selected; of `blocks` x 200,000 pairs.
    """
    chosen, deflectors = selection or Selection(), deflectors or Deflectors()
    count = 0
    for _ in range(blocks):
        table = _with_shapes(rng, _candidates(rng, _BLOCK, deflectors))
        table["magnification"] = magnification(table)
        count += len(table if survey is None else table[selected(table, survey, chosen)])
    # mean of sigma^4, with which the candidates' dispersions were drawn
    sigma = np.linspace(*SIGMA_RANGE_KM_S, 2000)
    phi = dispersion_function(sigma)
    fourth = float(np.trapezoid(phi * sigma**4, sigma) / np.trapezoid(phi, sigma))
    whole = fine_distances().einstein_radius(np.array(1.0), np.array(0.0), np.array(1.0))
    area = np.pi * float(whole) ** 2 * fourth * count / (blocks * _BLOCK)
    density = deflectors_per_deg2(deflectors.z_max, deflectors.evolution)
    return density * sources_per_arcsec2() * area
