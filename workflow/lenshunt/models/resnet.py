"""Plain residual network (He et al. 2016): the baseline that every other model is held against."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction


def resnet_backbone(
    channels: int,
    widths: Sequence[int],
    depths: Sequence[int],
    layer_type: str,
    stem_kernel: int,
    stem_stride: int,
    stem_pool: bool,
) -> ResNetModel:
    """Stem and stages, without a head. The standard stem is kernel 7, stride 2 and a max pool.

    A smaller stem keeps more resolution, which thin arcs in small cutouts need.
    """
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=widths[0],
        hidden_sizes=stage_channels(widths, layer_type),
        depths=list(depths),
        layer_type=layer_type,
    )
    backbone = ResNetModel(config)
    stem = backbone.embedder
    stem.embedder = ResNetConvLayer(channels, widths[0], stem_kernel, stem_stride)
    nn.init.kaiming_normal_(stem.embedder.convolution.weight, mode="fan_out", nonlinearity="relu")
    if not stem_pool:
        stem.pooler = nn.Identity()  # type: ignore[assignment]
    return backbone


def stage_channels(widths: Sequence[int], layer_type: str) -> list[int]:
    """Channels that leave each stage; a bottleneck's are four times its width."""
    return [width if layer_type == "basic" else 4 * width for width in widths]


def stage_maps(
    backbone: ResNetModel,
    channels: torch.Tensor,
    changed: Callable[[int, torch.Tensor], torch.Tensor] = lambda stage, hidden: hidden,
) -> list[torch.Tensor]:
    """Feature maps that leave each stage, [b, channel, y, x].

    channels : [b, channel, y, x]; changed : what becomes of the map of a stage (0, 1, ...) before
        the next one sees it
    """
    hidden = backbone.embedder(channels.contiguous(memory_format=torch.channels_last))
    maps: list[torch.Tensor] = []
    for number, stage in enumerate(backbone.encoder.stages):
        hidden = changed(number, stage(hidden))
        maps.append(hidden)
    return maps


class ResNet(LensNetwork):
    """ResNet-18 by default; depths [3, 4, 6, 3] make it ResNet-34, with `bottleneck` ResNet-50."""

    reference = "He et al. 2016, CVPR (arXiv:1512.03385)"

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        layer_type: str = "basic",
        stem_kernel: int = 7,
        stem_stride: int = 2,
        stem_pool: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = resnet_backbone(
            self.input.channels, widths, depths, layer_type, stem_kernel, stem_stride, stem_pool
        )
        self.heads = Heads(stage_channels(widths, layer_type)[-1], dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        channels = channels.contiguous(memory_format=torch.channels_last)
        pooled = self.backbone(channels).pooler_output
        return self.heads(pooled.flatten(1))
