"""Galaxy colours: four rest-frame spectra, redshifted and read at a filter's wavelength."""

from functools import cache

import numpy as np

from lenshunt.schema import filter_named, njy_from_magnitude

#: Rest wavelength in micrometres of the knots below.
_KNOTS_UM = (0.09, 0.0912, 0.15, 0.2, 0.25, 0.3, 0.36, 0.4, 0.43, 0.5, 0.6, 0.8, 1.0, 1.6, 2.2)

# log10 f_nu relative to 0.6 um; smooth sketches of the Coleman, Wu & Weedman (1980) E, Sbc, Scd
# and Im spectra: the 4000 A break and the ultraviolet slope are what broad-band colours see.
_SPECTRA = (
    (-4.0, -2.9, -2.5, -2.2, -1.9, -1.45, -1.02, -0.75, -0.42, -0.22, 0.0, 0.18, 0.28, 0.38, 0.3),
    (-4.0, -1.9, -1.5, -1.2, -1.0, -0.85, -0.65, -0.42, -0.28, -0.13, 0.0, 0.12, 0.2, 0.3, 0.25),
    (-4.0, -1.2, -0.8, -0.6, -0.52, -0.45, -0.35, -0.2, -0.12, -0.06, 0.0, 0.07, 0.1, 0.12, 0.1),
    (-4.0, -0.5, -0.22, -0.15, -0.13, -0.12, -0.1, -0.03, -0.02, 0.02, 0.0, 0.0, -0.02, -0.05,
     -0.1),
)  # fmt: skip

#: Spectral types: 0 elliptical, 1 Sbc, 2 Scd, 3 starburst; fractions interpolate.
ELLIPTICAL, SBC, SCD, STARBURST = 0.0, 1.0, 2.0, 3.0

#: Wavelength at which magnitudes of this room are given (the i band).
I_BAND_UM = 0.77


@cache
def knots() -> tuple[np.ndarray, np.ndarray]:
    """log10 of the rest wavelengths [k] in micrometres, and of f_nu [4, k] there."""
    return np.log10(_KNOTS_UM), np.array(_SPECTRA)


def log_flux(sed: float, z: float, wavelength_um: np.ndarray) -> np.ndarray:
    """log10 of f_nu at observed wavelengths [w], arbitrary zero.

    sed : 0 .. 3, see the names above. The blanketing of the Lyman alpha forest follows
    Madau 1995, ApJ 441, 18 (his eq. 12, Lyman alpha alone).
    """
    log_rest = np.log10(wavelength_um / (1.0 + z))
    log_knots, spectra = knots()
    lower = int(np.clip(np.floor(sed), 0, 2))
    weight = sed - lower
    values = (1 - weight) * np.interp(log_rest, log_knots, spectra[lower])
    values = values + weight * np.interp(log_rest, log_knots, spectra[lower + 1])
    forest = np.where(log_rest < np.log10(0.1216), 0.0036 * (wavelength_um / 0.1216) ** 3.46, 0.0)
    return values - forest / np.log(10.0)


def band_fluxes(
    magnitude_i: float, sed: float, z: float, filters: tuple[str, ...], reddening: float = 0.0
) -> np.ndarray:
    """Flux in nJy of a galaxy in each filter [band].

    magnitude_i : AB magnitude at 0.77 um, observed, dust included
    reddening : E(B-V) of dust at z = 0, law of slope A_lambda ~ lambda^-1.3 (A_V = 3.1 E);
        negative values make a galaxy bluer
    """
    wavelengths = np.array([filter_named(name).wavelength_um for name in filters])
    reference = np.array([I_BAND_UM])
    difference = log_flux(sed, z, wavelengths) - log_flux(sed, z, reference)
    extinction = 3.1 * reddening * ((wavelengths / 0.55) ** -1.3 - (I_BAND_UM / 0.55) ** -1.3)
    return njy_from_magnitude(magnitude_i - 2.5 * difference + extinction)
