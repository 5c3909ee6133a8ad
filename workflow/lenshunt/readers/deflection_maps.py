"""Published deflection maps of a cluster: the sign of x settled by physics, and magnifications.

Frame: x to the West and y to the North in arcsec, that of the lensing room (Lenstool's), so that
on a map with North up and East left x runs with the columns and y with the rows.
"""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from lenshunt.readers.fits_image import (
    Keywords,
    equatorial_wcs,
    image_planes,
    keywords,
    open_fits,
    pixels,
)

#: Largest curl, in units of the off-diagonal derivatives, and largest difference of divergence
#: and 2 kappa, in units of kappa; medians over the map. A map with a flipped sign has a curl of
#: 1; smooth maps in float32 have below 0.01, members with cores of a pixel add little to a median.
TOLERANCE = 0.1

_ARCSEC = ("", "arcsec", "arcseconds", "arcsecond", "arcsec/pixel", '"')


@dataclass(frozen=True)
class DeflectionMaps:
    """Deflections at D_LS / D_S = 1.

    alpha_x, alpha_y : [y, x] arcsec, West and North (beta = theta - ratio alpha)
    jacobian : arcsec West and North [2] per pixel step in x and y [2], at the map's centre
    flipped_x : whether the file gives alpha_x towards the East
    curl : median |curl| over the median off-diagonal derivative, of the sign chosen
    """

    alpha_x: np.ndarray
    alpha_y: np.ndarray
    pixel_scale_arcsec: float
    wcs: WCS
    jacobian: np.ndarray
    flipped_x: bool
    curl: float


def read_deflection_maps(x_path: str, y_path: str, kappa_path: str | None = None) -> DeflectionMaps:
    """Read the x- and y-arcsec-deflect maps of a model, normalised to D_LS / D_S = 1.

    A deflection field is a gradient: its curl vanishes and its divergence is 2 kappa >= 0. Some
    teams give x towards the East, others towards the West; the sign with no curl is taken.
    Raises ValueError naming the files where neither sign has one below TOLERANCE, where the mass
    would be negative, where the kappa map disagrees, or where the maps are in pixels.
    """
    alpha_x, header = _read(x_path)
    alpha_y, header_y = _read(y_path, alpha_x.shape, x_path)
    _check_unit(x_path, header)
    _check_unit(y_path, header_y)
    wcs = equatorial_wcs(header, x_path)
    if wcs is None:
        raise ValueError(f"{x_path}: no celestial WCS, so the map has no place on the sky")
    jacobian = _sky_per_pixel(wcs, alpha_x.shape)
    kappa = None if kappa_path is None else _read(kappa_path, alpha_x.shape, x_path)[0]
    flipped, curl = _sign_of_x(alpha_x, alpha_y, jacobian, f"{x_path} and {y_path}")
    maps = DeflectionMaps(
        alpha_x=-alpha_x if flipped else alpha_x,
        alpha_y=alpha_y,
        pixel_scale_arcsec=float(np.sqrt(abs(np.linalg.det(jacobian)))),
        wcs=wcs,
        jacobian=jacobian,
        flipped_x=flipped,
        curl=curl,
    )
    _check_mass(maps, kappa, f"{x_path} and {y_path}", kappa_path)
    return maps


def _read(
    path: str, shape: tuple[int, ...] | None = None, other: str = ""
) -> tuple[np.ndarray, Keywords]:
    """First 2-D image of a file as float32, with its header."""
    with open_fits(path) as hdus:
        planes = [hdu for hdu in image_planes(hdus) if len(hdu.shape) == 2]
        if not planes:
            raise ValueError(f"{path}: no 2-D image in the file")
        header = keywords(hdus, planes[0])
        # as in the files: derivatives are good to 1e-4, and maps of 4000 pixels fit into memory
        values = pixels(planes[0], path).astype(np.float32)
    if shape is not None and values.shape != shape:
        raise ValueError(
            f"{path}: shape {values.shape}, but {other} has {shape}; name the maps of one model"
        )
    if min(values.shape) < 8 or not np.isfinite(values).any():
        raise ValueError(f"{path}: a map of shape {values.shape} without enough finite values")
    return values, header


def _check_unit(path: str, header: Keywords) -> None:
    unit = str(header.get("BUNIT", "")).strip()
    if unit.lower() not in _ARCSEC or "pixels-deflect" in path.rsplit("/", 1)[-1]:
        raise ValueError(
            f"{path}: deflections in {unit or 'pixels'}, expected arcsec; name the "
            "x-arcsec-deflect and y-arcsec-deflect maps, or correct BUNIT"
        )


