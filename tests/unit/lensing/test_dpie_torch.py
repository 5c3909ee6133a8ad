"""The dPIE with torch tensors: numpy's numbers, and gradients to every parameter."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from lenshunt.lensing import Potentials, deflection, hessian, torch_potentials

PARAMETERS = [entry.name for entry in fields(Potentials) if entry.name != "name"]


@pytest.fixture(scope="module")
def halos():
    """A cluster, a flat group, a round and an almost round galaxy."""
    columns = np.array(
        [
            (1.0, -2.0, 0.5, 20.0, 8.0, 300.0, 900.0),
            (-30.0, 12.0, 0.9, 140.0, 2.0, 60.0, 350.0),
            (5.0, 5.0, 0.0, 0.0, 0.05, 6.0, 180.0),
            (9.0, -7.0, 1e-3, 70.0, 0.03, 4.0, 120.0),
        ]
    ).T
    return Potentials(np.array(["cluster", "group", "round", "galaxy"]), *columns)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(4).uniform(-40, 40, (2, 20, 15))


DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-12), (torch.float32, 3e-6)])
@pytest.mark.parametrize("function", [deflection, hessian])
def test_tensors_give_the_numbers_of_numpy(halos, points, function, dtype, digits, device):
    tensors = torch_potentials(halos, dtype, device)
    ours = function(tensors, *(torch.tensor(p, dtype=dtype, device=device) for p in points))
    for tensor, array in zip(ours, function(halos, *points), strict=True):
        assert tensor.dtype == dtype
        assert tensor.shape == points[0].shape
        error = np.abs(tensor.cpu().double().numpy() - array)
        assert error.max() <= digits * np.abs(array).max()


def test_a_round_potential_keeps_its_digits_in_float32():
    # A round potential is the limit 0 / 0 of the closed form.
    p = Potentials(np.array(["round"]), *np.array([[0.0, 0, 0, 0, 0.5, 20, 400]]).T)
    x, y = np.random.default_rng(1).uniform(-9, 9, (2, 400))
    r = np.hypot(x, y)
    expected = p.b0 * 20 / 19.5 * (np.hypot(0.5, r) - 0.5 - np.hypot(20, r) + 20) / r**2 * x
    found, _ = deflection(torch_potentials(p), torch.tensor(x), torch.tensor(y))
    assert np.abs(found.numpy() - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", PARAMETERS)
def test_gradients_to_every_parameter_are_finite_differences(halos, points, name):
    x, y = (torch.tensor(p.ravel()[:40]) for p in points)
    # A round one has no gradient to the ellipticity: it is a minimum of its range.
    halos = replace(halos, ellipticity=np.array([0.5, 0.9, 0.05, 0.2]))
    weight = torch.tensor(np.random.default_rng(2).normal(size=(5, 40)))

    def total(p):
        return (torch.stack([*deflection(p, x, y), *hessian(p, x, y)]) * weight).sum()

    tensors = torch_potentials(halos, torch.float64, requires_grad=True)
    total(tensors).backward()
    gradient = getattr(tensors, name).grad.numpy()
    for index in range(len(halos)):
        value = getattr(halos, name)
        # Small galaxies change a sum of 40 by 1e-9 for 1e-6: shorter steps measure rounding.
        step = 1e-4 * max(abs(value[index]), 0.1)
        shifted = []
        for sign in (1, -1):
            changed = value.copy()
            changed[index] += sign * step
            shifted.append(
                float(total(torch_potentials(replace(halos, **{name: changed}), torch.float64)))
            )
        difference = (shifted[0] - shifted[1]) / (2 * step)
        assert gradient[index] == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_hessian_is_the_gradient_of_the_deflection_also_on_the_axes_and_in_the_centre(dtype):
    p = torch_potentials(
        Potentials(np.array(["halo"]), *np.array([[0.0, 0, 0.4, 0, 0.5, 20, 400]]).T), dtype
    )
    x = torch.tensor([0.0, 1.0, 0.0, -3.0, 2.0], dtype=dtype, requires_grad=True)
    y = torch.tensor([0.0, 0.0, -2.0, 1.0, -1.0], dtype=dtype, requires_grad=True)
    alpha_x, alpha_y = deflection(p, x, y)
    xx, xy = torch.autograd.grad(alpha_x.sum(), (x, y), retain_graph=True)
    yx, yy = torch.autograd.grad(alpha_y.sum(), (x, y))
    expected = hessian(p, x, y)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for one, other in zip((xx, xy, yy), expected, strict=True):
        assert torch.allclose(one, other, atol=tolerance * float(expected[0].detach().abs().max()))
    assert torch.allclose(xy, yx, atol=tolerance * float(expected[0].detach().abs().max()))


def test_float32_gradients_of_real_members_are_those_of_float64(halos, points):
    found = {}
    for dtype in (torch.float32, torch.float64):
        p = torch_potentials(
            replace(halos, ellipticity=np.array([0.5, 0.9, 0.05, 0.2])), dtype, requires_grad=True
        )
        sum(part.sum() for part in deflection(p, *(torch.tensor(a) for a in points))).backward()
        found[dtype] = {name: getattr(p, name).grad.double() for name in PARAMETERS}
    for name in PARAMETERS:
        one, two = found[torch.float32][name], found[torch.float64][name]
        assert (one - two).abs().max() < 1e-3 * two.abs().max(), name
