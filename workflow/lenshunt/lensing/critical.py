"""Critical curves on an adaptive grid, and the caustics they map to."""

from itertools import pairwise
from typing import Literal

import contourpy
import numpy as np

from lenshunt.lensing.lens_model import LensModel

# Strides of the refinement, in finest cells: 16 x 0.05" = 0.8" is a third of the smallest
# cluster-scale feature; what is smaller sits at the centre of a member and is searched there.
STRIDES = (16, 8, 4, 2, 1)


class _Determinant:
    """Inverse magnification on a square grid, evaluated only at the nodes that are asked for."""

    def __init__(self, model: LensModel, z_source: float, axis_x: np.ndarray, axis_y: np.ndarray):
        self.model, self.z_source = model, z_source
        self.axis_x, self.axis_y = axis_x, axis_y
        self.value = np.full((axis_y.size, axis_x.size), np.nan)
        # A node off a deflection map is known, and NaN.
        self.known = np.zeros(self.value.shape, dtype=bool)

    def evaluate(self, row: np.ndarray, column: np.ndarray) -> bool:
        """Evaluate the nodes that have no value yet; False when there was none."""
        node = np.unique(row * self.axis_x.size + column)
        node = node[~self.known.ravel()[node]]
        if node.size == 0:
            return False
        row, column = np.divmod(node, self.axis_x.size)
        self.value[row, column] = self.model.inverse_magnification(
            self.axis_x[column], self.axis_y[row], self.z_source
        )
        self.known[row, column] = True
        return True

    def refine(self, row: np.ndarray, column: np.ndarray, stride: int, finer: int) -> None:
        """Evaluate the nodes of spacing `finer` in the cells with lower-left node (row, column)."""
        offset = np.arange(0, stride + 1, finer)
        rows = row[:, None, None] + offset[None, :, None]
        columns = column[:, None, None] + offset[None, None, :]
        self.evaluate(*(a.ravel() for a in np.broadcast_arrays(rows, columns)))


def _corners(level: np.ndarray) -> np.ndarray:
    """[4, y, x]: values at the corners of every cell."""
    return np.stack([level[:-1, :-1], level[:-1, 1:], level[1:, :-1], level[1:, 1:]])


def _close(grid: _Determinant, stride: int) -> None:
    """Follow the curve: where it leaves the evaluated cells, evaluate the cells it enters."""
    while True:
        level = grid.value[::stride, ::stride]
        known = grid.known[::stride, ::stride]
        finite = ~np.isnan(level)
        positive = level > 0
        enters = np.zeros(np.array(level.shape) - 1, dtype=bool)
        # A curve that crosses an edge runs through the cells on both sides of this edge.
        for one, two, first, second in (
            (np.s_[:, :-1], np.s_[:, 1:], np.s_[:-1, :], np.s_[1:, :]),
            (np.s_[:-1, :], np.s_[1:, :], np.s_[:, :-1], np.s_[:, 1:]),
        ):
            crossed = (positive[one] != positive[two]) & finite[one] & finite[two]
            enters |= crossed[first] | crossed[second]
        complete = known[:-1, :-1] & known[:-1, 1:] & known[1:, :-1] & known[1:, 1:]
        row, column = np.nonzero(enters & ~complete)
        if row.size == 0:
            return
        grid.refine(row * stride, column * stride, stride, stride)


