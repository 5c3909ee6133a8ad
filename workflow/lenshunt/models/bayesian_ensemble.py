"""ResNet and vision transformer with Monte Carlo dropout: a probability, and how sure of it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.resnet import resnet_backbone, stage_channels
from lenshunt.models.sampled_dropout import SampledDropout
from lenshunt.models.vit import vit_backbone


class BayesianEnsemble(LensNetwork):
    """Mean of two members' draws; ResNet-18 and ViT-B/16 by default.

    Dropout acts before the last stage of the ResNet, before the last `sampled_layers` layers of
    the transformer, and before both read-outs: what lies below is computed once for all draws.
    Scores, in nats (Depeweg et al. 2018, arXiv:1710.07283): the entropy of the mean probability is
    the sum of `aleatoric`, the mean entropy of the draws, and `epistemic`, how much they differ.
    Members learn on their own losses (term `members`); the cross-entropy of their mean alone
    would let one of them stay idle.
    """

    scores = ("epistemic", "aleatoric")
    terms = ("members",)

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_kernel: int = 7,
        stem_stride: int = 2,
        stem_pool: bool = True,
        vit_width: int = 768,
        vit_layers: int = 12,
        vit_heads: int = 12,
        patch_px: int = 16,
        sampled_layers: int = 2,
        dropout: float = 0.2,
        samples: int = 20,
    ) -> None:
        super().__init__()
        if samples < 4 or samples % 2:
            raise ValueError(f"samples is {samples}; an even number of 4 or more is needed")
        if not 1 <= sampled_layers <= vit_layers:
            raise ValueError(f"sampled_layers is {sampled_layers}, expected 1 to {vit_layers}")
        self.draws, self.sampled_layers = samples // 2, sampled_layers
        self.input = ImageInput(normalisation, residual_channels)
        channels = self.input.channels
        sizes = stage_channels(widths, "basic")
        resnet = resnet_backbone(
            channels, widths, depths, "basic", stem_kernel, stem_stride, stem_pool
        )
        vit = vit_backbone(
            channels, normalisation.size_px, vit_width, vit_layers, vit_heads, 4.0, patch_px, 0.0
        )
        self.backbone = nn.ModuleDict({"resnet": resnet, "vit": vit})
        self.resnet_dropout = SampledDropout(sizes[-2], dropout, self.draws, place=0)
        self.resnet_readout = SampledDropout(sizes[-1], dropout, self.draws, place=1)
        self.vit_dropout = SampledDropout(vit_width, dropout, self.draws, place=2)
        self.vit_readout = SampledDropout(vit_width, dropout, self.draws, place=3)
        self.resnet_heads = Heads(sizes[-1], 0.0, auxiliary)
        self.vit_heads = Heads(vit_width, 0.0, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch["image"], batch["variance"], batch["band_flags"])
        trunks = self._resnet_trunk(channels), self._vit_trunk(channels)
        draws = [None] if self.training else list(range(self.draws))
        members = [self._readouts(trunks, draw) for draw in draws]
        logits = torch.stack([member.logit for pair in members for member in pair])
        log_p, log_q = _mean_probability(logits)
        first = members[0]
        auxiliary = {
            name: torch.stack([m.auxiliary[name] for pair in members for m in pair]).mean(dim=0)
            for name in first[0].auxiliary
        }
        if not self.training:
            auxiliary.update(entropy_parts(logits))
        features = torch.stack(
            [torch.cat([member.features for member in pair], dim=1) for pair in members]
        ).mean(dim=0)
        return Prediction(log_p - log_q, features, None, auxiliary, {"member_logits": logits})

    def loss_terms(
        self, prediction: Prediction, batch: Batch, names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """members : mean cross-entropy of the members, x label_confidence."""
        logits, label = prediction.internals["member_logits"], batch["label"]
        target = label.clamp(min=0.0).expand_as(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return {"members": loss.mean(dim=0) * batch["confidence"] * (label >= 0)}

    def _resnet_trunk(self, channels: torch.Tensor) -> torch.Tensor:
        resnet: Any = self.backbone["resnet"]
        hidden = resnet.embedder(channels.contiguous(memory_format=torch.channels_last))
        for stage in resnet.encoder.stages[:-1]:
            hidden = stage(hidden)
        return hidden

    def _vit_trunk(self, channels: torch.Tensor) -> torch.Tensor:
        vit: Any = self.backbone["vit"]
        hidden = vit.embeddings(channels, interpolate_pos_encoding=True)
        for layer in vit.layers[: -self.sampled_layers]:
            hidden = layer(hidden)
        return hidden

    def _readouts(
        self, trunks: tuple[torch.Tensor, torch.Tensor], draw: int | None
    ) -> tuple[Prediction, Prediction]:
        resnet: Any = self.backbone["resnet"]
        vit: Any = self.backbone["vit"]
        image = resnet.encoder.stages[-1](self.resnet_dropout(trunks[0], draw))
        pooled = resnet.pooler(image).flatten(1)
        tokens = self.vit_dropout(trunks[1], draw, channel_axis=2)
        for layer in vit.layers[-self.sampled_layers :]:
            tokens = layer(tokens)
        mean = vit.layernorm(tokens)[:, 1:].mean(dim=1)
        return (
            self.resnet_heads(self.resnet_readout(pooled, draw)),
            self.vit_heads(self.vit_readout(mean, draw)),
        )


def _mean_probability(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log of the mean probability, and of one minus it, of logits [draw, b]; no overflow."""
    count = math.log(len(logits))
    log_p = torch.logsumexp(functional.logsigmoid(logits), dim=0) - count
    log_q = torch.logsumexp(functional.logsigmoid(-logits), dim=0) - count
    return log_p, log_q


def entropy_parts(logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """`epistemic` and `aleatoric` [b], nats, of the logits [draw, b] of several draws."""
    log_p, log_q = _mean_probability(logits)
    total = -(log_p.exp() * log_p + log_q.exp() * log_q)
    one, other = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    aleatoric = -(one.exp() * one + other.exp() * other).mean(dim=0)
    # by Jensen's inequality never negative; rounding may leave -1e-8
    return {"epistemic": (total - aleatoric).clamp(min=0.0), "aleatoric": aleatoric}
