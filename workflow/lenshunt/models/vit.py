"""Plain vision transformer (Dosovitskiy et al. 2021) on patches of the cutout."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import ViTConfig, ViTModel

from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction


@dataclass(frozen=True)
class ViTBackbone:
    """Patch embedding and layers of a vision transformer; as it is, those of ViT-S/8.

    width, layers, heads : channels of a token, number of layers, heads of attention in each
    mlp_ratio : hidden channels of a layer's perceptron / width
    patch_px : side of a patch
    """

    width: int = 384
    layers: int = 12
    heads: int = 6
    mlp_ratio: float = 4.0
    patch_px: int = 8


VIT_S8 = ViTBackbone()
VIT_B16 = ViTBackbone(width=768, heads=12, patch_px=16)


def vit_backbone(channels: int, size_px: int, shape: ViTBackbone, dropout: float) -> ViTModel:
    """Patch embedding, positions and layers, without a head; the first token is the class token.

    Raises ValueError where patches do not fill the image.
    """
    if size_px % shape.patch_px:
        raise ValueError(
            f"patch_px {shape.patch_px} does not divide the image size {size_px}; choose another "
            "patch_px in the model's file or another size_px of the grid"
        )
    config = ViTConfig(
        image_size=size_px,
        patch_size=shape.patch_px,
        num_channels=channels,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=int(shape.width * shape.mlp_ratio),
        hidden_dropout_prob=dropout,
    )
    return ViTModel(config, add_pooling_layer=False)


class ViT(LensNetwork):
    """Pre-norm transformer; features are the mean of the patch tokens (Beyer et al. 2022).

    Any image size that patches fit into; positions learned at the training grid's size are
    interpolated for another one.
    """

    reference = "Dosovitskiy et al. 2021, ICLR (arXiv:2010.11929)"

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: ViTBackbone = VIT_S8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = vit_backbone(self.input.channels, normalisation.size_px, backbone, dropout)
        self.heads = Heads(backbone.width, dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        channels = self.input(batch)
        tokens = self.backbone(channels, interpolate_pos_encoding=True).last_hidden_state
        return self.heads(tokens[:, 1:].mean(dim=1))
