"""The simulator against lenstronomy, against finite differences, and against what physics says."""

import numpy as np
import pytest
import torch
from lens_systems import (
    draw_systems,
    lenstronomy_image,
    lenstronomy_mass,
    lenstronomy_model,
    one_system,
)
from lenstronomy.LensModel.lens_model import LensModel
from scipy.special import gammainc, gammaincinv

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import amplitudes
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.power_law import power_law_convergence, power_law_deflection
from lenshunt.lensing.psf_convolution import psf_transform
from lenshunt.lensing.simulator import (
    PARAMETERS,
    columns_of,
    render,
    render_batch,
    source_position,
)

SCALE = 0.168
#: FWHM of five bands in arcsec; the spread of HSC's own (grizy).
SEEING = (0.85, 0.75, 0.6, 0.68, 0.7)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _psfs(size: int = 25) -> torch.Tensor:
    return torch.stack([torch.tensor(moffat_psf(f, 3.0, SCALE, size)) for f in SEEING])


@pytest.mark.slow
def test_200_random_systems_in_five_bands_agree_with_lenstronomy():
    rng, psf = np.random.default_rng(2), _psfs()
    grid = PixelGrid(64, SCALE, 2, cusp_supersampling=1)
    params, fluxes = draw_systems(rng, 200), rng.uniform(0.2, 3.0, (200, 5, 2))
    ours = render(torch.tensor(params).float(), torch.tensor(fluxes).float(), grid, psf).numpy()
    band = np.arange(200) % 5
    models = [lenstronomy_model(grid, kernel.numpy()) for kernel in psf]
    for i in range(200):
        theirs = lenstronomy_image(models[band[i]], params[i], fluxes[i, band[i]])
        assert np.abs(ours[i, band[i]] - theirs).max() <= 1e-3 * theirs.max()


def test_each_supersampling_agrees_with_lenstronomy():
    rng = np.random.default_rng(3)
    params, fluxes = draw_systems(rng, 3), np.array([[[1.0, 0.5]]] * 3)
    for supersampling in (1, 3, 4):
        grid = PixelGrid(40, SCALE, supersampling, cusp_supersampling=1)
        ours = render(torch.tensor(params), torch.tensor(fluxes), grid, None)[:, 0].numpy()
        model = lenstronomy_model(grid, None)
        for image, row, flux in zip(ours, params, fluxes, strict=True):
            theirs = lenstronomy_image(model, row, flux[0])
            np.testing.assert_allclose(image, theirs, atol=1e-4 * theirs.max())


@pytest.mark.parametrize("name", PARAMETERS)
def test_gradient_of_every_parameter_equals_finite_differences(name):
    rng = np.random.default_rng(4)
    params = torch.tensor(draw_systems(rng, 4))
    fluxes = torch.tensor([[[2.0, 1.0]] * 5] * 4, dtype=torch.double)
    grid, psf = PixelGrid(32, 2 * SCALE, 2), _psfs(11).double()
    weight = torch.tensor(rng.normal(size=(4, 5, 32, 32)))
    column, step = PARAMETERS.index(name), 1e-5

    def value(shift: float) -> torch.Tensor:
        moved = params.clone()
        moved[:, column] += shift
        return (weight * render(moved, fluxes, grid, psf)).sum(dim=(1, 2, 3))

    leaf = params.clone().requires_grad_()
    (weight * render(leaf, fluxes, grid, psf)).sum().backward()
    numeric = (value(step) - value(-step)) / (2 * step)
    assert (leaf.grad[:, column] - numeric).abs().max() <= 1e-3 * numeric.abs().max()


def test_gradient_of_chi2_through_the_solved_fluxes_equals_finite_differences():
    rng = np.random.default_rng(5)
    truth = torch.tensor(draw_systems(rng, 2))
    grid, psf = PixelGrid(32, 2 * SCALE, 2), _psfs(11).double()
    fluxes = torch.tensor([[[3.0, 1.0]] * 5] * 2, dtype=torch.double)
    variance = torch.full((2, 5, 32, 32), 0.01**2, dtype=torch.double)
    image = render(truth, fluxes, grid, psf)
    image = image + 0.01 * torch.tensor(rng.normal(size=image.shape))
    start = truth + 0.02

    def chi2(params: torch.Tensor) -> torch.Tensor:
        fit = amplitudes.fit_amplitudes(image, variance, render_batch(params, grid, psf))
        return fit.chi2.sum()

    leaf = start.clone().requires_grad_()
    chi2(leaf).backward()
    for column in range(len(PARAMETERS)):
        step = torch.zeros_like(start)
        step[0, column] = 1e-5
        numeric = (chi2(start + step) - chi2(start - step)) / 2e-5
        assert leaf.grad[0, column] == pytest.approx(numeric.item(), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("slope", [1.6, 2.0, 2.3])
def test_deflection_and_convergence_agree_with_lenstronomy(slope):
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-3, 3, (2, 500))
    for q in (0.2, 0.5, 0.8, 0.999, 1.0):
        size, angle = (1 - q) / (1 + q), rng.uniform(0, np.pi)
        e1, e2 = size * np.cos(2 * angle), size * np.sin(2 * angle)
        one = {"theta_E": 1.3, "gamma": slope, "e1": e1, "e2": e2}
        model, kwargs = LensModel(["EPL"]), [{**one, "center_x": 0.0, "center_y": 0.0}]
        columns = [torch.tensor([v]) for v in (1.3, slope, e1, e2)]
        points = torch.tensor(x), torch.tensor(y)
        ours = power_law_deflection(*points, *columns)
        for mine, theirs in zip(ours, model.alpha(x, y, kwargs), strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-4 * 1.3)
        kappa = power_law_convergence(*points, *columns).numpy()
        np.testing.assert_allclose(kappa, model.kappa(x, y, kwargs), rtol=1e-4)


