"""Dropout whose draws are whole networks: the same channels are off for every object."""

import torch
from torch import nn
from torch.nn import functional


class SampledDropout(nn.Module):
    """Monte Carlo dropout (Gal & Ghahramani 2016, arXiv:1506.02142) with a fixed set of draws.

    In training ordinary dropout of channels. In evaluation draw t switches off the same channels
    for all objects, so that it is one network of the posterior: scores depend neither on the
    batch that an object came in nor on the state of a random generator.
    place : number of this layer in its network; each has draws of its own, as in training
    """

    masks: torch.Tensor

    def __init__(self, channels: int, rate: float, samples: int, place: int = 0) -> None:
        super().__init__()
        if not 0.0 < rate < 1.0:
            raise ValueError(f"dropout is {rate}; Monte Carlo dropout needs a rate between 0 and 1")
        self.rate = rate
        # Of its own generator: the draws are the same whatever was drawn before them.
        generator = torch.Generator().manual_seed(place)
        kept = torch.rand(samples, channels, generator=generator) >= rate
        self.register_buffer("masks", kept / (1.0 - rate))

    def forward(self, x: torch.Tensor, draw: int | None, channel_axis: int = 1) -> torch.Tensor:
        """x : any shape with its channels on `channel_axis`; draw : None in training."""
        shape = [1] * x.dim()
        shape[channel_axis] = x.shape[channel_axis]
        if draw is not None:
            return x * self.masks[draw].to(x.dtype).reshape(shape)
        shape[0] = len(x)
        ones = torch.ones(shape, dtype=x.dtype, device=x.device)
        return x * functional.dropout(ones, self.rate, training=self.training)
