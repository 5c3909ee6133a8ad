"""Distances of the lens equation: flat LambdaCDM, H0 = 70 km/s/Mpc, Omega_m = 0.3."""

from functools import cache

from astropy import units
from astropy.cosmology import FlatLambdaCDM

H0_KM_S_MPC = 70.0
OMEGA_M = 0.3
COSMOLOGY = FlatLambdaCDM(H0=H0_KM_S_MPC, Om0=OMEGA_M)


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
