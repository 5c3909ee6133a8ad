"""Reddening by dust in the lens galaxy, at the wavelengths that it has there."""

import numpy as np
from astropy import units
from dust_extinction.parameter_averages import CCM89

#: Ratio of total to selective extinction of the Milky Way's diffuse dust.
R_V = 3.1
#: Rest-frame wavelengths in micrometres that Cardelli, Clayton & Mathis 1989 cover.
SHORTEST_UM, LONGEST_UM = 0.1, 1 / 0.3
#: Exponent of their infrared law, A ~ wavelength^-1.61 (eq. 2).
INFRARED_SLOPE = 1.61


def reddening_curve(
    z_lens: np.ndarray, wavelengths_um: np.ndarray, z_where_unknown: float = 0.5
) -> np.ndarray:
    """A(band) / A_V of dust at the lens, float32 [batch, band].

    z_lens : [batch] redshift of the lens; negative or NaN where unknown
    wavelengths_um : [band] or [batch, band], observed, in micrometres; NaN in an absent band
    z_where_unknown : redshift that stands for an unknown one. The law is so smooth that a lens
        at 0.2 or 0.8 taken to be at 0.5 changes the direction of the reddening of g r i z y
        colours by about 20 degrees.
    Cardelli, Clayton & Mathis 1989, ApJ 345, 245, R_V = 3.1, at wavelength / (1 + z). Beyond
    3.33 um their infrared power law goes on (A < 0.06 A_V). Below 0.1 um there is no law: NaN,
    which takes the band out of the colours.
    """
    z = np.asarray(z_lens, float)
    z = np.where(z >= 0, z, z_where_unknown)
    observed = np.broadcast_to(
        np.asarray(wavelengths_um, float), (len(z), np.shape(wavelengths_um)[-1])
    )
    if (observed <= 0).any():
        raise ValueError("wavelengths_um must be positive, in micrometres; NaN for an absent band")
    rest = observed / (1 + z[:, None])
    known = rest >= SHORTEST_UM
    inside = np.clip(np.where(known, rest, 1.0), SHORTEST_UM, LONGEST_UM)
    # a hair inside the limits: the law refuses 1 / (1 / 0.3)
    inverse = np.clip(1 / inside, 0.3 * (1 + 1e-9), 10.0 * (1 - 1e-9))
    law = CCM89(Rv=R_V)(inverse.ravel() / units.micron).reshape(rest.shape)
    beyond = np.maximum(np.where(known, rest, 1.0) / LONGEST_UM, 1.0) ** -INFRARED_SLOPE
    return np.where(known, law * beyond, np.nan).astype(np.float32)
