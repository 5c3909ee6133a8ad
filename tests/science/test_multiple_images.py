"""The multiple-image solver against lenstronomy's, and against Burke's theorem."""

import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from lenshunt.core import RESOURCES
from lenshunt.lensing import ImageSolver, MassModel, Potentials, load_mass_model

Z = 2.0


@pytest.fixture(scope="module")
def cluster():
    """A cluster halo and three members with cores of a few hundredths of an arcsec."""
    rows = [
        (0.0, 0.0, 0.4, 30.0, 1.5, 200.0, 620.0),
        (4.0, 2.0, 0.3, 80.0, 0.05, 8.0, 170.0),
        (-5.0, 1.0, 0.1, 10.0, 0.05, 6.0, 150.0),
        (1.0, -6.0, 0.5, 120.0, 0.08, 10.0, 200.0),
    ]
    columns = np.array(rows).T
    return MassModel("small", Potentials(np.array(list("abcd")), *columns), 10.0, 0.0, 0.4)


def nie_arguments(model):
    """lenstronomy's NIE pairs for a dPIE model at redshift Z, the outer ones with negative mass."""
    p, ratio = model.potentials, model.distance_ratio(Z)
    found = []
    for i in range(len(p)):
        eps, angle = p.eps[i], np.radians(p.angle_deg[i])
        stretch = np.sqrt(1 - eps**2)
        b = ratio * p.b0[i] * p.cut[i] / (p.cut[i] - p.core[i]) * stretch
        found += [
            {
                "theta_E": sign * b,
                "e1": eps * np.cos(2 * angle),
                "e2": eps * np.sin(2 * angle),
                "s_scale": radius * stretch,
                "center_x": p.x[i],
                "center_y": p.y[i],
            }
            for sign, radius in ((1, p.core[i]), (-1, p.cut[i]))
        ]
    return found


@pytest.mark.slow
def test_no_image_that_lenstronomy_finds_is_missed_and_none_is_found_twice(cluster):
    arguments = nie_arguments(cluster)
    lens = LensModel(["NIE"] * len(arguments))
    peer, ours = LensEquationSolver(lens), ImageSolver(cluster, 20.0)
    for source in np.random.default_rng(5).uniform(-4, 4, (50, 2)):
        images = ours.images(tuple(source), Z)
        x, y = peer.image_position_from_source(
            *source, arguments, min_distance=0.1, search_window=40, precision_limit=1e-10
        )
        separation = np.hypot(images[:, :1] - x, images[:, 1:] - y)
        assert separation.min(axis=0).max() < 1e-4, source
        # One to one: an image of ours is at most one of lenstronomy's, and a root by itself.
        assert (separation < 1e-3).sum(axis=1).max() == 1
        beta = lens.ray_shooting(*images.T, arguments)
        assert np.abs(np.array(beta).T - source).max() < 2e-6
        parity = np.sign(cluster.magnification(*images.T, Z))
        assert len(images) % 2 == 1
        assert parity.sum() == 1


@pytest.mark.slow
def test_images_of_random_sources_behind_the_whole_cluster_are_complete():
    folder = RESOURCES / "smacs0723"
    model = load_mass_model(folder / "potentials.ecsv", folder / "images.ecsv")
    solver = ImageSolver(model, step_arcsec=0.5)
    random = np.random.default_rng(1)
    counts = []
    for source in np.column_stack([random.uniform(-12, 16, 40), random.uniform(-8, 8, 40)]):
        images = solver.images(tuple(source), Z)
        counts.append(len(images))
        assert np.sign(model.magnification(*images.T, Z)).sum() == 1, source
    assert max(counts) >= 3
