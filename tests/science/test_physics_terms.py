"""What the physics loss is made of, on cases whose answer is known."""

import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from lenshunt.lensing.amplitudes import Fit
from lenshunt.lensing.lens_constraints import (
    convergence_of,
    lens_equation_loss,
    mass_conservation_loss,
    shear_loss,
)
from lenshunt.lensing.physics_loss import (
    RenderFailures,
    degrees_of_freedom,
    physics_curriculum,
    reduced_chi2,
    robust,
    without_failed,
)

SHAPES = 4


def fit(chi2: list[list[float]], pixels: int = 100) -> Fit:
    values = torch.tensor(chi2, dtype=torch.float64)
    return Fit(torch.zeros(*values.shape, 2), values, torch.full(values.shape, pixels))


def ones(like: Fit) -> torch.Tensor:
    return torch.ones_like(like.chi2)


def test_curriculum_rises_from_a_tenth_to_one():
    assert [physics_curriculum(e, 10) for e in (0, 5, 10, 20)] == pytest.approx([0.1, 0.55, 1, 1])
    assert physics_curriculum(0, 0) == 1


def test_robust_is_linear_for_good_fits_and_a_root_for_bad_ones():
    x = torch.tensor([0.0, 1e-4, 1e6, 4e6], dtype=torch.float64, requires_grad=True)
    value = robust(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    value = value.detach()
    assert value[0] == 0
    assert float(slope[0]) == pytest.approx(1)
    assert float(value[3] / value[2]) == pytest.approx(2, rel=1e-2)
    assert torch.autograd.gradcheck(
        robust, torch.tensor([0.3, 1.0, 20.0]).double().requires_grad_()
    )


def test_chi2_per_degree_of_freedom_of_a_known_fit():
    two_bands = fit([[84.0, 108.0]])
    # 200 pixels, 4 shapes, 2 x 2 fluxes
    assert float(reduced_chi2(two_bands, ones(two_bands), SHAPES)) == pytest.approx(1)
    absent = Fit(two_bands.fluxes, torch.tensor([[94.0, 0.0]]), torch.tensor([[100, 0]]))
    assert float(reduced_chi2(absent, ones(two_bands), SHAPES)) == pytest.approx(1)


def test_a_model_without_a_source_has_one_flux_per_band():
    with_source = fit([[84.0, 108.0]])
    without = Fit(torch.zeros(1, 2, 1), with_source.chi2, with_source.n_pixels)
    assert float(degrees_of_freedom(with_source, ones(with_source), SHAPES)) == 192
    assert float(degrees_of_freedom(without, ones(without), SHAPES)) == 194


def test_a_band_without_pixels_and_noise_correlation_leaves_no_nan_in_the_gradient():
    shapes = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    model = Fit(torch.zeros(1, 2, 2), 94.0 * shapes, torch.tensor([[100, 0]]))
    noise_corr = torch.tensor([[1.0, torch.nan]], dtype=torch.float64)
    reduced_chi2(model, noise_corr, SHAPES).sum().backward()
    assert shapes.grad[0, 0] > 0
    assert shapes.grad[0, 1] == 0


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_a_perfect_model_has_chi2_one_whatever_the_correlation_of_the_noise(width):
    side, n = 64, 40
    rng = np.random.default_rng(2)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    filtered = np.exp(-2 * (np.pi * frequency * width) ** 2)
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, side, side))) * filtered).real
    sigma2 = np.mean(filtered**2)
    correlation = filtered[0, 0] ** 2 / sigma2
    chi2 = (noise**2 / sigma2).sum(axis=(1, 2))
    whole = fit([[value] for value in chi2], side * side)
    value = reduced_chi2(whole, torch.full((n, 1), correlation), 0)
    # two fluxes that this model has not fitted
    assert float(value.mean()) == pytest.approx(1, abs=0.02 + 2 * correlation / side**2)


def test_failed_renders_and_images_without_pixels_are_told_apart():
    chi2 = torch.tensor([[94.0], [np.nan], [0.0]])
    found = reduced_chi2(
        Fit(torch.zeros(3, 1, 2), chi2, torch.tensor([[100], [100], [0]])), torch.ones(3, 1), SHAPES
    )
    assert float(found[0]) == pytest.approx(1)
    assert torch.isnan(found[1])
    assert torch.isinf(found[2])


def test_the_gradient_of_a_failed_render_does_not_reach_the_network():
    weights = torch.ones(3, 1, requires_grad=True)
    shapes = without_failed(weights * torch.tensor([[1.0], [-1.0], [2.0]]))
    # the root fails for the second sample, value and gradient
    chi2 = torch.sqrt(shapes)
    torch.where(torch.isfinite(chi2), chi2, 0.0).sum().backward()
    assert torch.isfinite(weights.grad).all()
    assert weights.grad[1] == 0
    assert (weights.grad[[0, 2]] != 0).all()


def test_more_than_one_percent_of_failures_stops_the_training(caplog):
    failures = RenderFailures()
    failures.note(1, 32)
    assert "1 of 32 lens models" in caplog.text
    for _ in range(20):
        failures.note(0, 32)
    failures.note(5, 32)
    with pytest.raises(ValueError, match="9 of 736 lens models could not be rendered"):
        failures.note(3, 32)


SIE = [{"theta_E": 1.2, "e1": 0.1, "e2": -0.15, "center_x": 0.0, "center_y": 0.0}]
SHEARED = [*SIE, {"gamma1": 0.03, "gamma2": -0.02}]


