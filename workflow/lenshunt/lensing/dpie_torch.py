"""dPIE parameters as torch tensors: the formulas of `dpie` then run on a GPU, with gradients."""

from dataclasses import fields

import numpy as np
import torch

from lenshunt.lensing.dpie import Potentials


def torch_potentials(
    potentials: Potentials,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    requires_grad: bool = False,
) -> Potentials:
    """The same potentials with every parameter a tensor [potential]; the names stay as they are.

    `deflection` and `hessian` of these take and give tensors of any shape. Gradients hold to every
    parameter; that to the ellipticity loses digits as the potential gets round, about
    1e-7 / ellipticity of it in float32: use float64 below 1e-3.
    """
    values = {}
    for entry in fields(potentials):
        value = getattr(potentials, entry.name)
        if entry.name != "name":
            value = torch.tensor(np.asarray(value, dtype=float), dtype=dtype, device=device)
            value.requires_grad_(requires_grad)
        values[entry.name] = value
    return Potentials(**values)
