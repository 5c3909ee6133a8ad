"""Simulator and flux fit: no NaN anywhere, exact non-negative fluxes, caches and precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lens_systems import draw_systems, one_system
from scipy.optimize import nnls

from lenshunt.lensing import amplitudes, psf_convolution, simulator
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.power_law import power_law_deflection
from lenshunt.lensing.psf_convolution import cached_psf_transform
from lenshunt.lensing.sersic import sersic
from lenshunt.lensing.simulator import DOMAIN, render, render_batch
from lenshunt.surveys import moffat_psf

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


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-1.0, 0.0, 0.9, 0.999]))
def test_fluxes_equal_the_non_negative_least_squares_of_scipy(seed, correlation):
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(2, 60))
    shapes[1] += correlation * shapes[0] * 3
    sigma = rng.uniform(0.5, 2, 60)
    data = rng.normal(0, 2) * shapes[0] + rng.normal(0, 2) * shapes[1] + sigma * rng.normal(size=60)
    expected, residual = nnls((shapes / sigma).T, data / sigma)
    as_image = [torch.tensor(v).reshape(1, -1, 6, 10) for v in (data, sigma**2)]
    fit = amplitudes.fit_amplitudes(*as_image, torch.tensor(shapes).reshape(1, 1, 2, 6, 10))
    assert fit.chi2.item() == pytest.approx(residual**2, rel=1e-9)
    np.testing.assert_allclose(fit.fluxes[0, 0].numpy(), expected, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_source_never_makes_a_fit_worse(seed):
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    shapes = render_batch(torch.tensor(draw_systems(rng, 3)).float(), GRID, PSF)
    image = torch.randn(3, 5, 24, 24, generator=generator) * 10 ** rng.uniform(-2, 4)
    variance = torch.rand(3, 5, 24, 24, generator=generator) + 0.1
    gain = amplitudes.chi2_gain(image, variance, torch.ones(3, 5), shapes)
    assert (gain >= 0).all()
    two = amplitudes.fit_amplitudes(image, variance, shapes).chi2
    one = amplitudes.fit_amplitudes(image, variance, shapes[:, :, :1]).chi2
    assert (one - two >= -1e-5 * one).all()


def test_templates_that_are_copies_share_no_flux_and_fit_as_one():
    shapes = render_batch(one_system(), GRID, PSF)
    shapes[:, :, 1] = 2 * shapes[:, :, 0]
    image = 3 * shapes[:, :, 0].expand(-1, 5, -1, -1)
    fit = amplitudes.fit_amplitudes(image, torch.full_like(image, 1e-4), shapes)
    total = fit.fluxes[..., 0] + 2 * fit.fluxes[..., 1]
    torch.testing.assert_close(total, torch.full_like(total, 3.0))


def test_an_absent_band_has_no_flux_and_no_weight():
    shapes = render_batch(one_system(2), GRID, PSF)
    image, variance = torch.rand(2, 5, 24, 24), torch.ones(2, 5, 24, 24)
    variance[:, 1], image[:, 1] = torch.inf, torch.nan
    fit = amplitudes.fit_amplitudes(image, variance, shapes)
    assert (fit.fluxes[:, 1] == 0).all()
    assert (fit.chi2[:, 1] == 0).all()
    assert (fit.n_pixels == torch.tensor([576, 0, 576, 576, 576])).all()
    corr = torch.ones(2, 5)
    gain = amplitudes.chi2_gain(image, variance, corr, shapes)
    kept = [0, 2, 3, 4]
    same = amplitudes.chi2_gain(image[:, kept], variance[:, kept], corr[:, kept], shapes)
    torch.testing.assert_close(gain, same)


def test_correlated_noise_lowers_the_gain():
    truth = one_system(source_x=0.2)
    image = render(truth, torch.ones(1, 5, 2), GRID, PSF)
    shapes, variance = render_batch(truth, GRID, PSF), torch.full_like(image, 1e-4)
    gain = amplitudes.chi2_gain(image, variance, torch.ones(1, 5), shapes)
    torch.testing.assert_close(
        amplitudes.chi2_gain(image, variance, torch.full((1, 5), 2.5), shapes), gain / 2.5
    )


def test_the_gradient_of_the_fluxes_is_that_of_their_closed_form():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 2, 4, 4, generator=generator).double() + 0.5
    variance = torch.rand(1, 2, 4, 4, generator=generator).double() + 0.5
    shapes = torch.rand(1, 1, 2, 4, 4, generator=generator).double().requires_grad_()

    def fluxes(shapes: torch.Tensor) -> torch.Tensor:
        return amplitudes.fit_amplitudes(image, variance, shapes).fluxes

    assert (fluxes(shapes) > 0).any()
    assert torch.autograd.gradcheck(fluxes, (shapes,))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_renders_what_a_cpu_renders():
    params = torch.tensor(draw_systems(np.random.default_rng(7), 20)).float()
    fluxes = torch.rand(20, 5, 2)
    expected = render(params, fluxes, GRID, PSF)
    image = render(params.cuda(), fluxes.cuda(), GRID, PSF.cuda()).cpu()
    torch.testing.assert_close(image, expected, atol=1e-5 * expected.max().item(), rtol=1e-4)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="theta_e, slope"):
        render_batch(torch.zeros(2, 3), GRID, None)
    with pytest.raises(ValueError, match="odd h and w"):
        render_batch(one_system(), GRID, torch.ones(4, 4))
    with pytest.raises(ValueError, match="positive"):
        PixelGrid(0, SCALE)
