"""Published relations that a population of lenses is drawn from; all vectorised.

Deflectors and sources follow Collett 2015 (ApJ 811, 20; LensPop), as its public code has them;
its catalogue of simulated sources is replaced by the counts and redshifts of COSMOS.
"""

import numpy as np
from scipy.special import gamma as gamma_function

from lenshunt.core.cosmology import H0_KM_S_MPC, fine_distances
from lenshunt.scenes.seds import I_BAND_UM, knots

#: Choi, Park & Vogeley 2007, ApJ 658, 884: early types; phi_star for h = 1 in Mpc^-3, km/s.
VDF_PHI_STAR, VDF_SIGMA_STAR, VDF_ALPHA, VDF_BETA = 8.0e-3, 161.0, 2.32, 2.67
SIGMA_RANGE_KM_S = (100.0, 450.0)
#: Wavelengths of the r band (absolute magnitudes of deflectors) and of V (of sources).
_R_UM, _V_UM = 0.617, 0.55
#: LSST Science Book (arXiv:0912.0201), sect. 3.7.2: N(<i) = 46 x 10^(0.31 (i - 25)) per arcmin^2.
#: The COSMOS counts below give 45 for 22 < i < 25.
COUNT_SLOPE, COUNT_AT_25_ARCMIN2 = 0.31, 46.0
#: Ilbert et al. 2009, ApJ 690, 1236, table 2: p(z) ~ (z^a + z^(a b)) / (z^b + c) in bins of half a
#: magnitude around i; the last row is an extrapolation (a and ln c are straight lines in i), which
#: holds for all fainter galaxies.
_COSMOS_REDSHIFTS = (
    (22.25, 0.497, 12.643, 0.381),
    (22.75, 0.448, 9.251, 0.742),
    (23.25, 0.372, 6.736, 1.392),
    (23.75, 0.273, 5.281, 2.614),
    (24.25, 0.201, 4.494, 3.932),
    (24.75, 0.126, 4.146, 5.925),
    (25.25, 0.050, 3.661, 11.761),
)
SOURCE_MAGNITUDES = (20.0, 28.0)
#: Mean and scatter in dex of the external shear: Holder & Schechter 2003, ApJ 589, 688.
SHEAR_MEAN, SHEAR_DEX = 0.05, 0.2
#: Sigma of a Gaussian over its full width at half maximum.
SIGMA_OF_FWHM = float(1.0 / np.sqrt(8.0 * np.log(2.0)))


def dispersion_function(sigma_km_s: np.ndarray) -> np.ndarray:
    """Number of early types per Mpc^3 and km/s, constant in comoving volume (Collett 2015)."""
    x = sigma_km_s / VDF_SIGMA_STAR
    amplitude = VDF_PHI_STAR * (H0_KM_S_MPC / 100.0) ** 3
    norm = VDF_BETA / gamma_function(VDF_ALPHA / VDF_BETA)
    return amplitude * norm * x**VDF_ALPHA * np.exp(-(x**VDF_BETA)) / sigma_km_s


def draw_from(rng: np.random.Generator, x: np.ndarray, density: np.ndarray, n: int) -> np.ndarray:
    """`n` values of x with the given density on a fine grid (inverse of the cumulative sum)."""
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(x)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return np.interp(rng.random(n) * cumulative[-1], cumulative, x)


def draw_deflector_redshift(
    rng: np.random.Generator, n: int, z_max: float, evolution: float
) -> np.ndarray:
    """Redshifts, 0.02 < z < z_max, for a number per comoving volume ~ (1 + z)^evolution."""
    z = np.linspace(0.02, z_max, 2000)
    distance = fine_distances().comoving_mpc(z)
    volume = distance**2 * np.gradient(distance, z)
    return draw_from(rng, z, volume * (1.0 + z) ** evolution, n)


def deflectors_per_deg2(z_max: float, evolution: float) -> float:
    """Early types within SIGMA_RANGE_KM_S and 0.02 < z < z_max behind one square degree."""
    z, sigma = np.linspace(0.02, z_max, 2000), np.linspace(*SIGMA_RANGE_KM_S, 2000)
    distance = fine_distances().comoving_mpc(z)
    volume = distance**2 * np.gradient(distance, z) * (1.0 + z) ** evolution
    per_sr = np.trapezoid(volume, z) * np.trapezoid(dispersion_function(sigma), sigma)
    return float(per_sr * np.radians(1.0) ** 2)


def sources_per_arcsec2() -> float:
    """Galaxies within SOURCE_MAGNITUDES."""
    bright, faint = (10 ** (COUNT_SLOPE * (m - 25.0)) for m in SOURCE_MAGNITUDES)
    return COUNT_AT_25_ARCMIN2 * (faint - bright) / 3600.0


def draw_axis_ratio(rng: np.random.Generator, sigma_km_s: np.ndarray) -> np.ndarray:
    """q of light and mass: 1 - q is Rayleigh, rounder for massive ones, q > 0.2 (Collett 2015)."""
    scale = np.maximum(0.38 - 5.7e-4 * sigma_km_s, 0.05)
    # the Rayleigh distribution cut at 0.8, by the inverse of its cumulative function
    below = 1.0 - np.exp(-0.5 * (0.8 / scale) ** 2)
    return 1.0 - scale * np.sqrt(-2.0 * np.log1p(-rng.random(len(scale)) * below))