def _sky_per_pixel(wcs: WCS, shape: tuple[int, ...]) -> np.ndarray:
    """[2, 2]: arcsec to the West and North (rows) per pixel in x and y (columns)."""
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    ra, dec = wcs.all_pix2world([x - 1, x + 1, x, x], [y, y, y - 1, y + 1], 0)
    # beside RA = 0 the difference has to go the short way round
    d_ra = (np.array([ra[1] - ra[0], ra[3] - ra[2]]) + 180.0) % 360.0 - 180.0
    d_dec = np.array([dec[1] - dec[0], dec[3] - dec[2]])
    return 1800.0 * np.array([-d_ra * np.cos(np.radians(dec.mean())), d_dec])


def _derivatives(
    alpha_x: np.ndarray, alpha_y: np.ndarray, jacobian: np.ndarray
) -> tuple[np.ndarray, ...]:
    """(d ax/dx, d ax/dy, d ay/dx, d ay/dy) [y, x] along West and North, central differences."""
    inverse = np.linalg.inv(jacobian)
    parts: list[np.ndarray] = []
    for alpha in (alpha_x, alpha_y):
        down, along = np.gradient(alpha)
        # numbers of Python, because those of numpy would turn the maps into float64
        weights = [(float(inverse[0, k]), float(inverse[1, k])) for k in (0, 1)]
        parts += [along * one + down * other for one, other in weights]
    return tuple(parts)


def _sign_of_x(
    alpha_x: np.ndarray, alpha_y: np.ndarray, jacobian: np.ndarray, where: str
) -> tuple[bool, float]:
    """Whether x has to be flipped, and the relative curl that is left."""
    _, xy, yx, _ = _derivatives(alpha_x, alpha_y, jacobian)
    scale = float(np.nanmedian(np.abs(xy) + np.abs(yx)))
    if not scale > 0:
        raise ValueError(f"{where}: the deflection does not change over the map")
    signs = {False: 1.0, True: -1.0}
    curls = {f: float(np.nanmedian(np.abs(s * xy - yx))) / scale for f, s in signs.items()}
    flip = curls[True] < curls[False]
    if curls[flip] > TOLERANCE:
        raise ValueError(
            f"{where}: no deflection field, its relative curl is {curls[False]:.3f} with x as in "
            f"the file and {curls[True]:.3f} with x flipped, at most {TOLERANCE} is accepted; are "
            "the two maps of one model, and their axes West and North?"
        )
    return flip, curls[flip]


def _check_mass(
    maps: DeflectionMaps, kappa: np.ndarray | None, where: str, kappa_path: str | None
) -> None:
    """The divergence is twice the convergence: positive, and that of the kappa map."""
    xx, _, _, yy = _derivatives(maps.alpha_x, maps.alpha_y, maps.jacobian)
    convergence = 0.5 * (xx + yy)
    if np.nanmean(convergence) <= 0:
        raise ValueError(
            f"{where}: the mean convergence is {np.nanmean(convergence):.3f}, so the mass would "
            "be negative; the sign of y is wrong, or both signs"
        )
    if kappa is None:
        return
    difference = float(np.nanmedian(np.abs(convergence - kappa)) / np.nanmedian(np.abs(kappa)))
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{where}: their convergence differs from {kappa_path} by {difference:.3f} of its "
            f"median, at most {TOLERANCE} is accepted; name maps of one model, all of them "
            "normalised to D_LS/D_S = 1"
        )


def inverse_magnification(maps: DeflectionMaps, distance_ratio: float) -> np.ndarray:
    """Determinant [y, x] of the Jacobian of beta = theta - ratio alpha; 0 on critical curves."""
    xx, xy, yx, yy = (
        distance_ratio * part for part in _derivatives(maps.alpha_x, maps.alpha_y, maps.jacobian)
    )
    return (1.0 - xx) * (1.0 - yy) - xy * yx


def magnification(maps: DeflectionMaps, distance_ratio: float) -> np.ndarray:
    """|mu| [y, x] of a source at D_LS / D_S = `distance_ratio`; infinite on critical curves."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.abs(inverse_magnification(maps, distance_ratio))


def magnification_around(
    maps: DeflectionMaps, mu: np.ndarray, ra: np.ndarray, dec: np.ndarray, size_arcsec: float
) -> np.ndarray:
    """Median |mu| [n] over squares of `size_arcsec` around positions; NaN off the maps.

    Not the value at the position itself: a member belongs to the model, and in its own core the
    convergence is so high that |mu| is near 0 however strongly the cluster magnifies around it.
    """
    x, y = maps.wcs.all_world2pix(ra, dec, 0) if len(ra) else (np.empty(0), np.empty(0))
    half = max(size_arcsec / maps.pixel_scale_arcsec / 2.0, 0.5)
    height, width = mu.shape
    found = np.full(len(x), np.nan)
    on_map = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    for k in np.flatnonzero(on_map):
        x0, x1 = max(round(x[k] - half), 0), min(round(x[k] + half) + 1, width)
        y0, y1 = max(round(y[k] - half), 0), min(round(y[k] + half) + 1, height)
        found[k] = np.median(mu[y0:y1, x0:x1])
    return found
