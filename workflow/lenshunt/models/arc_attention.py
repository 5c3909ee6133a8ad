"""Where patches lie about the image centre: their encoding, and a bias of attention along arcs."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn

#: Wavelengths of the position encoding in arcsec: from half an Einstein radius to a wide cutout.
WAVELENGTHS_ARCSEC = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
#: Widths of the Gaussians in radial and in tangential separation, arcsec: from a patch of a space
#: telescope's image to the Einstein ring of a group.
RADIAL_WIDTHS_ARCSEC = (0.5, 1.0, 2.0, 4.0)
TANGENTIAL_WIDTHS_ARCSEC = (1.0, 2.0, 4.0, 8.0)
#: Features of a pair of patches: the Gaussians, the side, two angles, the mean radius.
PAIR_FEATURES = len(RADIAL_WIDTHS_ARCSEC) + len(TANGENTIAL_WIDTHS_ARCSEC) + 4


def patch_centres(rows: int, columns: int, patch_arcsec: float) -> torch.Tensor:
    """x, y of the patches' centres from the middle of the image, arcsec, row by row; [n, 2]."""
    y = (torch.arange(rows, dtype=torch.float64, device="cpu") - (rows - 1) / 2) * patch_arcsec
    x = torch.arange(columns, dtype=torch.float64, device="cpu") - (columns - 1) / 2
    grid_y, grid_x = torch.meshgrid(y, x * patch_arcsec, indexing="ij")
    return torch.stack([grid_x.flatten(), grid_y.flatten()], dim=1)


def position_waves(centres: torch.Tensor, patch_arcsec: float) -> torch.Tensor:
    """Sines and cosines of x, y and radius, [n, 6 waves]; centres : [n, 2] arcsec.

    Each is damped by its mean over a patch, sinc(patch / wavelength): what is finer than a patch
    fades and cannot alias, so the encoding goes over to another patch size or pixel scale
    (integrated positional encoding, Barron et al. 2021, arXiv:2103.13415).
    """
    wavelengths = centres.new_tensor(WAVELENGTHS_ARCSEC)
    places = torch.cat([centres, centres.norm(dim=1, keepdim=True)], dim=1)
    phase = 2 * math.pi * places[:, :, None] / wavelengths
    damping = torch.sinc(patch_arcsec / wavelengths)
    return torch.cat([phase.sin() * damping, phase.cos() * damping], dim=2).flatten(1)


def pair_features(centres: torch.Tensor) -> torch.Tensor:
    """Geometry of every query and key, [n, n, PAIR_FEATURES]; centres : [n, 2] arcsec.

    From three numbers that no rotation about the centre and no mirror changes: the difference of
    their radii (key minus query), their separation along a circle of the geometric mean radius,
    and the angle between them; and from the mean radius. 0 degrees for a patch at the centre.
    """
    radius = centres.norm(dim=1)
    middle = radius < 1e-9
    along = torch.where(middle, 0.0, centres[:, 0] / radius), centres[:, 1] / radius
    unit = torch.stack([along[0], torch.where(middle, 0.0, along[1])], dim=1)
    at_middle = middle[:, None] | middle[None]
    cosine = torch.where(at_middle, 1.0, (unit @ unit.T).clamp(-1.0, 1.0))
    outward = radius[None] - radius[:, None]
    tangential = (radius[None] * radius[:, None]).sqrt() * cosine.arccos()
    return torch.cat(
        [
            _gaussians(outward, RADIAL_WIDTHS_ARCSEC),
            _gaussians(tangential, TANGENTIAL_WIDTHS_ARCSEC),
            torch.stack(
                [
                    torch.tanh(outward / 2.0),
                    cosine,
                    2.0 * cosine.square() - 1.0,  # twice the angle: counter-images, quads
                    torch.log1p((radius[None] + radius[:, None]) / 2.0),
                ],
                dim=2,
            ),
        ],
        dim=2,
    )


def _gaussians(separation: torch.Tensor, widths: Sequence[float]) -> torch.Tensor:
    """exp(-s^2 / 2 w^2) for each width, on a new last axis."""
    return torch.exp(-0.5 * (separation[..., None] / separation.new_tensor(widths)).square())


@lru_cache(maxsize=8)
def geometry_tables(
    rows: int, columns: int, patch_arcsec: float, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """`position_waves` and `pair_features` of a grid of patches, float32; made once per grid."""
    # made outside inference mode, so that a training may use what a validation asked for first
    with torch.inference_mode(False), torch.no_grad():
        centres = patch_centres(rows, columns, patch_arcsec)
        tables = position_waves(centres, patch_arcsec), pair_features(centres)
        waves, pairs = (table.float().to(device) for table in tables)
        return waves, pairs


class PositionEncoder(nn.Module):
    """Learned linear map of `position_waves` to the width of the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        waves = 6 * len(WAVELENGTHS_ARCSEC)
        self.linear = nn.Linear(waves, width, bias=False)
        # as small as the learned positions of a plain ViT at its start, 0.02
        nn.init.normal_(self.linear.weight, std=0.02 * (2 / waves) ** 0.5)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """[n, waves] -> [n, width]."""
        return self.linear(waves)


class ArcBias(nn.Module):
    """What each head of each layer adds to the scores of a query and a key for their geometry.

    A small network of `pair_features`, the same for every image; it starts at zero, where
    attention is that of a plain transformer. The class token has no place: its bias stays 0.
    """

    def __init__(self, layers: int, heads: int, width: int) -> None:
        super().__init__()
        self.layers, self.heads = layers, heads
        self.hidden = nn.Linear(PAIR_FEATURES, width)
        self.activation = nn.SiLU()
        self.out = nn.Linear(width, layers * heads, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """[layer, head, 1 + n, 1 + n] float32, the class token first; pairs : [n, n, features]."""
        with torch.autocast(pairs.device.type, enabled=False):
            scores = self.out(self.activation(self.hidden(pairs)))
        scores = scores.permute(2, 0, 1).unflatten(0, (self.layers, self.heads))
        return nn.functional.pad(scores, (1, 0, 1, 0))
