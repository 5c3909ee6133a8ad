"""Which objects are one: equal system, or close together on the sky, also through others."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Directions on the unit sphere [n, 3]; exact across RA 0 and at the poles."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def chord(radius_arcsec: float) -> float:
    """Straight-line distance on the unit sphere of two points `radius_arcsec` apart."""
    return float(2.0 * np.sin(np.radians(radius_arcsec / 3600.0) / 2.0))


def sky_pairs(ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """Pairs [k, 2] of objects within `radius_arcsec`; NaN positions match nothing.

    A radius of 0 switches matching by position off.
    """
    known = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    if radius_arcsec <= 0 or len(known) < 2:
        return np.empty((0, 2), np.intp)
    tree = cKDTree(unit_vectors(ra_deg[known], dec_deg[known]))
    return known[tree.query_pairs(chord(radius_arcsec), output_type="ndarray")]


def same_object(
    system_id: pd.Series, ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float
) -> np.ndarray:
    """Group number [n] of every object: friends of friends by system and by position.

    Two objects share a number when a chain of equal `system_id` or of neighbours within
    `radius_arcsec` leads from one to the other.
    """
    n = len(system_id)
    codes, _ = pd.factorize(system_id)
    first = np.full(codes.max() + 1 if n else 0, -1)
    first[codes[::-1]] = np.arange(n)[::-1]
    pairs = sky_pairs(ra_deg, dec_deg, radius_arcsec)
    left = np.concatenate([np.arange(n), pairs[:, 0]])
    right = np.concatenate([first[codes], pairs[:, 1]])
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(n, n))
    return connected_components(graph, directed=False)[1]
