"""ResNet and vision transformer with Monte Carlo dropout: a probability, and how sure of it."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lenshunt.models.feature_posterior import PLACES, FeaturePosterior
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.resnet import RESNET18, ResNetBackbone, resnet_backbone
from lenshunt.models.vit import VIT_B16, ViTBackbone, vit_backbone

#: AdamW moves a parameter by about the learning rate per step: fit for a network's many small
#: weights, not for the one that decides between two members, which has to come to its value while
#: they learn.
_WEIGHT_STEP = 10.0


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


class BayesianEnsemble(LensNetwork):
    """Weighted mean of two members' draws; ResNet-18 and ViT-B/16 by default.

    Dropout acts before the last stage of the ResNet, before the last `sampled_layers` layers of
    the transformer, and before both read-outs: what lies below is computed once for all draws.
    Dropout alone knows of no distance from the training set, so that each draw also has a deviate
    of its member's `FeaturePosterior`, which `fit_posterior` fits when the weights are final.

    Scores, in nats (Depeweg et al. 2018, arXiv:1710.07283): the entropy of the mean probability is
    the sum of `aleatoric`, the mean entropy of the draws, and `epistemic`, how much they differ.
    The members' weights are learned with all else from the cross-entropy of the mean (stacking of
    predictive distributions, Yao et al. 2018, Bayesian Analysis 13, 917): of two members of which
    one is better by far, equal weights would take its knowledge for doubt. Members learn on their
    own losses too (term `members`); the mean alone would let one of them stay idle.

    posterior_sigma, posterior_length : of `FeaturePosterior`
    """

    reference = "Gal & Ghahramani 2016, ICML (arXiv:1506.02142)"
    diagnostics = ("uncertainty",)
    backbone_arguments = ("resnet", "vit")
    scores = ("epistemic", "aleatoric")
    terms = ("members",)
    posterior_samples = PLACES
    deviates: torch.Tensor

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        resnet: ResNetBackbone = RESNET18,
        vit: ViTBackbone = VIT_B16,
        sampled_layers: int = 2,
        dropout: float = 0.2,
        samples: int = 20,
        posterior_sigma: float = 5.0,
        posterior_length: float = 0.5,
    ) -> None:
        super().__init__()
        if samples < 4 or samples % 2:
            raise ValueError(f"samples is {samples}; an even number of 4 or more is needed")
        if not 1 <= sampled_layers <= vit.layers:
            raise ValueError(f"sampled_layers is {sampled_layers}, expected 1 to {vit.layers}")
        self.draws, self.sampled_layers = samples // 2, sampled_layers
        self.input = ImageInput(normalisation, residual_channels)
        channels, sizes = self.input.channels, resnet.channels
        self.backbone = nn.ModuleDict(
            {
                "resnet": resnet_backbone(channels, resnet),
                "vit": vit_backbone(channels, normalisation.size_px, vit, dropout=0.0),
            }
        )
        self.resnet_dropout = SampledDropout(sizes[-2], dropout, self.draws, place=0)
        self.resnet_readout = SampledDropout(sizes[-1], dropout, self.draws, place=1)
        self.vit_dropout = SampledDropout(vit.width, dropout, self.draws, place=2)
        self.vit_readout = SampledDropout(vit.width, dropout, self.draws, place=3)
        self.resnet_heads = Heads(sizes[-1], 0.0, auxiliary)
        self.vit_heads = Heads(vit.width, 0.0, auxiliary)
        self.resnet_posterior = FeaturePosterior(sizes[-1], posterior_sigma, posterior_length)
        self.vit_posterior = FeaturePosterior(vit.width, posterior_sigma, posterior_length)
        # softmax of _WEIGHT_STEP times it gives the members' weights
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("deviates", normal_scores(self.draws), persistent=False)

    def forward(self, batch: Batch) -> Prediction:
        """`internals`: member_logits [draw, b], ResNet and transformer in turn, and draw_weights
        [draw], whose sum is 1. In training there is one draw of each."""
        channels = self.input(batch)
        trunks = self._resnet_trunk(channels), self._vit_trunk(channels)
        draws = [None] if self.training else list(range(self.draws))
        members = [self._readouts(trunks, draw) for draw in draws]
        logits = torch.stack([member.logit for pair in members for member in pair])
        if not self.training and self.resnet_posterior.fitted:
            sigma = torch.stack(self._sigmas(self._readouts(trunks, None)))
            logits = logits + (self.deviates[:, None, None] * sigma).flatten(0, 1)
        weights = torch.softmax(_WEIGHT_STEP * self.weight, dim=0).repeat(len(draws)) / len(draws)
        log_p, log_q = _mean_probability(logits, weights)
        first = members[0]
        auxiliary = {
            name: torch.stack([m.auxiliary[name] for pair in members for m in pair]).mean(dim=0)
            for name in first[0].auxiliary
        }
        if not self.training:
            auxiliary.update(entropy_parts(logits, weights))
        features = torch.stack(
            [torch.cat([member.features for member in pair], dim=1) for pair in members]
        ).mean(dim=0)
        internals = {"member_logits": logits, "draw_weights": weights}
        return Prediction(log_p - log_q, features, None, auxiliary, internals)

    def _sigmas(self, members: tuple[Prediction, Prediction]) -> tuple[torch.Tensor, torch.Tensor]:
        """[b] each: how far the logit of either member, read without dropout, may be off."""
        resnet, vit = members
        return (
            self.resnet_posterior(resnet.features).sqrt(),
            self.vit_posterior(vit.features).sqrt(),
        )

    @torch.no_grad()
    def fit_posterior(self, batches: Iterable[Batch]) -> None:
        """Condition both members' posteriors on the training samples of `batches`."""
        found: list[tuple[Prediction, Prediction]] = []
        for batch in batches:
            channels = self.input(batch)
            trunks = self._resnet_trunk(channels), self._vit_trunk(channels)
            found.append(self._readouts(trunks, None))
        for place, posterior in enumerate((self.resnet_posterior, self.vit_posterior)):
            features = torch.cat([pair[place].features for pair in found])
            logit = torch.cat([pair[place].logit for pair in found])
            posterior.fit(features, torch.sigmoid(logit))

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


def normal_scores(count: int) -> torch.Tensor:
    """Quantiles of the standard normal distribution at (i + 1/2) / count, scaled to variance 1.

    In an order that is random but fixed, so that the first few of them are like all.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    quantiles = torch.special.ndtri((order + 0.5).double() / count)
    return (quantiles / quantiles.square().mean().sqrt()).float()


def _mean_probability(
    logits: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log of the mean probability, and of one minus it, of logits [draw, b]; no overflow."""
    log_weights = weights.log()[:, None]
    log_p = torch.logsumexp(functional.logsigmoid(logits) + log_weights, dim=0)
    log_q = torch.logsumexp(functional.logsigmoid(-logits) + log_weights, dim=0)
    return log_p, log_q


def entropy_parts(logits: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """`epistemic` and `aleatoric` [b], nats, of several draws.

    logits : [draw, b]; weights : [draw], of sum 1
    """
    log_p, log_q = _mean_probability(logits, weights)
    total = -(log_p.exp() * log_p + log_q.exp() * log_q)
    one, other = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    aleatoric = -(weights[:, None] * (one.exp() * one + other.exp() * other)).sum(dim=0)
    # by Jensen's inequality never negative; rounding may leave -1e-8
    return {"epistemic": (total - aleatoric).clamp(min=0.0), "aleatoric": aleatoric}
