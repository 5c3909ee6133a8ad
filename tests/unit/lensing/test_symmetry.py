"""Images and lens parameters move together: the lens equation holds after every move."""

import numpy as np
import pytest
import torch
from lens_systems import draw_systems, lenstronomy_image, lenstronomy_mass, lenstronomy_model
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.simulator import PARAMETERS, render
from lenshunt.lensing.symmetry import SkyMove, move_images, move_parameters, random_move

GRID = PixelGrid(64, 0.168, 4)
PSF = torch.from_numpy(moffat_psf(0.8, 3.0, 0.168, 31))
FLUXES = torch.tensor([[[300.0, 40.0]]])
VALUES = {
    "theta_e": 1.4, "slope": 2.0, "mass_e1": 0.12, "mass_e2": -0.07, "mass_x": 0.2, "mass_y": -0.3,
    "gamma1": 0.03, "gamma2": 0.05, "lens_radius": 0.9, "lens_sersic": 2.5, "lens_e1": 0.1,
    "lens_e2": -0.08, "lens_x": 0.21, "lens_y": -0.28, "source_radius": 0.3, "source_sersic": 1.0,
    "source_e1": -0.1, "source_e2": 0.15, "source_x": 0.35, "source_y": -0.15,
}  # fmt: skip
PARAMS = torch.tensor([[VALUES[name] for name in PARAMETERS]])


def move(mirror=False, angle=0.0, zoom=1.0):
    return SkyMove(torch.tensor([mirror]), torch.tensor([angle]), torch.tensor([zoom]))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_quarter_turns_and_mirrors_are_exact(mirror, quarter):
    one = move(mirror, quarter * np.pi / 2)
    expected = render(move_parameters(PARAMS, one), FLUXES, GRID, PSF)
    moved = move_images(render(PARAMS, FLUXES, GRID, PSF), one)
    assert torch.allclose(moved, expected, atol=2e-4 * float(expected.max()))


@pytest.mark.parametrize("angle", [0.3, 1.9, -2.5])
@pytest.mark.parametrize("mirror", [False, True])
def test_any_turn_agrees_to_the_interpolation(mirror, angle):
    one = move(mirror, angle)
    expected = render(move_parameters(PARAMS, one), FLUXES, GRID, PSF)
    moved = move_images(render(PARAMS, FLUXES, GRID, PSF), one)
    inner = (..., slice(10, 54), slice(10, 54))
    assert torch.allclose(moved[inner], expected[inner], atol=0.02 * float(expected.max()))


@pytest.mark.parametrize("zoom", [0.9, 1.1])
def test_a_zoom_scales_the_lens_where_the_psf_is_zoomed_too(zoom):
    one = move(zoom=zoom)
    zoomed_psf = torch.from_numpy(moffat_psf(0.8 * zoom, 3.0, 0.168, 31))
    expected = render(move_parameters(PARAMS, one), FLUXES, GRID, zoomed_psf)
    moved = move_images(render(PARAMS, FLUXES, GRID, PSF), one)
    inner = (..., slice(10, 54), slice(10, 54))
    assert torch.allclose(moved[inner], expected[inner], atol=0.03 * float(expected.max()))
    assert float(moved[inner].sum() / expected[inner].sum()) == pytest.approx(1.0, abs=0.003)


def test_a_zoom_with_the_old_psf_is_wrong_and_that_is_why_it_must_be_small():
    one = move(zoom=1.3)
    expected = render(move_parameters(PARAMS, one), FLUXES, GRID, PSF)
    moved = move_images(render(PARAMS, FLUXES, GRID, PSF), one)
    assert float((moved - expected).abs().max() / expected.max()) > 0.05