def draw_shear(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """gamma1 and gamma2 of a log-normal strength in a random direction, below 0.3."""
    strength = np.minimum(SHEAR_MEAN * 10 ** (SHEAR_DEX * rng.standard_normal(n)), 0.3)
    twice = rng.uniform(0.0, 2.0 * np.pi, n)
    return strength * np.cos(twice), strength * np.sin(twice)


def early_type_light(
    rng: np.random.Generator, sigma_km_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Absolute r magnitude and effective radius in kpc at a velocity dispersion.

    Hyde & Bernardi 2009, MNRAS 394, 1978: log sigma = -2.97 - 0.37 M - 0.006 M^2 and
    log R = 2.46 - 2.79 V + 0.84 V^2, V = log sigma, with the scatter that Collett 2015 gives them.
    """
    v = np.log10(sigma_km_s)
    magnitude = (-0.37 + np.sqrt(0.37**2 - 4 * 0.006 * (2.97 + v))) / (2 * 0.006)
    magnitude = magnitude + rng.normal(0.0, 0.0625, len(v))
    radius = 10 ** (2.46 - 2.79 * v + 0.84 * v**2 + rng.normal(0.0, 0.11, len(v)))
    return magnitude, radius


def log_spectrum(sed: np.ndarray, z: np.ndarray, wavelength_um: float) -> np.ndarray:
    """log10 f_nu of spectral types `sed` (0 .. 3) at one observed wavelength, arbitrary zero.

    As `seds.log_flux`, for arrays of galaxies.
    """
    log_knots, spectra = knots()
    log_rest = np.log10(wavelength_um / (1.0 + z))
    at_rest = np.stack([np.interp(log_rest, log_knots, spectrum) for spectrum in spectra])
    lower = np.clip(np.floor(sed), 0, 2).astype(int)
    rows = np.arange(len(lower))
    values = at_rest[lower, rows] + (sed - lower) * (
        at_rest[lower + 1, rows] - at_rest[lower, rows]
    )
    # Lyman alpha forest: Madau 1995, ApJ 441, 18, eq. 12
    forest = np.where(log_rest < np.log10(0.1216), 0.0036 * (wavelength_um / 0.1216) ** 3.46, 0.0)
    return values - forest / np.log(10.0)


def apparent_i(absolute_r: np.ndarray, sed: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Observed i magnitude (AB) of galaxies of absolute r magnitude."""
    k = log_spectrum(sed, z, I_BAND_UM) - log_spectrum(sed, np.zeros_like(z), _R_UM)
    return absolute_r + fine_distances().modulus(z) - 2.5 * (k + np.log10(1.0 + z))


def absolute_v(magnitude_i: np.ndarray, sed: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rest-frame V magnitude (AB) of galaxies of observed i magnitude."""
    k = log_spectrum(sed, z, I_BAND_UM) - log_spectrum(sed, np.zeros_like(z), _V_UM)
    return magnitude_i - fine_distances().modulus(z) + 2.5 * (k + np.log10(1.0 + z))


def draw_source_magnitude(rng: np.random.Generator, n: int) -> np.ndarray:
    """i magnitudes (AB) by the number counts, within SOURCE_MAGNITUDES."""
    low, high = (10 ** (COUNT_SLOPE * (m - 25.0)) for m in SOURCE_MAGNITUDES)
    return 25.0 + np.log10(rng.uniform(low, high, n)) / COUNT_SLOPE


def draw_source_redshift(rng: np.random.Generator, magnitude_i: np.ndarray) -> np.ndarray:
    """Redshifts of galaxies of the given i magnitudes, 0.05 to 6, from the COSMOS field."""
    centres = np.array([row[0] for row in _COSMOS_REDSHIFTS])
    place = np.interp(magnitude_i, centres, np.arange(len(centres)))
    # between two bins a galaxy belongs to either, by its distance
    which = np.floor(place + rng.random(len(place))).astype(int).clip(0, len(centres) - 1)
    z, redshift = np.linspace(0.05, 6.0, 3000), np.empty(len(place))
    for bin_number, (_, a, b, c) in enumerate(_COSMOS_REDSHIFTS):
        mine = which == bin_number
        density = (z**a + z ** (a * b)) / (z**b + c)
        redshift[mine] = draw_from(rng, z, density, int(mine.sum()))
    return redshift


def source_radius_kpc(
    rng: np.random.Generator, absolute_v_mag: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Half-light radii: 10^(-(M_V + 18)/4) kpc ((1 + z)/1.6)^-1.2, scatter 0.35 dex.

    Collett 2015, from Mosleh et al. 2012 and Huang et al. 2013.
    """
    scatter = rng.normal(0.0, 0.35, len(z))
    return 10 ** (-(absolute_v_mag + 18.0) / 4.0 + scatter) * ((1.0 + z) / 1.6) ** -1.2
