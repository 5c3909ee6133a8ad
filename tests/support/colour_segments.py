"""Segments of one source each with noise and dust, for the tests of the colour prior."""

import numpy as np
import torch

from lenshunt.lensing.colour_prior import FLOOR_MAG
from lenshunt.lensing.reddening import reddening_curve

WAVELENGTHS = np.array([0.481, 0.623, 0.774, 0.891, 0.978])
POGSON = 2.5 / np.log(10)
#: Takes colours of consecutive bands.
DIFFERENCE = np.eye(5)[:-1] - np.eye(5)[1:]


def segments(n: int, count: int, snr: float = 20.0, dust: float = 0.0, seed: int = 1):
    """Fluxes, variances, reddening of n groups of one colour each; noise Gaussian in magnitude."""
    rng = np.random.default_rng(seed)
    red = reddening_curve(np.full(n, 0.5), WAVELENGTHS).astype(float)
    truth = rng.normal(0, 0.4, (n, 1, 5)) + rng.normal(0, 0.5, (n, count, 1))
    truth = truth + rng.normal(0, dust, (n, count, 1)) * red[:, None]
    sigma = POGSON / snr * np.exp(rng.normal(0, 0.3, truth.shape))
    magnitude = truth + rng.normal(size=truth.shape) * np.sqrt(sigma**2 + FLOOR_MAG**2 / 2)
    flux = 10 ** (-0.4 * magnitude)
    return tuple(torch.tensor(a) for a in (flux, (flux * sigma / POGSON) ** 2, red))
