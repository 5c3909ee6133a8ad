"""Single precision: derivatives of round dPIE potentials at their centre."""

import numpy as np
import pytest
import torch

from lenshunt.lensing import dpie
from lenshunt.lensing.dpie_torch import torch_potentials


@pytest.mark.parametrize("ellipticity", [0.0, 1e-8, 1e-5, 1e-3, 0.5])
@pytest.mark.parametrize("core", [0.01, 0.1, 1.0])
def test_second_derivatives_at_the_centre_keep_their_digits(core, ellipticity):
    values = (0.0, 0.0, ellipticity, 20.0, core, 50.0, 200.0)
    potentials = dpie.Potentials(np.array(["one"]), *(np.array([v]) for v in values))
    x, y = np.array([0.0, 1e-4, 0.3, 3.0]), np.array([0.0, 0.0, -0.1, 2.0])
    single = torch_potentials(potentials, torch.float32)
    points = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in (x, y)]
    found = dpie.hessian(single, *points)
    for mine, expected in zip(found, dpie.hessian(potentials, x, y), strict=True):
        largest = np.abs(dpie.hessian(potentials, x, y)[0]).max()
        np.testing.assert_allclose(mine.detach().numpy(), expected, atol=5e-3 * largest)
    gradients = torch.autograd.grad(sum(part.sum() for part in found), points)
    assert all(torch.isfinite(g).all() for g in gradients)