def test_convergence_is_half_the_divergence_of_the_deflection_and_positive():
    x = torch.linspace(-2, 2, 41, dtype=torch.double)[None, :].expand(41, -1).clone() + 0.013
    y = x.T.clone().requires_grad_()
    x.requires_grad_()
    columns = [torch.tensor([[v]], dtype=torch.double) for v in (1.0, 2.1, 0.2, -0.15)]
    ax, ay = power_law_deflection(x, y, *columns)
    ax_x = torch.autograd.grad(ax.sum(), x, retain_graph=True)[0]
    ay_y = torch.autograd.grad(ay.sum(), y)[0]
    kappa = power_law_convergence(x, y, *columns)
    assert (kappa > 0).all()
    torch.testing.assert_close(0.5 * (ax_x + ay_y), kappa, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("q", [0.3, 0.7, 0.99999, 1.0])
def test_critical_area_of_an_isothermal_ellipse_is_that_of_its_einstein_circle(q):
    e = (1 - q) / (1 + q)
    angle = torch.arange(720, dtype=torch.double) * (2 * np.pi / 720)
    columns = [torch.tensor(v, dtype=torch.double) for v in (1.4, 2.0, 0.8 * e, -0.6 * e)]
    # the tangential critical curve of an SIE is the isodensity kappa = 1/2, found along rays
    low, high = torch.full_like(angle, 0.01), torch.full_like(angle, 10.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        radius = middle.clone().requires_grad_()
        x, y = radius * torch.cos(angle), radius * torch.sin(angle)
        inside = _determinant(x, y, columns) < 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    area = 0.5 * (low**2).sum() * (2 * np.pi / 720)
    assert area.item() == pytest.approx(np.pi * 1.4**2, rel=1e-4)


def _determinant(x: torch.Tensor, y: torch.Tensor, columns: list[torch.Tensor]) -> torch.Tensor:
    """Of the Jacobian of x - alpha(x), by automatic differentiation."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    ax, ay = power_law_deflection(x, y, *columns)
    xx, xy = torch.autograd.grad(ax.sum(), (x, y), retain_graph=True)
    yx, yy = torch.autograd.grad(ay.sum(), (x, y))
    return (1 - xx) * (1 - yy) - xy * yx


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
def test_the_flux_of_an_unlensed_galaxy_is_conserved(n):
    grid = PixelGrid(256, SCALE, 2)
    for x, y in ((0.0, 0.0), (0.084, 0.084), (0.03, -0.05)):
        params = one_system(theta_e=0.0, lens_radius=0.6, lens_sersic=n, lens_x=x, lens_y=y)
        lens = render_batch(params, grid, None)[0, 0, 0].sum().item()
        # the profile beyond the image: 21 arcsec are 35 half-light radii
        assert lens == pytest.approx(_flux_inside(n, 35.0), abs=5e-3)


def _flux_inside(n: float, radii: float) -> float:
    """Fraction of a Sersic profile's flux within `radii` half-light radii."""
    return float(gammainc(2 * n, gammaincinv(2 * n, 0.5) * radii ** (1 / n)))


def test_an_unlensed_source_keeps_its_flux_and_the_psf_keeps_it_too():
    params = one_system(theta_e=0.0, source_radius=0.4)
    grid = PixelGrid(101, SCALE, 2)
    shapes = render_batch(params, grid, _psfs())
    torch.testing.assert_close(shapes.sum(dim=(-2, -1)), torch.ones(1, 5, 2), atol=4e-3, rtol=0)


def test_the_flux_of_an_arc_is_the_source_times_its_magnification():
    params = draw_systems(np.random.default_rng(7), 3)
    ours = render_batch(torch.tensor(params), PixelGrid(80, SCALE, 4), None)[:, 0, 1].sum((1, 2))
    model = lenstronomy_model(PixelGrid(80, SCALE, 10), None)
    for mine, row in zip(ours, params, strict=True):
        theirs = lenstronomy_image(model, row, np.array([0.0, 1.0])).sum()
        assert mine.item() == pytest.approx(theirs, rel=0.015)


def test_a_small_source_far_from_caustics_is_magnified_as_lenstronomy_says():
    params = one_system(dtype=torch.double, mass_e1=0.1, source_radius=0.05, source_x=2.5)
    row = dict(zip(PARAMETERS, params[0].tolist(), strict=True))
    flux = render_batch(params, PixelGrid(80, SCALE, 16), None)[0, 0, 1].sum().item()
    model, kwargs = LensModel(["EPL", "SHEAR"]), lenstronomy_mass(row)
    x, y = np.array([3.7]), np.array([0.0])
    for _ in range(50):
        bx, by = model.ray_shooting(x, y, kwargs)
        x, y = x + 0.7 * (2.5 - bx), y - 0.7 * by
    assert flux == pytest.approx(abs(model.magnification(x, y, kwargs)[0]), rel=0.01)


def test_turning_every_parameter_turns_the_image():
    params = torch.tensor(draw_systems(np.random.default_rng(8), 6))
    turned = params.clone()
    at = {name: i for i, name in enumerate(PARAMETERS)}
    for part in ("mass", "lens", "source"):
        turned[:, at[f"{part}_x"]] = -params[:, at[f"{part}_y"]]
        turned[:, at[f"{part}_y"]] = params[:, at[f"{part}_x"]]
    # spin 2: a quarter turn changes the sign of both components
    for name in (
        "gamma1",
        "gamma2",
        *(f"{p}_{e}" for p in ("mass", "lens", "source") for e in ("e1", "e2")),
    ):
        turned[:, at[name]] = -params[:, at[name]]
    grid = PixelGrid(33, SCALE, 2)
    # y runs upwards with the row number: counter-clockwise on the sky is clockwise for rot90
    expected = torch.rot90(render_batch(params, grid, _psfs()), -1, dims=(-2, -1))
    torch.testing.assert_close(render_batch(turned, grid, _psfs()), expected, atol=1e-8, rtol=1e-3)


def test_moving_every_centre_by_whole_pixels_moves_the_image():
    params = torch.tensor(draw_systems(np.random.default_rng(9), 4))
    moved = params.clone()
    for i, name in enumerate(PARAMETERS):
        if name.endswith("_x"):
            moved[:, i] += 3 * SCALE
    grid = PixelGrid(48, SCALE, 2)
    one, other = render_batch(params, grid, None), render_batch(moved, grid, None)
    torch.testing.assert_close(other[..., 3:], one[..., :-3], atol=1e-9, rtol=1e-6)


def test_lensing_is_achromatic():
    params = torch.tensor(draw_systems(np.random.default_rng(10), 3))
    same = _psfs()[:1].double().expand(5, -1, -1)
    fluxes = torch.rand(3, 5, 2, dtype=torch.double)
    fluxes[..., 0] = 0
    image = render(params, fluxes, PixelGrid(32, SCALE, 2), same.contiguous())
    torch.testing.assert_close(
        image / fluxes[..., 1, None, None],
        (image / fluxes[..., 1, None, None])[:, :1].expand_as(image),
    )


def test_surface_brightness_is_conserved_along_a_ray():
    params = torch.tensor(draw_systems(np.random.default_rng(11), 2))
    x, y = torch.tensor([[[0.9]], [[-1.1]]]).double(), torch.tensor([[[0.4]], [[0.3]]]).double()
    beta_x, beta_y = source_position(x, y, columns_of(params))
    model = LensModel(["EPL", "SHEAR"])
    for i, row in enumerate(params.numpy()):
        kwargs = lenstronomy_mass(dict(zip(PARAMETERS, row, strict=True)))
        theirs = model.ray_shooting(x[i].item(), y[i].item(), kwargs)
        assert (beta_x[i].item(), beta_y[i].item()) == pytest.approx(theirs, abs=1e-5)


def test_chi2_of_the_true_model_on_noisy_images_is_one_per_degree_of_freedom():
    rng = np.random.default_rng(12)
    params = torch.tensor(draw_systems(rng, 16)).float()
    grid, psf = PixelGrid(48, SCALE, 2), psf_transform(_psfs(), 48)
    variance = torch.tensor(rng.uniform(0.5, 2.0, (16, 5, 48, 48))).float() * 1e-4
    image = render(params, torch.tensor(rng.uniform(0.5, 3, (16, 5, 2))).float(), grid, psf)
    image = image + torch.sqrt(variance) * torch.tensor(rng.normal(size=image.shape)).float()
    variance[:, 4] = torch.inf
    variance[:, :, 20:23] = torch.inf
    fit = amplitudes.fit_amplitudes(image, variance, render_batch(params, grid, psf))
    dof = fit.n_pixels - 2
    assert (fit.n_pixels[:, :4] == 48 * 45).all()
    assert (fit.n_pixels[:, 4] == 0).all()
    reduced = (fit.chi2[:, :4] / dof[:, :4]).mean().item()
    # 64 images of 2158 degrees of freedom: sqrt(2 / 138000) = 0.0038
    assert reduced == pytest.approx(1.0, abs=4 * 0.0038)
