"""Critical curves of SMACS J0723 at z_s = 2, 120" x 120", 0.05": ours against lenstronomy's NIE."""

import time

import contourpy
import numpy as np
from harness import Row, best_of
from lenstronomy.LensModel.Profiles.nie import NIE

from lenshunt.core import RESOURCES
from lenshunt.lensing import MassModel, critical_curves, load_mass_model

FOLDER = RESOURCES / "smacs0723"
HALF_WIDTH_ARCSEC, STEP_ARCSEC, Z_SOURCE = 60.0, 0.05, 2.0
# The uniform grid has 5.8 million nodes times 298 NIEs; the peer's time is proportional to the
# nodes, so a patch in the middle is timed and scaled by the number of nodes.
PATCH_HALF_WIDTH_ARCSEC = 2.5


def peer_patch(model: MassModel) -> int:
    """Critical curves in the patch from NIE pairs on a uniform grid; the number of its nodes."""
    axis = np.arange(-PATCH_HALF_WIDTH_ARCSEC, PATCH_HALF_WIDTH_ARCSEC, STEP_ARCSEC)
    grid_x, grid_y = np.meshgrid(axis, axis)
    x, y = grid_x.ravel(), grid_y.ravel()
    nie, p = NIE(), model.potentials
    ratio = model.distance_ratio(Z_SOURCE)
    total = np.zeros((3, x.size))
    for index in range(len(p)):
        eps, angle = p.eps[index], np.radians(p.angle_deg[index])
        stretch = np.sqrt(1 - eps**2)
        b = ratio * p.b0[index] * p.cut[index] / (p.cut[index] - p.core[index])
        for sign, core in ((1, p.core[index]), (-1, p.cut[index])):
            f_xx, f_xy, _, f_yy = nie.hessian(
                x,
                y,
                b * stretch,
                eps * np.cos(2 * angle),
                eps * np.sin(2 * angle),
                core * stretch,
                p.x[index],
                p.y[index],
            )
            total += sign * np.array([f_xx, f_xy, f_yy])
    f_xx, f_xy, f_yy = total
    determinant = ((1 - f_xx) * (1 - f_yy) - f_xy**2).reshape(grid_x.shape)
    contourpy.contour_generator(axis, axis, determinant).lines(0.0)
    return x.size


def bench() -> list[Row]:
    """One row; the peer's seconds are scaled from the patch to the whole grid."""
    model = load_mass_model(FOLDER / "potentials.ecsv", FOLDER / "images.ecsv")
    ours = best_of(
        lambda: critical_curves(model, Z_SOURCE, HALF_WIDTH_ARCSEC, STEP_ARCSEC), repeats=3
    )
    peer_patch(model)
    start = time.perf_counter()
    nodes = peer_patch(model)
    patch = time.perf_counter() - start
    whole = (2 * HALF_WIDTH_ARCSEC / STEP_ARCSEC + 1) ** 2
    what = f"critical curves of SMACS J0723 [s] (peer: {nodes} nodes, scaled)"
    return [Row(what, ours, patch * whole / nodes, 20.0)]
