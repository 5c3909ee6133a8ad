"""Distances of the lens equation: flat LambdaCDM, H0 = 70 km/s/Mpc, Omega_m = 0.3.

Exact for one redshift (`distance_ratio`, `arcsec_per_kpc`), interpolated for many (`Distances`).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy import units
from astropy.cosmology import FlatLambdaCDM

H0_KM_S_MPC = 70.0
OMEGA_M = 0.3
COSMOLOGY = FlatLambdaCDM(H0=H0_KM_S_MPC, Om0=OMEGA_M)
LIGHT_KM_S = 299792.458
#: One radian in arcsec.
ARCSEC = float(np.degrees(1.0) * 3600.0)


@cache
def distance_ratio(z_lens: float, z_source: float) -> float:
    """D_LS / D_S of a source at `z_source` behind a lens at `z_lens`, 0..1.

    Raises ValueError when the source is not behind the lens.
    """
    if not z_source > z_lens:
        raise ValueError(
            f"source redshift {z_source} is not behind the lens at {z_lens}; nothing is lensed"
        )
    between = COSMOLOGY.angular_diameter_distance(z_lens, z_source)
    source = COSMOLOGY.angular_diameter_distance(z_source)
    return float((between / source).to_value(units.dimensionless_unscaled))


@cache
def arcsec_per_kpc(z: float) -> float:
    """Angle in arcsec under which one proper kpc appears at redshift `z`."""
    return float(COSMOLOGY.arcsec_per_kpc_proper(z).to_value(units.arcsec / units.kpc))


@dataclass(frozen=True)
class Distances:
    """Comoving distances between which those of any redshifts are interpolated.

    z : [k] increasing from 0; beyond the last the distance stays what it is there
    mpc : [k], comoving distance in Mpc; in a flat universe the transverse one too
    """

    z: np.ndarray
    mpc: np.ndarray

    def comoving_mpc(self, z: np.ndarray | float) -> np.ndarray:
        """Comoving distance in Mpc."""
        return np.interp(z, self.z, self.mpc)

    def kpc_per_arcsec(self, z: np.ndarray | float) -> np.ndarray:
        """Proper length in kpc of one arcsec."""
        return self.comoving_mpc(z) / (1.0 + z) * 1e3 / ARCSEC

    def modulus(self, z: np.ndarray | float) -> np.ndarray:
        """Magnitudes between absolute and apparent, without the K correction."""
        return 5.0 * np.log10(self.comoving_mpc(z) * (1.0 + z) * 1e5)

    def einstein_radius(
        self,
        sigma_km_s: np.ndarray | float,
        z_lens: np.ndarray | float,
        z_source: np.ndarray | float,
    ) -> np.ndarray:
        """theta_E = 4 pi (sigma/c)^2 D_LS/D_S in arcsec of an isothermal sphere.

        0 where the source is in front of the lens. In a flat universe D_LS/D_S is 1 - the ratio of
        the comoving distances.
        """
        ratio = 1.0 - self.comoving_mpc(z_lens) / self.comoving_mpc(z_source)
        return 4.0 * np.pi * (sigma_km_s / LIGHT_KM_S) ** 2 * np.maximum(ratio, 0.0) * ARCSEC


@cache
def fine_distances() -> Distances:
    """To z = 10, right to 1e-5 beyond z = 0.05; for populations."""
    z = np.concatenate([np.linspace(0.0, 3.0, 1501), np.linspace(3.01, 10.0, 700)])
    return Distances(z, COSMOLOGY.comoving_distance(z).value)


@cache
def demo_distances() -> Distances:
    """To z = 8, right to 1e-4 beyond z = 0.02; with these the demo's files stay the same bytes."""
    z = np.linspace(0.0, 8.0, 1601)
    return Distances(z, COSMOLOGY.comoving_distance(z).value)