def moved_point(x: np.ndarray, y: np.ndarray, one: SkyMove) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, turn and zoom of points on the sky, written out."""
    at = (-x if one.mirror.item() else x) + 1j * y
    at = at * np.exp(1j * one.angle.item()) * one.zoom.item()
    return at.real, at.imag


@pytest.mark.parametrize("seed", range(6))
def test_moved_images_obey_the_lens_equation_of_lenstronomy(seed):
    model = LensModel(["EPL", "SHEAR"])
    params = torch.tensor(draw_systems(np.random.default_rng(seed), 1))
    one = random_move(1, 0.2, torch.Generator().manual_seed(seed))
    one = SkyMove(one.mirror, one.angle.double(), one.zoom.double())
    before, after = (
        dict(zip(PARAMETERS, p[0].tolist(), strict=True))
        for p in (params, move_parameters(params, one))
    )
    x, y = LensEquationSolver(model).image_position_from_source(
        before["source_x"], before["source_y"], lenstronomy_mass(before),
        precision_limit=1e-12, num_iter_max=200, search_window=8.0, min_distance=0.05,
    )  # fmt: skip
    assert len(x) >= 2
    there = moved_point(x, y, one)
    beta = model.ray_shooting(*there, lenstronomy_mass(after))
    np.testing.assert_allclose(beta[0], after["source_x"], atol=1e-7)
    np.testing.assert_allclose(beta[1], after["source_y"], atol=1e-7)
    np.testing.assert_allclose(
        np.abs(model.magnification(*there, lenstronomy_mass(after))),
        np.abs(model.magnification(x, y, lenstronomy_mass(before))),
        rtol=1e-4,
    )


def test_a_moved_image_is_what_lenstronomy_draws_for_the_moved_lens():
    grid, fluxes = PixelGrid(64, 0.168, 4, cusp_supersampling=1), FLUXES
    one = move(True, 0.8, 1.05)
    moved = move_images(render(PARAMS, fluxes, grid, PSF), one)[0, 0].numpy()
    psf = moffat_psf(0.8 * 1.05, 3.0, 0.168, 31)
    row = move_parameters(PARAMS, one)[0].double().numpy()
    expected = lenstronomy_image(lenstronomy_model(grid, psf), row, fluxes[0, 0].double().numpy())
    inner = slice(10, 54), slice(10, 54)
    assert np.abs(moved - expected)[inner].max() < 0.03 * expected.max()
    assert moved[inner].sum() == pytest.approx(expected[inner].sum(), rel=0.003)


def test_what_has_no_length_stays():
    moved = move_parameters(PARAMS, move(True, 0.7, 1.2))[0]
    for name in ("slope", "lens_sersic", "source_sersic"):
        assert float(moved[PARAMETERS.index(name)]) == pytest.approx(VALUES[name])
    strength = np.hypot(*(float(moved[PARAMETERS.index(n)]) for n in ("gamma1", "gamma2")))
    assert strength == pytest.approx(np.hypot(0.03, 0.05), rel=1e-5)
    assert float(moved[0]) == pytest.approx(1.4 * 1.2, rel=1e-6)


def test_random_moves_stay_in_their_range_and_repeat():
    moves = [random_move(500, 0.05, torch.Generator().manual_seed(2)) for _ in range(2)]
    assert torch.equal(moves[0].angle, moves[1].angle)
    assert float(moves[0].zoom.min()) >= 1 / 1.05 - 1e-6
    assert float(moves[0].zoom.max()) <= 1.05
    assert 0.4 < float(moves[0].mirror.float().mean()) < 0.6


def test_images_that_are_not_square_are_refused_not_sheared():
    with pytest.raises(ValueError, match="square"):
        move_images(torch.rand(1, 1, 10, 20), move(angle=0.3))


def test_low_precision_images_move_to_the_same_place():
    image = render(PARAMS, FLUXES, GRID, PSF)
    low = image.bfloat16()
    one = move(angle=0.7)
    moved = move_images(low, one)
    assert moved.dtype == torch.bfloat16
    expected = move_images(low.float(), one)
    assert torch.allclose(moved.float(), expected, atol=0.01 * float(expected.max()))