def traced_images(moved: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one source under an SIE with shear: where they come from, and magnifications."""
    model = LensModel(["SIE", "SHEAR"])
    x, y = LensEquationSolver(model).image_position_from_source(
        0.05, 0.03, SHEARED, precision_limit=1e-12, num_iter_max=200
    )
    magnification = model.magnification(x, y, SHEARED)
    x = x + moved * np.array([1.0] + [0.0] * (len(x) - 1))
    beta = np.stack(model.ray_shooting(x, y, SHEARED), axis=-1)
    return torch.tensor(beta)[None], torch.tensor(magnification)[None]


def test_true_images_obey_the_lens_equation_and_displaced_ones_do_not():
    losses = []
    for moved in (0.0, 0.01, 0.02, 0.05):
        beta, magnification = traced_images(moved)
        assert beta.shape[1] == 4
        weight = torch.ones(beta.shape[:2])
        losses.append(float(lens_equation_loss(beta, weight, magnification)))
    assert losses[0] < 1e-12
    assert losses == sorted(losses)
    # in the image plane: of the order of the displacement, not of its shrunken trace
    assert 0.05**2 / 4 * 0.1 < losses[-1] < 0.05**2 * 3


def test_two_images_of_known_offset():
    beta = torch.tensor([[[0.0, 0.0], [0.2, 0.0], [9.0, 9.0]]])
    weight = torch.tensor([[1.0, 1.0, 0.0]])
    # equal magnification 4: each 0.1 from the mean source, squared and times 4
    assert float(lens_equation_loss(beta, weight, torch.full((1, 3), 4.0))) == pytest.approx(0.04)
    assert (
        float(lens_equation_loss(beta, weight * torch.tensor([1.0, 0, 0]), torch.ones(1, 3))) == 0
    )


def test_a_missing_image_may_have_no_magnification():
    beta = torch.tensor([[[0.0, 0.0], [0.2, 0.0], [torch.nan, torch.nan]]], requires_grad=True)
    weight = torch.tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    magnification = torch.tensor([[4.0, 4.0, torch.nan]])
    loss = lens_equation_loss(beta, weight, magnification)
    by_beta, by_weight = torch.autograd.grad(loss.sum(), (beta, weight))
    assert float(loss.detach()) == pytest.approx(0.04)
    assert torch.isfinite(by_beta).all()
    assert torch.isfinite(by_weight).all()


def test_magnification_is_a_weight_of_the_lens_equation_not_a_way_out():
    beta, magnification = traced_images(0.02)
    beta, magnification = beta.requires_grad_(), magnification.requires_grad_()
    weight = torch.ones(beta.shape[:2])
    loss = lens_equation_loss(beta, weight, magnification) + 0 * magnification.sum()
    by_beta, by_magnification = torch.autograd.grad(loss.sum(), (beta, magnification))
    assert (by_magnification == 0).all()
    assert by_beta.abs().max() > 0
    fixed = magnification.detach()
    assert torch.autograd.gradcheck(lambda b: lens_equation_loss(b, weight, fixed), (beta,))


def potential(model: LensModel, keywords: list[dict], side: int, step: float) -> torch.Tensor:
    axis = (np.arange(side) - (side - 1) / 2) * step
    x, y = np.meshgrid(axis, axis)
    values = model.potential(x.ravel(), y.ravel(), keywords).reshape(side, side)
    return torch.tensor(values)[None]


def test_an_sie_has_positive_mass_of_the_known_amount():
    side, step = 400, 0.01
    kappa = convergence_of(potential(LensModel(["SIE"]), SIE, side, step), step)[0]
    assert kappa.min() > 0
    axis = (np.arange(side - 2) - (side - 3) / 2) * step
    inside = torch.tensor(np.hypot(axis[:, None], axis) < 1.2)
    direct = LensModel(["SIE"]).kappa(*np.meshgrid(axis, axis), SIE)
    mass = float(kappa[inside].sum()) * step**2
    assert mass == pytest.approx(float(direct[inside.numpy()].sum()) * step**2, rel=5e-3)
    # kappa averages to 1 inside the Einstein radius; over a circle an ellipse has nearly that
    assert mass == pytest.approx(np.pi * 1.2**2, rel=0.03)


def test_an_sie_is_conserved_by_construction_and_shear_adds_no_mass():
    step = 0.05
    kappa = convergence_of(potential(LensModel(["SIE"]), SIE, 80, step), step)
    shear = potential(LensModel(["SHEAR"]), SHEARED[1:], 80, step)
    for correction in (torch.zeros_like(shear), shear):
        assert float(mass_conservation_loss(correction, kappa, step)) < 1e-15


def test_a_correction_that_adds_or_negates_mass_is_penalised():
    side, step = 82, 0.05
    axis = (np.arange(side) - (side - 1) / 2) * step
    radius2 = torch.tensor(axis[:, None] ** 2 + axis**2)[None]
    smooth = torch.full((1, side - 2, side - 2), 0.3, dtype=torch.float64)
    # psi = k r^2 / 2 is a sheet of convergence k
    sheet = mass_conservation_loss(0.1 * radius2 / 2 * 1.0, smooth, step)
    assert float(sheet) == pytest.approx(0.1**2, rel=1e-6)
    hole = mass_conservation_loss(-0.5 * radius2 / 2, smooth, step)
    assert float(hole) == pytest.approx(0.2**2 + 0.5**2, rel=1e-6)
    correction = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    assert torch.autograd.gradcheck(
        lambda c: mass_conservation_loss(c, smooth[:, :6, :6], 0.5), (correction.requires_grad_(),)
    )


def test_shear_of_one_sigma_costs_a_half():
    assert float(shear_loss(torch.tensor([0.05]), torch.tensor([0.0]))) == pytest.approx(0.5)
    assert float(shear_loss(torch.tensor([0.06]), torch.tensor([0.08]))) == pytest.approx(2.0)
