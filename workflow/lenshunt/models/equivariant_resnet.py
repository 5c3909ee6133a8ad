"""Residual network on the group p4m: its logit is the same for all eight views of an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lenshunt.models.group_convolution import (
    GroupConvolution,
    GroupNormalisation,
    halved,
    invariant_mean,
)
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction


class EquivariantBlock(nn.Module):
    """Two 3 x 3 group convolutions and their shortcut (the basic block of He et al. 2016).

    halves : at half the resolution of its input
    """

    def __init__(self, inputs: int, fields: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = GroupConvolution(inputs, fields, 3)
        self.first_norm = GroupNormalisation(fields)
        self.second = GroupConvolution(fields, fields, 3)
        self.second_norm = GroupNormalisation(fields)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != fields:
            self.shortcut = nn.Sequential(
                GroupConvolution(inputs, fields, 1), GroupNormalisation(fields)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.halves:
            x = halved(x)
        inner = functional.relu(self.first_norm(self.first(x)))
        inner = self.second_norm(self.second(inner))
        return functional.relu(inner + self.shortcut(x))


@dataclass(frozen=True)
class EquivariantBackbone:
    """Stem and stages on the group; as it is, with as many parameters as ResNet-18.

    fields, depths : regular fields (of 8 channels) and number of blocks of each stage
    stem_kernel, stem_stride, stem_pool : as of `ResNetBackbone`
    """

    fields: tuple[int, ...] = (23, 45, 90, 181)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    stem_kernel: int = 6
    stem_stride: int = 2
    stem_pool: bool = True


AS_RESNET18 = EquivariantBackbone()


class EquivariantStages(nn.Module):
    """Images [b, channel, y, x] to invariant features [b, fields of the last stage]."""

    def __init__(self, channels: int, shape: EquivariantBackbone) -> None:
        super().__init__()
        fields = shape.fields
        self.stem = GroupConvolution(
            channels, fields[0], shape.stem_kernel, shape.stem_stride, lifts=True
        )
        self.stem_norm = GroupNormalisation(fields[0])
        self.stem_pool = shape.stem_pool
        blocks, inputs = [], fields[0]
        for stage, (width, depth) in enumerate(zip(fields, shape.depths, strict=True)):
            for number in range(depth):
                blocks.append(EquivariantBlock(inputs, width, number == 0 and stage > 0))
                inputs = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem_norm(self.stem(channels)))
        if self.stem_pool:
            x = halved(x, functional.max_pool2d)
        return invariant_mean(self.blocks(x))


class EquivariantResNet(LensNetwork):
    """A lens has no up and no handedness: neither has this network, at any image size.

    Cohen & Welling 2016, arXiv:1602.07576. `fields` of 1 / sqrt(8) of a plain network's widths
    give as many parameters and five to seven times its operations; of 1 / 8, as many operations and
    an eighth of the parameters. In prediction one view does for eight.
    """

    reference = "Cohen & Welling 2016, ICML (arXiv:1602.07576)"
    diagnostics = ("symmetry",)
    invariant = True

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: EquivariantBackbone = AS_RESNET18,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = EquivariantStages(self.input.channels, backbone)
        self.heads = Heads(backbone.fields[-1], dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        channels = channels.contiguous(memory_format=torch.channels_last)
        return self.heads(self.backbone(channels))
