"""Simulator: no NaN anywhere in its domain, caches, precision, devices and wrong shapes."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lens_systems import draw_systems, one_system

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import amplitudes, psf_convolution, simulator
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.power_law import power_law_convergence, power_law_deflection
from lenshunt.lensing.psf_convolution import cached_psf_transform
from lenshunt.lensing.sersic import sersic
from lenshunt.lensing.simulator import DOMAIN, render, render_batch

SCALE = 0.168
GRID = PixelGrid(24, SCALE, 2)
ODD = PixelGrid(25, SCALE, 1)
PSF = torch.tensor(moffat_psf(0.7, 3.0, SCALE, 11))


def _loss_and_gradient(params: torch.Tensor, grid: PixelGrid = GRID):
    """chi2 of a noisy image under `params`, and its gradient; one pixel and one band unusable."""
    generator = torch.Generator().manual_seed(0)
    size = (len(params), 5, grid.size_px, grid.size_px)
    image, variance = torch.randn(size, generator=generator), torch.ones(size)
    variance[:, 4], variance[:, :, 3, 3] = torch.inf, torch.inf
    image[:, :, 3, 3] = torch.nan
    leaf = params.clone().requires_grad_()
    fit = amplitudes.fit_amplitudes(image, variance, render_batch(leaf, grid, PSF))
    (fit.chi2.sum() + fit.fluxes.sum()).backward()
    return fit, leaf.grad


@st.composite
def _systems(draw) -> dict[str, float]:
    """Any parameters in the domain; ellipticities inside the disk |e| <= 2/3."""
    values = {}
    for name, (low, high) in DOMAIN.items():
        edge = st.sampled_from([low, high, 0.0 if low <= 0 <= high else low])
        values[name] = draw(st.floats(low, high, allow_subnormal=False) | edge)
    for part in ("mass", "lens", "source"):
        size = np.hypot(values[f"{part}_e1"], values[f"{part}_e2"])
        for e in ("e1", "e2"):
            values[f"{part}_{e}"] /= max(1.0, size * 1.5)
    return values


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(_systems())
def test_images_fluxes_and_gradients_are_finite_anywhere_in_the_domain(values):
    params = one_system(**values)
    assert torch.isfinite(render_batch(params, GRID, PSF)).all()
    fit, gradient = _loss_and_gradient(params)
    assert torch.isfinite(fit.fluxes).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mass_e1": 1e-8, "lens_e1": 1e-8, "source_e1": 1e-8},
        {"theta_e": 0.0, "source_radius": 0.001},
        {"source_radius": 0.001, "source_sersic": 0.3},
        {"lens_radius": 0.001, "lens_sersic": 8.0, "source_sersic": 8.0},
        {"mass_x": SCALE, "lens_x": SCALE, "source_x": SCALE, "gamma1": 0.05},
    ],
)
def test_rays_on_centres_round_lenses_and_tiny_sources_give_finite_gradients(values):
    for grid in (GRID, ODD):
        _, gradient = _loss_and_gradient(one_system(**values), grid)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_source_on_a_cusp_of_the_caustic_gives_finite_gradients(axis):
    # the cusps of an SIE are where its critical curve, kappa = 1/2, crosses the axes
    along = {"x": 1 - 0.2, "y": 1 + 0.2}
    point = {"x": torch.zeros(1), "y": torch.zeros(1)}
    point[axis] = torch.tensor([1.2 * np.sqrt(1 - 0.2**2) / along[axis]], dtype=torch.float32)
    columns = (torch.tensor([v]) for v in (1.2, 2.0, 0.2, 0.0))
    alpha = power_law_deflection(point["x"], point["y"], *columns)["xy".index(axis)]
    cusp = (point[axis] - alpha).item()
    assert 0.05 < abs(cusp) < 0.6
    for radius in (0.3, 0.01, 0.001):
        params = one_system(mass_e1=0.2, source_radius=radius, **{f"source_{axis}": cusp})
        _, gradient = _loss_and_gradient(params)
        assert torch.isfinite(gradient).all()


def test_deflection_and_light_pass_gradcheck_with_every_input():
    generator = torch.Generator().manual_seed(2)
    points = [torch.randn(3, 7, generator=generator).double().requires_grad_() for _ in "xy"]

    def columns(*rows: list[float]) -> list[torch.Tensor]:
        return [torch.tensor(r, dtype=torch.double)[:, None].requires_grad_() for r in rows]

    shape = [0.1, 0.0, -0.3], [0.2, 0.0, 0.1]
    mass = columns([1.0, 1.2, 0.8], [2.0, 2.2, 1.8], *shape)
    assert torch.autograd.gradcheck(power_law_deflection, (*points, *mass))
    light = columns([1.0, 1.2, 0.8], [1.0, 4.0, 0.6], *shape)
    assert torch.autograd.gradcheck(sersic, (*points, *light))


def test_blocks_of_samples_and_the_whole_batch_render_alike(monkeypatch):
    params = torch.tensor(draw_systems(np.random.default_rng(3), 11))
    fluxes = torch.rand(11, 2, 2).double()
    psf = torch.rand(11, 2, 5, 5).double()
    blocked = render(params, fluxes, GRID, psf), render_batch(params, GRID, psf)
    monkeypatch.setattr(simulator, "CPU_BLOCK", 64)
    whole = render(params, fluxes, GRID, psf), render_batch(params, GRID, psf)
    for one, other in zip(blocked, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_every_sample_is_convolved_with_its_own_psf_of_every_band():
    params = torch.tensor(draw_systems(np.random.default_rng(4), 3))
    psf, fluxes = torch.rand(3, 2, 7, 5).double(), torch.rand(3, 2, 2).double()
    image = render(params, fluxes, GRID, psf)
    sharp = render(params, fluxes, GRID, None)
    for sample in range(3):
        for band in range(2):
            kernel = psf[sample, band].flip(0, 1)[None, None]
            expected = torch.nn.functional.conv2d(
                sharp[sample, band][None, None], kernel, padding=(3, 2)
            )
            torch.testing.assert_close(image[sample, band], expected[0, 0])


def test_a_psf_larger_than_the_image_does_not_wrap_around():
    params, fluxes = one_system(dtype=torch.double), torch.ones(1, 1, 2).double()
    psf = torch.zeros(61, 61).double()
    psf[30, 30], psf[30, 0], psf[30, 53] = 0.5, 0.25, 0.25
    sharp = render(params, fluxes, GRID, None)
    expected = 0.5 * sharp
    expected[..., 23:] += 0.25 * sharp[..., :1]
    torch.testing.assert_close(render(params, fluxes, GRID, psf), expected)


def test_render_is_the_sum_of_the_templates_times_fluxes():
    params = torch.tensor(draw_systems(np.random.default_rng(5), 2))
    fluxes = torch.rand(2, 5, 2).double()
    for psf in (None, PSF, PSF.expand(5, -1, -1).contiguous()):
        shapes = render_batch(params, GRID, psf)
        expected = (shapes * fluxes[..., None, None]).sum(dim=2)
        torch.testing.assert_close(render(params, fluxes, GRID, psf), expected)


def test_invariants_are_made_once_and_again_after_a_change():
    psf = PSF.clone()
    first = cached_psf_transform(psf, 24)
    assert cached_psf_transform(psf, 24) is first
    assert cached_psf_transform(psf, 32) is not first
    psf *= 0.5
    torch.testing.assert_close(cached_psf_transform(psf, 24).spectrum, 0.5 * first.spectrum)
    assert GRID.rays()[0].data_ptr() == PixelGrid(24, SCALE, 2).rays()[0].data_ptr()
    known = len(psf_convolution._transforms)
    del psf
    assert len(psf_convolution._transforms) == known - 1


def test_what_prediction_in_inference_mode_leaves_behind_can_be_trained_with():
    grid, psf = PixelGrid(10, SCALE, 3), PSF.clone()
    with torch.inference_mode():
        render_batch(one_system(), grid, psf)
    leaf = one_system().requires_grad_()
    render_batch(leaf, grid, psf).square().sum().backward()
    assert torch.isfinite(leaf.grad).all()


def test_autocast_does_not_lower_the_precision():
    params = torch.tensor(draw_systems(np.random.default_rng(6), 2)).float()
    image, variance = torch.rand(2, 5, 24, 24), torch.ones(2, 5, 24, 24)
    expected = render_batch(params, GRID, PSF)
    fluxes = amplitudes.fit_amplitudes(image, variance, expected).fluxes
    with torch.autocast("cpu", torch.bfloat16):
        shapes = render_batch(params, GRID, PSF)
        again = amplitudes.fit_amplitudes(image, variance, shapes).fluxes
        low = render_batch(params.bfloat16(), GRID, PSF)
    assert low.dtype == shapes.dtype == again.dtype == torch.float32
    assert torch.equal(shapes, expected)
    assert torch.equal(again, fluxes)


@pytest.mark.slow
def test_every_tensor_is_made_on_the_device_of_the_parameters(monkeypatch):
    # meta tensors, which have no values, refuse to be mixed with those of a CPU as a GPU's would
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())
    params = torch.empty(3, 20, device="meta").requires_grad_()
    psf = torch.empty(3, 5, 11, 11, device="meta")
    image = torch.empty(3, 5, 24, 24, device="meta")
    for kernel in (None, psf[0, 0], psf[0], psf):
        assert render(params, image[:, :, 0, :2], GRID, kernel).device.type == "meta"
        shapes = render_batch(params, GRID, kernel)
        fit = amplitudes.fit_amplitudes(image, image, shapes)
        assert amplitudes.chi2_gain(fit, fit, image[:, :, 0, 0]).shape == (3,)
        fit.chi2.sum().backward()
        assert params.grad.device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):
        render(params, image[:, :, 0, :2], GRID, PSF)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_renders_what_a_cpu_renders():
    params = torch.tensor(draw_systems(np.random.default_rng(7), 20)).float()
    fluxes = torch.rand(20, 5, 2)
    expected = render(params, fluxes, GRID, PSF)
    image = render(params.cuda(), fluxes.cuda(), GRID, PSF.cuda()).cpu()
    torch.testing.assert_close(image, expected, atol=1e-5 * expected.max().item(), rtol=1e-4)


@pytest.mark.parametrize("name", ["theta_e", "lens_x", "source_y", "lens_sersic"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_lens_that_is_not_finite_fails_alone(name, value):
    params = one_system(3)
    expected = render_batch(params, GRID, PSF)
    params[1, simulator.PARAMETERS.index(name)] = value
    shapes = render_batch(params, GRID, PSF)
    torch.testing.assert_close(shapes[[0, 2]], expected[[0, 2]])
    fit = amplitudes.fit_amplitudes(torch.rand(3, 5, 24, 24), torch.ones(3, 5, 24, 24), shapes)
    assert torch.isfinite(fit.chi2[[0, 2]]).all()
    if np.isnan(value):
        assert torch.isnan(fit.chi2[1]).all()


def test_no_samples_make_no_images():
    none, psfs = one_system(2)[:0], PSF.expand(5, -1, -1).contiguous()
    for psf in (None, PSF, psfs):
        assert render(none, torch.ones(0, 5, 2), GRID, psf).shape == (0, 5, 24, 24)
        bands = 5 if psf is psfs else 1
        assert render_batch(none, GRID, psf).shape == (0, bands, 2, 24, 24)


def test_the_precision_is_that_of_the_parameters_whatever_that_of_the_psf():
    psfs = torch.stack([PSF, PSF.flip(0)])
    for params, psf in ((one_system(), psfs.double()), (one_system(dtype=torch.double), psfs)):
        fluxes = torch.ones(1, 2, 2, dtype=torch.double)
        image = render(params, fluxes, GRID, psf)
        one_psf = render(params, fluxes[:, :1], GRID, psf[0])
        assert image.dtype == one_psf.dtype == params.dtype
        assert render_batch(params, GRID, psf).dtype == params.dtype
        ready = psf_convolution.psf_transform(psf, 24)
        torch.testing.assert_close(render(params, fluxes, GRID, ready), image)


def test_second_derivatives_are_refused_not_wrong():
    rows = (0.7, 0.3, 1.0, 2.1, 0.2, 0.1)
    columns = [torch.tensor([v], dtype=torch.double).requires_grad_() for v in rows]
    deflection = power_law_deflection(*columns)[0]
    (first,) = torch.autograd.grad(deflection.sum(), columns[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("slope", [1.4, 2.0, 2.6])
def test_convergence_without_mass_has_a_finite_gradient(slope):
    leaves = [torch.tensor([v]).requires_grad_() for v in (0.0, slope, 0.1, -0.2)]
    kappa = power_law_convergence(torch.tensor([1.0]), torch.tensor([0.3]), *leaves)
    kappa.sum().backward()
    assert kappa.item() == 0
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="theta_e, slope"):
        render_batch(torch.zeros(2, 3), GRID, None)
    # blocks of 8 would cut these into pieces that happen to fit
    with pytest.raises(ValueError, match="17 PSFs for 9 lenses"):
        render_batch(one_system(9), GRID, PSF.expand(17, 2, -1, -1).contiguous())
    for rows in (1, 17):
        with pytest.raises(ValueError, match="fluxes of shape"):
            render(one_system(9), torch.ones(rows, 5, 2), GRID, PSF)
    with pytest.raises(ValueError, match="PSFs of 5 bands"):
        render(one_system(9), torch.ones(9, 1, 2), GRID, PSF.expand(5, -1, -1).contiguous())
    with pytest.raises(ValueError, match="images of 16 px, not of 24"):
        render_batch(one_system(), GRID, psf_convolution.psf_transform(PSF, 16))
    with pytest.raises(ValueError, match="odd h and w"):
        render_batch(one_system(), GRID, torch.ones(4, 4))
    with pytest.raises(ValueError, match="positive"):
        PixelGrid(0, SCALE)
