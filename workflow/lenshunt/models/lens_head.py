"""From the encoder's features to the parameters of a lens that the simulator can draw."""

import math

import torch
from torch import nn

from lenshunt.lensing import DOMAIN, PARAMETERS

#: Lowest value, value at the start and highest value of what is mapped in its logarithm: radii in
#: arcsec and Sersic indices of galaxies behind and in front.
_POSITIVE = {
    "lens_radius": (0.1, 0.8, 5.0),
    "lens_sersic": (0.5, 2.0, 6.0),
    "source_radius": (0.03, 0.25, 1.5),
    "source_sersic": (0.5, 1.0, 4.0),
}
#: Radius of the disc that each pair of components stays in: ellipticities up to an axis ratio of
#: 1/3, a shear well beyond its prior, the lens within an arcsec of the middle of the cutout.
_DISCS = {
    ("mass_e1", "mass_e2"): 0.5,
    ("lens_e1", "lens_e2"): 0.5,
    ("source_e1", "source_e2"): 0.5,
    ("gamma1", "gamma2"): 0.25,
    ("lens_x", "lens_y"): 1.0,
}
#: Farthest that the mass may lie from the light of its galaxy, arcsec.
_MASS_OFFSET_ARCSEC = 0.3
#: Largest distance of the source from the mass in Einstein radii: beyond it a round isothermal
#: lens has one image only, and a gain in chi2 would be a companion's, not a lens's.
_SOURCE_OFFSET = 1.0
#: Einstein radius in arcsec that an untrained head predicts.
_THETA_E_START = 1.0
#: Slope of an isothermal lens, and how far a free one may be from it.
ISOTHERMAL, _SLOPE_SPREAD = 2.0, 0.4
#: Cells per side that the encoder's map is averaged to: where things are, at any image size.
_PLACES = 4


def bounded(raw: torch.Tensor) -> torch.Tensor:
    """Smooth map of the real line onto (-1, 1), slope 1 at 0.

    Its slope falls as |raw|^-3, not exponentially as that of a sigmoid or tanh: a head that was
    driven to a bound can come back.
    """
    return raw / torch.hypot(torch.ones_like(raw), raw)


def in_disc(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for a vector: into the unit disc, whatever its direction."""
    size = torch.hypot(torch.hypot(torch.ones_like(first), first), second)
    return first / size, second / size


def between(raw: torch.Tensor, low: float, start: float, high: float) -> torch.Tensor:
    """Values in (low, high), `start` for raw 0, bounded in their logarithm."""
    middle, half = 0.5 * math.log(low * high), 0.5 * math.log(high / low)
    at_start = (math.log(start) - middle) / half
    offset = at_start / math.sqrt(1.0 - at_start**2)
    return torch.exp(middle + half * bounded(raw + offset))


class LensHead(nn.Module):
    """Lens parameters from the pooled features and a coarse map of where they come from.

    It starts at a round lens in the middle of the image with theta_E = 1 arcsec and the source
    behind it, and small differences between samples.
    theta_e_range : arcsec; slope_free : else the mass is isothermal; extra : further raw outputs
    """

    def __init__(
        self,
        pooled: int,
        map_channels: int,
        theta_e_range: tuple[float, float],
        slope_free: bool = False,
        extra: int = 0,
        width: int = 128,
    ) -> None:
        super().__init__()
        low, high = theta_e_range
        room = DOMAIN["source_x"][1] - _DISCS["lens_x", "lens_y"] - _MASS_OFFSET_ARCSEC
        if not 0 < low < _THETA_E_START < high <= room:
            raise ValueError(
                f"theta_e_min_arcsec {low} and theta_e_max_arcsec {high}: expected "
                f"0 < min < {_THETA_E_START} < max <= {room:.1f}; change them in the model's file"
            )
        self.theta_e_range, self.slope_free, self.extra = theta_e_range, slope_free, extra
        self.names = tuple(n for n in PARAMETERS if slope_free or n != "slope")
        self.places = nn.Linear(map_channels, 16)
        self.hidden = nn.Linear(pooled + 16 * _PLACES**2, width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, len(self.names) + extra)
        nn.init.normal_(self.out.weight, std=0.1 / math.sqrt(width))
        nn.init.zeros_(self.out.bias)

    @property
    def n_shapes(self) -> int:
        """Number of shape parameters that are fitted."""
        return len(self.names) + self.extra

    def forward(
        self, pooled: torch.Tensor, feature_map: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Parameters [b, p], columns PARAMETERS, and the extra raw outputs [b, extra].

        pooled : [b, f]; feature_map : [b, channel, y, x]
        """
        cells = self.places(averaged_cells(feature_map, _PLACES).flatten(2).mT)
        hidden = self.hidden(torch.cat([pooled, cells.flatten(1)], dim=1))
        raw = self.out(nn.functional.gelu(self.norm(hidden)))
        shapes, extra = raw.split([len(self.names), self.extra], dim=1)
        return self.parameters_of(shapes), extra

    def parameters_of(self, raw: torch.Tensor) -> torch.Tensor:
        """Parameters [b, p] inside DOMAIN from raw values [b, r] of any size."""
        r = dict(zip(self.names, raw.unbind(dim=1), strict=True))
        low, high = self.theta_e_range
        c = {name: between(r[name], *limits) for name, limits in _POSITIVE.items()}
        c["theta_e"] = between(r["theta_e"], low, _THETA_E_START, high)
        c["slope"] = torch.full_like(c["theta_e"], ISOTHERMAL)
        if self.slope_free:
            c["slope"] = ISOTHERMAL + _SLOPE_SPREAD * bounded(r["slope"])
        for (first, second), radius in _DISCS.items():
            x, y = in_disc(r[first], r[second])
            c[first], c[second] = radius * x, radius * y
        # the mass follows the light, and the source the mass, in units of what it is lensed by
        x, y = in_disc(r["mass_x"], r["mass_y"])
        c["mass_x"] = c["lens_x"] + _MASS_OFFSET_ARCSEC * x
        c["mass_y"] = c["lens_y"] + _MASS_OFFSET_ARCSEC * y
        x, y = in_disc(r["source_x"], r["source_y"])
        c["source_x"] = c["mass_x"] + _SOURCE_OFFSET * c["theta_e"] * x
        c["source_y"] = c["mass_y"] + _SOURCE_OFFSET * c["theta_e"] * y
        return torch.stack([c[name] for name in PARAMETERS], dim=1)


def averaged_cells(feature_map: torch.Tensor, cells: int) -> torch.Tensor:
    """Means [b, channel, cells, cells] of equal cells of a map [b, channel, y, x] of any size.

    As two matrix products: torch's adaptive pooling has no deterministic gradient on a GPU.
    """
    rows, columns = (_shares(side, cells, feature_map) for side in feature_map.shape[-2:])
    return rows @ feature_map @ columns.mT


def _shares(side: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """Share of each of `side` pixels in each of `cells` equal intervals, [cells, side]."""
    edge = torch.arange(cells + 1, device=like.device, dtype=like.dtype) * (side / cells)
    pixel = torch.arange(side, device=like.device, dtype=like.dtype)
    upper = torch.minimum(edge[1:, None], pixel + 1.0)
    lower = torch.maximum(edge[:-1, None], pixel)
    return (upper - lower).clamp(min=0.0) * (cells / side)
