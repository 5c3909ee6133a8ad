"""Vision transformer that knows arcsec, observing conditions, and which patches lie on one arc."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lenshunt.models.arc_attention import ArcBias, PositionEncoder, geometry_tables
from lenshunt.models.conditions import OBSERVING_CONDITIONS, SKY_CONDITIONS, ConditionEncoder
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.vit import VIT_S8, ViTBackbone, vit_backbone


class ArcTransformer(nn.Module):
    """A plain ViT with positions in arcsec about the image centre and arc-aware attention.

    `vit` is the plain transformer less its learned positions: the weights of one fit into it.
    """

    def __init__(self, vit: Any, patch_px: int, pixel_scale_arcsec: float, arc_width: int) -> None:
        """arc_width : of the network behind the bias of attention; 0 leaves attention plain."""
        super().__init__()
        self.vit = vit
        self.vit.embeddings.position_embeddings = None
        self.patch_px, self.patch_arcsec = patch_px, patch_px * pixel_scale_arcsec
        config = vit.config
        self.positions = PositionEncoder(config.hidden_size)
        self.arc_bias = (
            ArcBias(config.num_hidden_layers, config.num_attention_heads, arc_width)
            if arc_width
            else None
        )

    def forward(self, channels: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        """Patch tokens [b, n, width]; context : [b, width], added to the class token.

        Raises ValueError where patches do not fill the image: its centre would not be theirs.
        """
        rows, columns = (size // self.patch_px for size in channels.shape[2:])
        if (rows * self.patch_px, columns * self.patch_px) != tuple(channels.shape[2:]):
            raise ValueError(
                f"patch_px {self.patch_px} does not divide the image size "
                f"{tuple(channels.shape[2:])}; cut the images to a multiple of it"
            )
        waves, pairs = geometry_tables(rows, columns, self.patch_arcsec, channels.device)
        embeddings = self.vit.embeddings
        patches = embeddings.patch_embeddings(channels) + self.positions(waves)
        first = embeddings.cls_token.expand(len(patches), -1, -1)
        if context is not None:
            first = first + context[:, None]
        hidden = embeddings.dropout(torch.cat([first, patches], dim=1))
        biases = [None] * len(self.vit.layers)
        if self.arc_bias is not None:
            biases = [bias[None] for bias in self.arc_bias(pairs)]
        for layer, bias in zip(self.vit.layers, biases, strict=True):
            hidden = layer(hidden, bias)
        return self.vit.layernorm(hidden)[:, 1:]


class EnhancedViT(LensNetwork):
    """ViT-S/8 by default; features are the mean of the patch tokens, as of the plain `ViT`.

    It starts as a plain ViT whose positions are `PositionEncoder`'s: the bias of attention and
    what the class token learns of the observing conditions start at zero.

    The class token holds the observing conditions, hidden at random in training: seeing, PSF,
    pixel scale and wavelengths stand for the survey, whose name would tell the network which data
    set, and so which share of lenses, it looks at. The place on the sky would do the same;
    `sky_position` adds what of it changes an image, its distance to the Galactic plane and to the
    ecliptic. Either kind stays hidden where it tells lenses from non-lenses
    (`normalisation.conditions_hidden`).

    The transformer with positions and bias is the backbone, a family of its own in pretraining:
    `backbone.vit` is a plain ViT's backbone but for the learned positions that it does not have.
    """

    reference = "Dosovitskiy et al. 2021, ICLR (arXiv:2010.11929)"
    needs_conditions = True
    diagnostics = ("arc_attention",)
    backbone_arguments = ("backbone", "arc_width")

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: ViTBackbone = VIT_S8,
        dropout: float = 0.0,
        arc_width: int = 32,
        observing_conditions: bool = True,
        sky_position: bool = False,
        condition_width: int = 64,
        condition_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        vit = vit_backbone(self.input.channels, normalisation.size_px, backbone, dropout)
        self.backbone = ArcTransformer(
            vit, backbone.patch_px, normalisation.pixel_scale_arcsec, arc_width
        )
        wanted = (OBSERVING_CONDITIONS if observing_conditions else ()) + (
            SKY_CONDITIONS if sky_position else ()
        )
        self.conditions = (
            ConditionEncoder(normalisation, condition_width, condition_dropout, wanted)
            if wanted
            else None
        )
        self.context = nn.Linear(condition_width, backbone.width) if wanted else None
        if self.context is not None:
            nn.init.zeros_(self.context.weight)
            nn.init.zeros_(self.context.bias)
        self.heads = Heads(backbone.width, dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        context = None
        if self.conditions is not None and self.context is not None:
            context = self.context(self.conditions(batch["metadata"]))
        return self.heads(self.backbone(channels, context).mean(dim=1))