def _wanted(grid: _Determinant, stride: int, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower-left nodes of the cells to refine.

    Those with a zero between the corners, those where the slope could reach zero inside, and
    those around a seed of the model: a small curve can lie between four equal corners.
    """
    level = grid.value[::stride, ::stride]
    corners = _corners(level)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.minimum(np.abs(low), np.abs(high)) < 0.5 * (high - low)
    wanted = (low <= 0) & (high > 0) | near
    origin = np.array([grid.axis_x[0], grid.axis_y[0]])
    step = (grid.axis_x[1] - grid.axis_x[0]) * stride
    cell = np.unique(np.floor((seeds - origin) / step).astype(int), axis=0)
    for shift_y in (-1, 0, 1):
        for shift_x in (-1, 0, 1):
            column, row = (cell + np.array([shift_x, shift_y])).T
            inside = (row >= 0) & (row < wanted.shape[0]) & (column >= 0)
            inside &= column < wanted.shape[1]
            wanted[row[inside], column[inside]] = True
    wanted &= ~np.isnan(low)
    row, column = np.nonzero(wanted)
    return row * stride, column * stride


def critical_curves(
    model: LensModel,
    z_source: float,
    half_width_arcsec: float = 60.0,
    accuracy_arcsec: float = 0.05,
    centre: tuple[float, float] = (0.0, 0.0),
) -> list[np.ndarray]:
    """Critical curves of a source at `z_source`, in the square around `centre`.

    Lines of zero inverse magnification, found on a grid that is refined to cells of
    `accuracy_arcsec` only where the curves run; every vertex lies within one cell of the curve.
    Returns polygons [n, 2] of (x, y) in arcsec, longest first; closed ones end where they begin
    and run counter-clockwise with North up and East left. A curve that the edge of the square or
    of a deflection map cuts is open. `model.sky(*polygon.T)` gives their sky coordinates, and
    `curve_kind` tells tangential from radial ones.
    """
    cells = int(np.ceil(2 * half_width_arcsec / (accuracy_arcsec * STRIDES[0]))) * STRIDES[0]
    axis = (np.arange(cells + 1) - cells / 2) * accuracy_arcsec
    grid = _Determinant(model, z_source, centre[0] + axis, centre[1] + axis)
    seeds = model.seeds(z_source, accuracy_arcsec)
    whole = np.arange(0, cells, STRIDES[0])
    row, column = (a.ravel() for a in np.meshgrid(whole, whole, indexing="ij"))
    grid.refine(row, column, STRIDES[0], STRIDES[0])
    for stride, finer in pairwise(STRIDES):
        grid.refine(*_wanted(grid, stride, seeds), stride, finer)
        _close(grid, finer)
    lines = contourpy.contour_generator(
        grid.axis_x, grid.axis_y, np.ma.masked_invalid(grid.value), corner_mask=False
    ).lines(0.0)
    curves = (np.asarray(line) for line in lines)
    turned = (curve[::-1] if enclosed_area(curve) < 0 else curve for curve in curves)
    return sorted(turned, key=lambda curve: -curve_length(curve))


def caustics(model: LensModel, curves: list[np.ndarray], z_source: float) -> list[np.ndarray]:
    """Source-plane polygons [n, 2] in arcsec of the critical curves of the same `z_source`."""
    return [
        np.column_stack(model.ray_trace(curve[:, 0], curve[:, 1], z_source)) for curve in curves
    ]


def curve_kind(
    model: LensModel, curve: np.ndarray, z_source: float
) -> Literal["tangential", "radial"]:
    """Which eigenvalue of the Jacobian vanishes on a critical curve [n, 2] of `z_source`.

    1 - kappa - gamma on tangential curves, 1 - kappa + gamma on radial ones. With gamma >= 0 that
    is kappa <= 1 on the former and kappa >= 1 on the latter, all along the curve.
    """
    kappa = model.kappa(curve[:, 0], curve[:, 1], z_source)
    return "tangential" if np.nanmedian(kappa) < 1.0 else "radial"


def enclosed_area(curve: np.ndarray) -> float:
    """Area inside a closed polygon [n, 2], positive counter-clockwise; NaN for an open one."""
    if not np.array_equal(curve[0], curve[-1]):
        return float("nan")
    x, y = (curve - curve[0]).T
    return float(0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


def effective_einstein_radius(model: LensModel, curves: list[np.ndarray], z_source: float) -> float:
    """Arcsec: pi theta_E^2 is the area inside the largest tangential curve of the list.

    Taken of the critical curves of one `z_source`. NaN where there is no tangential curve, or
    where the largest one, by length, is open: its area is not known.
    """
    for curve in curves:
        if curve_kind(model, curve, z_source) == "tangential":
            return float(np.sqrt(abs(enclosed_area(curve)) / np.pi))
    return float("nan")


def curve_length(curve: np.ndarray) -> float:
    """Length of a polygon [n, 2], in its own unit."""
    return float(np.hypot(*np.diff(curve, axis=0).T).sum())


def distance_to_curves(x: np.ndarray, y: np.ndarray, curves: list[np.ndarray]) -> np.ndarray:
    """Distance [point] of points to the nearest of the polygons, to segments, not vertices.

    NaN where there is no curve at all.
    """
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    if not curves:
        return np.full(x.shape, np.nan)
    start = np.concatenate([curve[:-1] for curve in curves])
    step = np.concatenate([np.diff(curve, axis=0) for curve in curves])
    length2 = np.maximum((step**2).sum(axis=1), np.finfo(float).tiny)
    nearest = np.empty(x.shape)
    for index, (px, py) in enumerate(zip(x, y, strict=True)):
        dx, dy = px - start[:, 0], py - start[:, 1]
        along = np.clip((dx * step[:, 0] + dy * step[:, 1]) / length2, 0.0, 1.0)
        nearest[index] = np.hypot(dx - along * step[:, 0], dy - along * step[:, 1]).min()
    return nearest
