"""Solve the lens equation: the multiple images of a source, and how well a model places them."""

import numpy as np
from astropy.table import Table
from scipy.ndimage import binary_dilation

from lenshunt.lensing.lens_model import LensModel

NEWTON_STEPS = 100
# A Newton step near a critical curve can leap across the field; short steps stay with the image.
STEP_MAX_ARCSEC = 0.3
CONVERGED_ARCSEC = 1e-6
#: Every cell that may hold an image is cut into REFINE x REFINE, twice.
REFINE = 8
SAME_IMAGE_ARCSEC = 1e-3
# Weaker potentials, by their deflection, split no image.
SMALLEST_LENS_ARCSEC = 0.02


def mean_source(
    model: LensModel, x: np.ndarray, y: np.ndarray, z_source: float
) -> tuple[float, float]:
    """Mean source-plane position (arcsec) of images at (x, y)."""
    beta_x, beta_y = model.ray_trace(x, y, z_source)
    return float(np.mean(beta_x)), float(np.mean(beta_y))


def follow_images(
    model: LensModel,
    x: np.ndarray,
    y: np.ndarray,
    source: tuple[float, float],
    z_source: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (arcsec) of `source` that damped Newton steps reach from (x, y).

    NaN where no image is reached: the model has none there, or a deflection map ends.
    """
    x, y = (np.array(a, dtype=float).ravel() for a in np.broadcast_arrays(x, y))
    moving = np.arange(x.size)
    for _ in range(NEWTON_STEPS):
        beta_x, beta_y = model.ray_trace(x[moving], y[moving], z_source)
        miss_x, miss_y = source[0] - beta_x, source[1] - beta_y
        far = np.hypot(miss_x, miss_y) >= CONVERGED_ARCSEC
        moving, miss_x, miss_y = moving[far], miss_x[far], miss_y[far]
        if moving.size == 0:
            break
        xx, xy, yy = model.hessian(x[moving], y[moving], z_source)
        determinant = (1.0 - xx) * (1.0 - yy) - xy**2
        # Never a division by an exact zero: on a critical curve the step is long and is cut.
        determinant = np.where(determinant == 0, 1e-12, determinant)
        step_x = ((1.0 - yy) * miss_x + xy * miss_y) / determinant
        step_y = (xy * miss_x + (1.0 - xx) * miss_y) / determinant
        shrink = np.maximum(1.0, np.hypot(step_x, step_y) / STEP_MAX_ARCSEC)
        x[moving] += step_x / shrink
        y[moving] += step_y / shrink
    beta_x, beta_y = model.ray_trace(x, y, z_source)
    lost = ~(np.hypot(source[0] - beta_x, source[1] - beta_y) < CONVERGED_ARCSEC)
    return np.where(lost, np.nan, x), np.where(lost, np.nan, y)


class ImageSolver:
    """Finds all images of any source: the deflection on a grid is kept for every redshift.

    Cells of the grid that may hold an image are refined twice, by REFINE each time. Missed are
    only pairs about to merge, closer than `step_arcsec` / REFINE^2, and images outside the square.
    Where the mass is nowhere singular the images are odd in number and their parities add up to 1
    (Burke 1981): `images` of such a model can be checked with the signs of the magnification.
    """

    def __init__(
        self,
        model: LensModel,
        half_width_arcsec: float = 60.0,
        step_arcsec: float = 0.25,
        centre: tuple[float, float] = (0.0, 0.0),
    ):
        self.model = model
        self.step = step_arcsec
        axis = np.arange(-half_width_arcsec, half_width_arcsec + step_arcsec / 2, step_arcsec)
        self.x, self.y = np.meshgrid(centre[0] + axis, centre[1] + axis)
        self.alpha = model.unit_deflection(self.x, self.y)
        self._near_seed: dict[float, np.ndarray] = {}

    def images(self, source: tuple[float, float], z_source: float) -> np.ndarray:
        """[image, 2] positions (arcsec) of all images of a point at `source` (arcsec)."""
        ratio = self.model.distance_ratio(z_source)
        u = self.x - ratio * self.alpha[0] - source[0]
        v = self.y - ratio * self.alpha[1] - source[1]
        inside, near = _cells_around_origin(u, v, self.step * self._seeded(z_source))
        corners = np.stack([self.x[:-1, :-1], self.y[:-1, :-1]])
        starts = [corners[:, inside] + self.step / 2]
        cells, size = corners[:, near], self.step
        for _ in range(2):
            nodes = size * np.arange(REFINE + 1) / REFINE
            x = cells[0][:, None, None] + nodes[None, None, :] + 0 * nodes[None, :, None]
            y = cells[1][:, None, None] + nodes[None, :, None] + 0 * nodes[None, None, :]
            beta = self.model.ray_trace(x, y, z_source)
            inside, near = _cells_around_origin(beta[0] - source[0], beta[1] - source[1])
            size /= REFINE
            corners = np.stack([x[:, :-1, :-1], y[:, :-1, :-1]])
            starts.append(corners[:, inside] + size / 2)
            cells = corners[:, near]
        start = np.concatenate(starts, axis=1)
        x, y = follow_images(self.model, start[0], start[1], source, z_source)
        return self._distinct(x, y, z_source)

    def _seeded(self, z_source: float) -> np.ndarray:
        """[y - 1, x - 1] bool: cells beside a small mass, whose corners do not show it."""
        if z_source not in self._near_seed:
            cells = np.zeros(np.array(self.x.shape) - 1, dtype=bool)
            seeds = self.model.seeds(z_source, SMALLEST_LENS_ARCSEC)
            column, row = np.floor((seeds - [self.x[0, 0], self.y[0, 0]]) / self.step).T.astype(int)
            height, width = cells.shape
            held = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            cells[row[held], column[held]] = True
            self._near_seed[z_source] = binary_dilation(cells, structure=np.ones((3, 3)))
        return self._near_seed[z_source]

    def _distinct(self, x: np.ndarray, y: np.ndarray, z_source: float) -> np.ndarray:
        """[image, 2], each image once: many cells lead to it. Sorted by x."""
        x, y = x[np.isfinite(x)], y[np.isfinite(x)]
        parity = np.sign(self.model.inverse_magnification(x, y, z_source))
        found: list[tuple[float, float, float]] = []
        for place in zip(x, y, parity, strict=True):
            # The two images of a pair about to merge differ in parity, however close they are.
            if all(
                np.hypot(place[0] - a, place[1] - b) > SAME_IMAGE_ARCSEC or place[2] != sign
                for a, b, sign in found
            ):
                found.append((float(place[0]), float(place[1]), float(place[2])))
        return np.array(sorted(found)).reshape(-1, 3)[:, :2]


def _cells_around_origin(
    u: np.ndarray, v: np.ndarray, margin: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """[..., y - 1, x - 1] bool: cells that hold the origin, and cells that may hold it.

    u, v : [..., y, x] source-plane offsets at the nodes. A cell holds the origin where one of its
    two triangles does; it may hold it where its box, half its size larger on every side and by
    `margin` more, does: the lens map is not straight inside.
    """
    corner = [
        (
            u[..., dy : u.shape[-2] - 1 + dy, dx : u.shape[-1] - 1 + dx],
            v[..., dy : v.shape[-2] - 1 + dy, dx : v.shape[-1] - 1 + dx],
        )
        for dy, dx in ((0, 0), (0, 1), (1, 1), (1, 0))
    ]
    near: np.ndarray | bool = True
    for values in zip(*corner, strict=True):
        low, high = np.minimum.reduce(values), np.maximum.reduce(values)
        reach = 0.5 * (high - low) + margin
        near = near & (low - reach <= 0) & (high + reach >= 0)
    near = np.asarray(near)
    inside = np.zeros(near.shape, dtype=bool)
    few = [(a[near], b[near]) for a, b in corner]
    inside[near] = _triangle(few[0], few[1], few[2]) | _triangle(few[0], few[2], few[3])
    return inside, near


def _triangle(*points: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether triangles hold the origin; an origin on a side belongs to both neighbours."""
    sides = np.stack(
        [
            u1 * v2 - u2 * v1
            for (u1, v1), (u2, v2) in zip(points, (*points[1:], points[0]), strict=True)
        ]
    )
    return np.asarray(np.all(sides >= 0, axis=0) | np.all(sides <= 0, axis=0))


def predicted_images(model: LensModel) -> Table:
    """The model's images table with the positions it predicts.

    Per system the mean of the back-projected images is the source, which is solved forward from
    every observed position. Adds x, y, x_model, y_model, residual (arcsec); NaN where the model
    makes no image.
    """
    table = model.images.copy()
    system = np.asarray(table["system"]).astype(str)
    redshift = np.asarray(table["z"], dtype=float)
    x, y = model.tangent(np.asarray(table["ra"]), np.asarray(table["dec"]))
    predicted = np.full((2, len(table)), np.nan)
    for name in dict.fromkeys(system):
        own = system == name
        z = float(redshift[own][0])
        if np.ptp(redshift[own]) > 0:
            raise ValueError(f"system {name}: its images have several redshifts; one is needed")
        source = mean_source(model, x[own], y[own], z)
        predicted[:, own] = follow_images(model, x[own], y[own], source, z)
    residual = np.hypot(predicted[0] - x, predicted[1] - y)
    columns = {"x": x, "y": y, "x_model": predicted[0], "y_model": predicted[1]}
    for key, value in {**columns, "residual": residual}.items():
        table[key] = value
        table[key].unit = "arcsec"
    return table


def image_plane_rms(predicted: Table) -> tuple[float, dict[str, float]]:
    """RMS (arcsec) of predicted minus observed positions: of all images, and by system.

    predicted : from `predicted_images`. Images that the model does not make are left out; a
    system that has none of its images is NaN.
    """
    residual = np.asarray(predicted["residual"], dtype=float)
    system = np.asarray(predicted["system"]).astype(str)

    def rms(values: np.ndarray) -> float:
        values = values[np.isfinite(values)]
        return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")

    return rms(residual), {name: rms(residual[system == name]) for name in dict.fromkeys(system)}
