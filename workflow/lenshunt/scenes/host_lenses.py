"""Which lenses of a population a host could be: by magnitude, redshift and colour."""

import numpy as np
import pandas as pd

from lenshunt.core.cosmology import fine_distances
from lenshunt.scenes.hosts import HostShape, UnsuitableHostError
from lenshunt.scenes.population_priors import log_spectrum
from lenshunt.schema import Cutout, filter_named

#: Differences in magnitude and redshift over which a lens of the population may stand for a host.
_HOST_MAGNITUDE, _HOST_REDSHIFT = 0.25, 0.05
#: Lenses of the population nearest to a host among which one is drawn.
_NEAREST = 60
#: A host differs from the nearest lens galaxy of the population by less (magnitudes in i).
_MAGNITUDE_MAX = 1.0
#: A host is bluer than the lens galaxies most like it by less, in the bands farthest apart: an Sbc
#: spiral is by 0.9 (g - i, z = 0.2) to 1.2 (z = 0.6) with the spectra of `scenes.seds`.
_BLUER_MAX = 0.7
#: Greatest factor by which theta_E may change when a lens is moved to its host's redshift.
_MOVE_MAX = 1.25


def lenses_like(population: pd.DataFrame, magnitude_i: float, redshift: float) -> np.ndarray:
    """Rows of the lenses of the population whose galaxies are most like the host, nearest first.

    magnitude_i : AB; redshift : of the host, NaN where unknown
    """
    distance = ((population["lens_magnitude"].to_numpy() - magnitude_i) / _HOST_MAGNITUDE) ** 2
    if not np.isnan(redshift):
        distance = distance + ((population["z_lens"].to_numpy() - redshift) / _HOST_REDSHIFT) ** 2
    if len(distance) <= _NEAREST:
        return np.argsort(distance, kind="stable")
    farthest = np.partition(distance, _NEAREST - 1)[_NEAREST - 1]
    # of equally far ones the first, as a stable sort of all would have it
    rows = np.flatnonzero(distance <= farthest)
    return rows[np.argsort(distance[rows], kind="stable")][:_NEAREST]


def check_alike(
    host: Cutout, shape: HostShape, alike: pd.DataFrame, magnitude: float, band: int
) -> None:
    """Refuse a host that is no such galaxy as the lenses of the population are.

    A lens galaxy of that magnitude must exist, and the host must not be much bluer than it in the
    two bands farthest apart: the dispersions of the population are those of early types.
    """
    if np.abs(alike["lens_magnitude"] - magnitude).min() > _MAGNITUDE_MAX:
        raise UnsuitableHostError(
            host.metadata.sample_id,
            "no lens of the population has a galaxy as bright or faint as this one",
        )
    blue = int(np.flatnonzero(host.metadata.band_flags)[0])
    if blue == band or not shape.flux_njy[blue] > 0:
        return
    names = (host.metadata.bands[blue], host.metadata.bands[band])
    z, sed = alike["z_lens"].to_numpy(), alike["lens_sed"].to_numpy()
    bluer, redder = (log_spectrum(sed, z, filter_named(name).wavelength_um) for name in names)
    # where the redshift is not known, the nearest of them are the bluest
    expected = float(np.quantile(2.5 * (redder - bluer), 0.05))
    found = float(2.5 * np.log10(shape.flux_njy[band] / shape.flux_njy[blue]))
    if found < expected - _BLUER_MAX:
        raise UnsuitableHostError(
            host.metadata.sample_id,
            f"bluer than early types by more than {_BLUER_MAX} mag; this record cannot be a host",
        )


def _moved_by(rows: pd.DataFrame | dict[str, float], z_host: float) -> np.ndarray:
    """Factor by which theta_E changes when lenses are moved to `z_host`; 0 behind their source."""
    sigma, z, z_source = (np.asarray(rows[k], float) for k in ("sigma_km_s", "z_lens", "z_source"))
    radius = fine_distances().einstein_radius
    return radius(sigma, np.full_like(z, z_host), z_source) / radius(sigma, z, z_source)


def movable(alike: pd.DataFrame, z_host: float) -> np.ndarray:
    """bool [n]: lenses that `at_redshift` can move to the redshift of their host."""
    if np.isnan(z_host):
        return np.ones(len(alike), bool)
    scale = _moved_by(alike, z_host)
    return np.asarray((scale > 1.0 / _MOVE_MAX) & (scale < _MOVE_MAX))


def at_redshift(row: dict[str, float], z_host: float) -> dict[str, float] | None:
    """The lens of a row moved to the redshift of its host (NaN: unknown, nothing moves).

    Velocity dispersion and source stay; theta_E and the source's place follow D_LS/D_S. None
    where theta_E would change by more than _MOVE_MAX: the host is too unlike that lens.
    """
    if np.isnan(z_host):
        return row
    scale = float(_moved_by(row, z_host))
    if not 1.0 / _MOVE_MAX < scale < _MOVE_MAX:
        return None
    moved = {name: row[name] * scale for name in ("theta_e", "source_x", "source_y")}
    return {**row, **moved, "z_lens": z_host}
