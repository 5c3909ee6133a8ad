"""What lies at segments: patches of the image, the deflector below, their CNN; values of a map."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


def segment_patches(
    channels: torch.Tensor,
    sample: torch.Tensor,
    position: torch.Tensor,
    centre: torch.Tensor,
    size_px: int,
    pixel_scale_arcsec: float,
) -> torch.Tensor:
    """Patches [n, channel, size_px, size_px] of images [b, channel, y, x], bilinear.

    sample : int64 [n], the image of each patch
    position, centre : [n, 2] arcsec (x, y) from the middle of the image, right and up: middle of
        the patch, and what lies below it (the radius from there points up), so that an arc looks
        alike on every side of a deflector. Beside the image there are zeros, also in the validity
        channels.
    Where both coincide the patch is not turned.
    """
    out = (position - centre).detach()
    length = torch.sqrt((out * out).sum(dim=1, keepdim=True))
    upright = torch.tensor([0.0, 1.0], device=out.device, dtype=out.dtype).expand_as(out)
    up = torch.where(length > 1e-6, out / length.clamp(min=1e-6), upright)
    right = torch.stack([up[:, 1], -up[:, 0]], dim=1)
    step = torch.arange(size_px, device=out.device, dtype=out.dtype) - (size_px - 1) / 2
    step = step * pixel_scale_arcsec
    places = (
        position[:, None, None]
        + step[:, None, None] * up[:, None, None]
        + step[None, :, None] * right[:, None, None]
    )
    half_side = 0.5 * channels.shape[-1] * pixel_scale_arcsec
    grid = (places / half_side).to(channels.dtype)
    return _sampled(channels, sample, grid)


def _sampled(channels: torch.Tensor, sample: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Bilinear samples of images [b, c, y, x] at grid [n, p, p, 2] of image sample[n]; -1..1.

    `grid_sample` wants one grid per image: the patches of an image are laid one below the other,
    as many as the image with most of them has.
    """
    b, n, size = len(channels), len(sample), grid.shape[1]
    if n == 0:
        return channels.new_zeros(0, channels.shape[1], size, size)
    counts = torch.zeros(b, dtype=torch.long, device=sample.device)
    counts = counts.scatter_add(0, sample, torch.ones_like(sample))
    first = counts.cumsum(0) - counts
    place = torch.arange(n, device=sample.device) - first[sample]
    most = int(counts.max())
    laid = grid.new_full((b, most, size, size, 2), 2.0)
    laid[sample, place] = grid
    found = functional.grid_sample(
        channels, laid.view(b, most * size, size, 2), align_corners=False
    )
    found = found.view(b, -1, most, size, size).transpose(1, 2)
    return found[sample, place]


class PatchBlock(nn.Module):
    """Two 3 x 3 convolutions beside a short cut, as in ResNet, with group norms."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(_groups(outside), outside) for _ in range(2))
        self.short: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            self.short = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(hidden)) + self.short(x))


@dataclass(frozen=True)
class PatchBackbone:
    """widths : channels of each stage, each at half the resolution of the one before; blocks : of
    each stage."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 2


PATCH_CNN = PatchBackbone()


class PatchNetwork(nn.Module):
    """Small residual CNN for patches and whole images alike; its features are a mean over pixels.

    Group norms, not batch norms: patches and whole images have statistics of their own, their
    number changes from batch to batch, and a batch may have no patch.
    """

    def __init__(self, channels: int, shape: PatchBackbone) -> None:
        super().__init__()
        widths = shape.widths
        self.stem = nn.Conv2d(channels, widths[0], 5, 2, 2, bias=False)
        self.norm = nn.GroupNorm(_groups(widths[0]), widths[0])
        layers: list[nn.Module] = []
        inside = widths[0]
        for number, width in enumerate(widths):
            for block in range(shape.blocks):
                layers.append(PatchBlock(inside, width, 2 if number and not block else 1))
                inside = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, feature] of images [n, channel, y, x]; n may be 0."""
        hidden = self.layers(functional.relu(self.norm(self.stem(x))))
        return hidden.mean(dim=(2, 3))


def _groups(channels: int) -> int:
    """Groups of about eight channels."""
    groups = max(channels // 8, 1)
    while channels % groups:
        groups -= 1
    return groups


def values_at(features: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Bilinear values [b, node, channel] of a map [b, channel, y, x] at places [b, node, 2] (x, y).

    place : 0 at the middle of the first pixel of the map. Layers of odd kernels that are padded by
        half of them, as those of a ResNet, see around pixel s i of the image at pixel i of a map of
        stride s: not around the middle of the s pixels from there on.
    As a product with weights of rows and columns: the gradient of `grid_sample` is not
    deterministic on a GPU. Beside the map the value of its edge.
    """
    weights = []
    for at, size in zip(place.unbind(-1), reversed(features.shape[2:]), strict=True):
        pixel = at.clamp(0, size - 1)
        distance = (torch.arange(size, device=at.device) - pixel[..., None]).abs()
        weights.append((1 - distance).clamp(min=0))
    return torch.einsum("bcyx,bnx,bny->bnc", features, *weights)
