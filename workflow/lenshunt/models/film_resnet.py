"""ResNet whose stages are modulated by the observing conditions (FiLM, Perez et al. 2018)."""

from collections.abc import Sequence

import torch
from torch import nn

from lenshunt.models.conditions import (
    CONDITIONS,
    SEEING_CONDITIONS,
    SKY_CONDITIONS,
    ConditionEncoder,
)
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.resnet import RESNET34, ResNetBackbone, resnet_backbone, stage_maps

#: Stages (counted from 0) whose output is modulated: blocks 2, 3 and 4.
MODULATED = (1, 2, 3)
#: Conditions of a network that is not told the seeing.
WITHOUT_SEEING = tuple(
    name for name in CONDITIONS if name not in (*SEEING_CONDITIONS, *SKY_CONDITIONS)
)


class FilmLayer(nn.Module):
    """x -> (1 + gamma(c)) x + beta(c) per channel; starts as the identity."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """x : [b, channel, y, x]; condition : [b, width]."""
        gamma, beta = self.linear(condition)[:, :, None, None].chunk(2, dim=1)
        return (1.0 + gamma) * x + beta


class FilmResNet(LensNetwork):
    """ResNet-34 by default, FiLM on blocks 2, 3 and 4.

    Its backbone has the same parameters as a plain `ResNet` of equal widths and depths, so the
    two share a pretrained checkpoint.
    """

    reference = "Perez et al. 2018, AAAI (arXiv:1709.07871)"
    needs_conditions = True
    diagnostics = ("conditioning",)

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: ResNetBackbone = RESNET34,
        dropout: float = 0.0,
        condition_width: int = 64,
        condition_dropout: float = 0.1,
        told_seeing: bool = True,
    ) -> None:
        """told_seeing : whether SEEING_CONDITIONS are among what it is conditioned on; an ablation
        is not told, and sees of the seeing what its image shows.
        """
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = resnet_backbone(self.input.channels, backbone)
        sizes = backbone.channels
        self.conditions = ConditionEncoder(
            normalisation,
            condition_width,
            condition_dropout,
            wanted=None if told_seeing else WITHOUT_SEEING,
        )
        self.film = nn.ModuleDict(
            {str(stage): FilmLayer(condition_width, sizes[stage]) for stage in MODULATED}
        )
        self.heads = Heads(sizes[-1], dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        condition = self.conditions(batch["metadata"])

        def modulated(stage: int, hidden: torch.Tensor) -> torch.Tensor:
            return self.film[str(stage)](hidden, condition) if stage in MODULATED else hidden

        last = stage_maps(self.backbone, channels, modulated)[-1]
        return self.heads(self.backbone.pooler(last).flatten(1))
