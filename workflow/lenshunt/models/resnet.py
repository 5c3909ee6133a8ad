"""Plain residual network (He et al. 2016): the baseline that every other model is held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction


@dataclass(frozen=True)
class ResNetBackbone:
    """Stem and stages of a residual network; as it is, those of ResNet-18.

    widths, depths : channels and number of blocks of each stage
    layer_type : basic, or bottleneck (whose stages leave four times as many channels)
    stem_kernel, stem_stride, stem_pool : a stem smaller than the standard one of kernel 7, stride 2
        and a max pool keeps more resolution, which thin arcs in small cutouts need
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    layer_type: str = "basic"
    stem_kernel: int = 7
    stem_stride: int = 2
    stem_pool: bool = True

    @property
    def channels(self) -> list[int]:
        """Channels that leave each stage."""
        return [width if self.layer_type == "basic" else 4 * width for width in self.widths]


RESNET18 = ResNetBackbone()
RESNET34 = ResNetBackbone(depths=(3, 4, 6, 3))


def resnet_backbone(channels: int, shape: ResNetBackbone) -> ResNetModel:
    """Stem and stages with fresh weights, without a head, for images of so many channels."""
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=shape.widths[0],
        hidden_sizes=shape.channels,
        depths=list(shape.depths),
        layer_type=shape.layer_type,
    )
    backbone = ResNetModel(config)
    stem = backbone.embedder
    stem.embedder = ResNetConvLayer(channels, shape.widths[0], shape.stem_kernel, shape.stem_stride)
    nn.init.kaiming_normal_(stem.embedder.convolution.weight, mode="fan_out", nonlinearity="relu")
    if not shape.stem_pool:
        stem.pooler = nn.Identity()  # type: ignore[assignment]
    return backbone


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
        backbone: ResNetBackbone = RESNET18,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = resnet_backbone(self.input.channels, backbone)
        self.heads = Heads(backbone.channels[-1], dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        channels = channels.contiguous(memory_format=torch.channels_last)
        pooled = self.backbone(channels).pooler_output
        return self.heads(pooled.flatten(1))
