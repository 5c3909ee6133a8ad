"""A cluster mass model made of published deflection maps (RELICS, Frontier Fields).

Both archives give deflections at D_LS / D_S = 1, in files *_x-arcsec-deflect.fits and
*_y-arcsec-deflect.fits, along the axes of the image; `lenshunt.readers.deflection_maps` settles the
sign of x. Frontier Fields teams that give only kappa and gamma have no deflection to trace rays
with, and maps in pixels (*_x-pixels-deflect.fits) are refused: the same teams give arcsec.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import binary_dilation, distance_transform_edt

from lenshunt.lensing.lens_model import LensModel, Points
from lenshunt.lensing.tables import read_images, read_member_table
from lenshunt.readers.deflection_maps import DeflectionMaps, read_deflection_maps

# A wrong pixel rings through an interpolating cubic spline and fades by 0.27 per pixel: after six
# pixels 4e-4 of it is left.
RIM_PIXELS = 6


@dataclass(frozen=True)
class MapModel(LensModel):
    """Bicubic splines through two deflection maps.

    The plane is that of the map's pixels, turned to West and North: a deflection is a gradient
    there. NaN outside the maps, and within RIM_PIXELS of a pixel without a value.
    """

    name: str
    maps: DeflectionMaps
    ra0: float
    dec0: float
    z_lens: float
    images: Table = field(default_factory=Table, compare=False)
    members: Table | None = field(default=None, compare=False)
    citation: str = ""

    @cached_property
    def _centre(self) -> np.ndarray:
        """Pixel (x, y) of the origin of the plane."""
        height, width = self.maps.alpha_x.shape
        return np.array([(width - 1) / 2, (height - 1) / 2])

    @cached_property
    def _empty(self) -> np.ndarray | None:
        """[y, x] pixels without a value; None where there are none."""
        empty = ~(np.isfinite(self.maps.alpha_x) & np.isfinite(self.maps.alpha_y))
        return empty if empty.any() else None

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, RectBivariateSpline]:
        """Splines in (row, column) through alpha_x and alpha_y."""
        rows, columns = (np.arange(size) for size in self.maps.alpha_x.shape)
        filled = [self.maps.alpha_x, self.maps.alpha_y]
        if self._empty is not None:
            # Only so that the spline exists: nothing near these pixels is ever returned.
            nearest = distance_transform_edt(
                self._empty, return_distances=False, return_indices=True
            )
            filled = [values[tuple(nearest)] for values in filled]
        one, two = (RectBivariateSpline(rows, columns, values) for values in filled)
        return one, two

    @cached_property
    def _blind(self) -> np.ndarray | None:
        """[y, x] pixels where nothing can be said; None where there are none."""
        if self._empty is None:
            return None
        box = np.ones((2 * RIM_PIXELS + 1,) * 2, dtype=bool)
        return np.asarray(binary_dilation(self._empty, structure=box))

    def _pixels(self, x: Points, y: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, rows of points, and which of them the maps describe."""
        x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        inverse = np.linalg.inv(self.maps.jacobian)
        column = self._centre[0] + inverse[0, 0] * x + inverse[0, 1] * y
        row = self._centre[1] + inverse[1, 0] * x + inverse[1, 1] * y
        height, width = self.maps.alpha_x.shape
        inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
        if self._blind is not None:
            nearest = np.rint(row[inside]).astype(int), np.rint(column[inside]).astype(int)
            inside[inside] = ~self._blind[nearest]
        return column, row, inside

    def tangent(self, ra: Points, dec: Points) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) in arcsec of ICRS positions in degrees, through the WCS of the maps."""
        column, row = self.maps.wcs.world_to_pixel_values(ra, dec)
        column, row = np.asarray(column) - self._centre[0], np.asarray(row) - self._centre[1]
        jacobian = self.maps.jacobian
        return (
            jacobian[0, 0] * column + jacobian[0, 1] * row,
            jacobian[1, 0] * column + jacobian[1, 1] * row,
        )

    def sky(self, x: Points, y: Points) -> tuple[np.ndarray, np.ndarray]:
        """(ra, dec) in degrees of (x, y) in arcsec; the inverse of `tangent`."""
        column, row, _ = self._pixels(x, y)
        ra, dec = self.maps.wcs.pixel_to_world_values(column, row)
        return np.asarray(ra) % 360.0, np.asarray(dec)

    def unit_deflection(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(alpha_x, alpha_y) in arcsec at D_LS / D_S = 1; NaN off the maps."""
        column, row, inside = self._pixels(x, y)
        found = []
        for spline in self._splines:
            values = np.full(column.shape, np.nan)
            values[inside] = spline.ev(row[inside], column[inside])
            found.append(values)
        return tuple(found)

    def unit_hessian(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(psi_xx, psi_xy, psi_yy) at D_LS / D_S = 1: derivatives of the splines; NaN off them."""
        column, row, inside = self._pixels(x, y)
        parts = np.full((4, *column.shape), np.nan)
        for index, spline in enumerate(self._splines):
            along = spline.ev(row[inside], column[inside], dy=1)
            down = spline.ev(row[inside], column[inside], dx=1)
            parts[2 * index : 2 * index + 2, inside] = self._west_north(along, down)
        # The curl of the maps is below what their reader accepts; the symmetric part has none.
        return parts[0], 0.5 * (parts[1] + parts[2]), parts[3]

    def _west_north(self, along: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives to the West and North of those along columns and rows."""
        inverse = np.linalg.inv(self.maps.jacobian)
        return (
            along * inverse[0, 0] + down * inverse[1, 0],
            along * inverse[0, 1] + down * inverse[1, 1],
        )

    @cached_property
    def _unit_hessian_at_pixels(self) -> np.ndarray:
        """[3, y, x] psi_xx, psi_xy, psi_yy at the pixels, float32."""
        rows, columns = (np.arange(size) for size in self.maps.alpha_x.shape)
        (xx, xy), (yx, yy) = (
            self._west_north(spline(rows, columns, dy=1), spline(rows, columns, dx=1))
            for spline in self._splines
        )
        return np.stack([xx, 0.5 * (xy + yx), yy]).astype(np.float32)

    def seeds(self, z_source: float, smallest_arcsec: float) -> np.ndarray:
        """[n, 2] pixels beside which the magnification changes sign.

        Finer than the maps there is nothing: `smallest_arcsec` plays no part.
        """
        xx, xy, yy = self.distance_ratio(z_source) * self._unit_hessian_at_pixels
        positive = (1.0 - xx) * (1.0 - yy) > xy**2
        changes = np.zeros(positive.shape, dtype=bool)
        changes[:, 1:] |= positive[:, 1:] != positive[:, :-1]
        changes[1:] |= positive[1:] != positive[:-1]
        if self._blind is not None:
            changes &= ~self._blind
        row, column = np.nonzero(changes)
        return (np.column_stack([column, row]) - self._centre) @ self.maps.jacobian.T

    @property
    def description(self) -> str:
        """What the model is made of, in a few words."""
        height, width = self.maps.alpha_x.shape
        return f'deflection maps, {width} x {height} pixels of {self.maps.pixel_scale_arcsec:.3g}"'


def map_model(
    name: str,
    maps: DeflectionMaps,
    z_lens: float,
    images: Table | None = None,
    members: Table | None = None,
    citation: str = "",
) -> MapModel:
    """Mass model of deflection maps; its reference position is the centre of the maps."""
    height, width = maps.alpha_x.shape
    ra, dec = maps.wcs.pixel_to_world_values((width - 1) / 2, (height - 1) / 2)
    table = Table() if images is None else images
    return MapModel(name, maps, float(ra) % 360.0, float(dec), z_lens, table, members, citation)


def load_map_model(
    deflection_x: Path | str,
    deflection_y: Path | str,
    z_lens: float,
    images: Path | str,
    members: Path | str | None = None,
    kappa: Path | str | None = None,
) -> MapModel:
    """Mass model of deflection maps at D_LS / D_S = 1, with the multiple images to test it.

    deflection_x, deflection_y : FITS maps in arcsec; kappa : the deflections are checked against it
    images : as in `load_mass_model`; every system needs a redshift, a map has none of its own
    """
    maps = read_deflection_maps(
        str(deflection_x), str(deflection_y), None if kappa is None else str(kappa)
    )
    table, galaxies = read_images(Path(images), {}), read_member_table(members)
    return map_model(Path(deflection_x).stem, maps, z_lens, table, galaxies)
