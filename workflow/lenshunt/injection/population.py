"""A population of galaxy-scale lenses as a survey would find it: physics, then selection."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.injection.population_priors import (
    SIGMA_RANGE_KM_S,
    absolute_v,
    apparent_i,
    arcsec_per_kpc,
    dispersion_function,
    draw_axis_ratio,
    draw_deflector_redshift,
    draw_from,
    draw_shear,
    draw_source_magnitude,
    draw_source_redshift,
    early_type_light,
    einstein_radius,
    source_radius_kpc,
)
from lenshunt.records import njy_from_magnitude
from lenshunt.simulate.seds import SCD, STARBURST

#: Candidates drawn at once.
_BLOCK = 200_000
#: A prior that finds fewer lenses than this among the candidates of one block is refused.
_EFFICIENCY_MIN = 1e-5


@dataclass(frozen=True)
class Survey:
    """What decides whether a lens is seen.

    seeing_arcsec : FWHM in i (or VIS)
    depth_5sigma : AB magnitude of a point source at 5 sigma
    sky_mag_arcsec2 : brightness of the sky, against which the lens's light adds Poisson noise
    """

    seeing_arcsec: float
    depth_5sigma: float
    sky_mag_arcsec2: float

    @property
    def sky_sigma_njy(self) -> float:
        """Noise of the sky in nJy in one square arcsec."""
        psf_area = 4.0 * np.pi * (self.seeing_arcsec / 2.3548) ** 2
        return float(njy_from_magnitude(self.depth_5sigma) / 5.0 / np.sqrt(psf_area))


#: Ten-year LSST: Ivezic et al. 2019, ApJ 873, 111 (seeing of the coadd as in Collett's table, whose
#: full coadds have 0.93 arcsec); HSC Wide: Aihara et al. 2018, PASJ 70, S4; Euclid VIS:
#: Euclid Collaboration: Mellier et al. 2025, A&A 697, A1; DES DR2: Abbott et al. 2021, ApJS 255,
#: 20 (23.8 at 10 sigma). Skies: Collett 2015.
SURVEYS = {
    "lsst": Survey(0.93, 26.8, 20.1),
    "hsc": Survey(0.60, 26.2, 20.1),
    "euclid": Survey(0.18, 26.2, 22.2),
    "des": Survey(0.88, 24.6, 20.1),
}


@dataclass(frozen=True)
class Selection:
    """Which lenses count as found: Collett 2015, sect. 3.

    snr_min : total signal to noise ratio of the lensed light
    magnification_min : of the whole source
    seeing_fraction : theta_E^2 > r_source^2 + (seeing_fraction x seeing)^2
    resolved : magnification x r_source is larger than the seeing (tangential stretching is seen)
    theta_e_range : Einstein radii in arcsec that are kept
    """

    snr_min: float = 20.0
    magnification_min: float = 3.0
    seeing_fraction: float = 0.5
    resolved: bool = True
    theta_e_range: tuple[float, float] = (0.0, 10.0)


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
    table["theta_e"] = einstein_radius(*_columns(table, "sigma_km_s", "z_lens", "z_source"))
    ratio = table["theta_e"] / einstein_radius(
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
        lens_radius=np.clip(radius_kpc * arcsec_per_kpc(z_lens), 0.05, 10.0),
        source_sed=source_sed,
        source_reddening=np.maximum(rng.normal(0.05, 0.08, n), -0.05),
        source_radius=np.clip(source_kpc * arcsec_per_kpc(z_source), 0.03, 2.0),
        source_sersic=np.clip(rng.lognormal(0.0, 0.25, n), 0.5, 2.5),
        source_q=draw_axis_ratio(rng, np.full(n, 140.0)),
        source_angle=rng.uniform(0.0, np.pi, n),
        source_x=offset * np.cos(turn) * table["theta_e"],
        source_y=offset * np.sin(turn) * table["theta_e"],
    )


def magnification(table: pd.DataFrame) -> np.ndarray:
    """Total magnification of a disc of the source's size behind the isothermal sphere.

    2 / y for a point at y theta_E; 4 theta_E / r for a disc of radius r behind the centre
    (area of a ring of width 2 r); joined in quadrature. Good to 15 %, for the selection alone.
    """
    theta_e, radius, x, y = _columns(table, "theta_e", "source_radius", "source_x", "source_y")
    offset = np.hypot(x, y) / theta_e
    return 2.0 / np.sqrt(offset**2 + (0.5 * radius / theta_e) ** 2)


def arc_snr(table: pd.DataFrame, survey: Survey) -> np.ndarray:
    """Signal to noise ratio of the lensed light in i over sky and the light of the lens.

    Two images, each as large as the PSF and its share of the source's magnified area; the lens
    (de Vaucouleurs) adds Poisson noise of its brightness at theta_E.
    """
    mu = magnification(table)
    radius, theta_e, lens_radius = _columns(table, "source_radius", "theta_e", "lens_radius")
    psf_area = 4.0 * np.pi * (survey.seeing_arcsec / 2.3548) ** 2
    # noise-equivalent area of an exponential disc is about 2.3 x pi r_e^2 (matched filter)
    area = 2.0 * psf_area + mu * 2.3 * np.pi * radius**2
    lens_flux = njy_from_magnitude(table["lens_magnitude"].to_numpy())
    shape = np.exp(-7.669 * ((theta_e / lens_radius) ** 0.25 - 1.0)) / (22.67 * lens_radius**2)
    sky = njy_from_magnitude(survey.sky_mag_arcsec2)
    noise = survey.sky_sigma_njy * np.sqrt(area * (1.0 + lens_flux * shape / sky))
    return mu * njy_from_magnitude(table["source_magnitude"].to_numpy()) / noise


def selected(table: pd.DataFrame, survey: Survey, selection: Selection) -> np.ndarray:
    """bool [n]: lenses that the survey shows."""
    radius, theta_e = _columns(table, "source_radius", "theta_e")
    mu = table["magnification"].to_numpy()
    smallest = np.hypot(radius, selection.seeing_fraction * survey.seeing_arcsec)
    keep = (theta_e > smallest) & (mu > selection.magnification_min)
    if selection.resolved:
        keep &= mu * radius > survey.seeing_arcsec
    low, high = selection.theta_e_range
    keep &= (theta_e > low) & (theta_e < high)
    return keep & (table["arc_snr"].to_numpy() > selection.snr_min)


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
    lens), magnification (estimate), arc_snr (estimate; without a survey NaN).
    Raises ValueError where the selection leaves next to nothing.
    """
    chosen, deflectors = selection or Selection(), deflectors or Deflectors()
    parts: list[pd.DataFrame] = []
    found = drawn = 0
    while found < n:
        pairs = _candidates(rng, _BLOCK, deflectors)
        if survey is not None:
            # most pairs fail here already; the full selection follows
            smallest = chosen.seeing_fraction * survey.seeing_arcsec
            pairs = pairs[pairs["theta_e"] > smallest].reset_index(drop=True)
        table = _with_shapes(rng, pairs)
        table["magnification"] = magnification(table)
        table["arc_snr"] = float("nan")
        if survey is not None:
            table["arc_snr"] = arc_snr(table, survey)
            table = table[selected(table, survey, chosen)]
        drawn += _BLOCK
        found += len(table)
        parts.append(table)
        if found < _EFFICIENCY_MIN * drawn:
            raise ValueError(
                f"only {found} of {drawn} simulated lenses pass {chosen}; lower snr_min or widen "
                "theta_e_range"
            )
    return pd.concat(parts, ignore_index=True).head(n)
