"""Solve the lens equation: the multiple images of a source, and how well a model places them."""

import numpy as np
from astropy.table import Table

from lenshunt.lensing import dpie
from lenshunt.lensing.mass_model import MassModel

NEWTON_STEPS = 100
# A Newton step near a critical curve can leap across the field; short steps stay with the image.
STEP_MAX_ARCSEC = 0.3
CONVERGED_ARCSEC = 1e-6


def mean_source(
    model: MassModel, x: np.ndarray, y: np.ndarray, z_source: float
) -> tuple[float, float]:
    """Mean source-plane position (arcsec) of images at (x, y)."""
    beta_x, beta_y = model.ray_trace(x, y, z_source)
    return float(np.mean(beta_x)), float(np.mean(beta_y))


def follow_images(
    model: MassModel,
    x: np.ndarray,
    y: np.ndarray,
    source: tuple[float, float],
    z_source: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (arcsec) of `source` that damped Newton steps reach from (x, y).

    NaN where no image is reached: the model has none there.
    """
    x, y = np.array(x, dtype=float), np.array(y, dtype=float)
    for _ in range(NEWTON_STEPS):
        beta_x, beta_y = model.ray_trace(x, y, z_source)
        miss_x, miss_y = source[0] - beta_x, source[1] - beta_y
        if np.all(np.hypot(miss_x, miss_y) < CONVERGED_ARCSEC):
            break
        xx, xy, yy = model.hessian(x, y, z_source)
        determinant = (1.0 - xx) * (1.0 - yy) - xy**2
        # Never a division by an exact zero: on a critical curve the step is long and is cut.
        determinant = np.where(determinant == 0, 1e-12, determinant)
        step_x = ((1.0 - yy) * miss_x + xy * miss_y) / determinant
        step_y = (xy * miss_x + (1.0 - xx) * miss_y) / determinant
        shrink = np.maximum(1.0, np.hypot(step_x, step_y) / STEP_MAX_ARCSEC)
        x, y = x + step_x / shrink, y + step_y / shrink
    beta_x, beta_y = model.ray_trace(x, y, z_source)
    lost = np.hypot(source[0] - beta_x, source[1] - beta_y) > CONVERGED_ARCSEC
    return np.where(lost, np.nan, x), np.where(lost, np.nan, y)


class ImageSolver:
    """Finds all images of any source: the deflection on a grid is kept for every redshift.

    Images closer together than `step_arcsec` (a pair about to merge) can be missed.
    """

    def __init__(
        self, model: MassModel, half_width_arcsec: float = 60.0, step_arcsec: float = 0.25
    ):
        self.model = model
        axis = np.arange(-half_width_arcsec, half_width_arcsec + step_arcsec / 2, step_arcsec)
        self.x, self.y = np.meshgrid(axis, axis)
        self.alpha = dpie.deflection(model.potentials, self.x, self.y)

    def images(self, source: tuple[float, float], z_source: float) -> np.ndarray:
        """[image, 2] positions (arcsec) of all images of a point at `source` (arcsec)."""
        ratio = self.model.distance_ratio(z_source)
        u = self.x - ratio * self.alpha[0] - source[0]
        v = self.y - ratio * self.alpha[1] - source[1]
        row, column = np.nonzero(_cells_around_origin(u, v))
        x = 0.5 * (self.x[row, column] + self.x[row + 1, column + 1])
        y = 0.5 * (self.y[row, column] + self.y[row + 1, column + 1])
        x, y = follow_images(self.model, x, y, source, z_source)
        found: list[tuple[float, float]] = []
        for point in zip(x[np.isfinite(x)], y[np.isfinite(x)], strict=True):
            # Neighbouring cells may both contain the source; the image is one.
            if all(np.hypot(point[0] - a, point[1] - b) > 1e-3 for a, b in found):
                found.append((float(point[0]), float(point[1])))
        return np.array(sorted(found)).reshape(-1, 2)


def _cells_around_origin(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[y - 1, x - 1] bool: cells of the grid whose source-plane quadrilateral holds the origin."""
    corner = {
        (dy, dx): (
            u[dy : u.shape[0] - 1 + dy, dx : u.shape[1] - 1 + dx],
            v[dy : v.shape[0] - 1 + dy, dx : v.shape[1] - 1 + dx],
        )
        for dy in (0, 1)
        for dx in (0, 1)
    }

    def triangle(*names: tuple[int, int]) -> np.ndarray:
        sides = []
        for first, second in zip(names, (*names[1:], names[0]), strict=True):
            (u1, v1), (u2, v2) = corner[first], corner[second]
            sides.append(u1 * v2 - u2 * v1)
        # A source on the side of a triangle belongs to both neighbours.
        return np.all(np.stack(sides) >= 0, axis=0) | np.all(np.stack(sides) <= 0, axis=0)

    return triangle((0, 0), (0, 1), (1, 1)) | triangle((0, 0), (1, 1), (1, 0))


def predicted_images(model: MassModel) -> Table:
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
