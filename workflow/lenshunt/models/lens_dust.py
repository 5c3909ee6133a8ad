"""Reddening by dust in the lens galaxy of each sample, from its redshift and filters."""

import math

import numpy as np
import torch
from torch import nn

from lenshunt.lensing import reddening_curve
from lenshunt.models.conditions import CONDITIONS
from lenshunt.models.interface import Batch, Normalisation
from lenshunt.schema import filter_named

#: Redshift that stands for an unknown one, see `reddening_curve`.
Z_WHERE_UNKNOWN = 0.5
#: Rest-frame wavelengths in micrometres that are tabulated, and how many of them.
_SHORTEST_UM, _LONGEST_UM, _NODES = 0.1, 10.0, 512


class LensDust(nn.Module):
    """A(band) / A_V of dust at the lens: `reddening_curve`, tabulated, for tensors.

    The redshift is that of the galaxy in the middle, where `metadata` has one and the
    normalisation does not hide it, else Z_WHERE_UNKNOWN. Wavelengths are those of the filters
    that were observed, or, where none is named, of the filter that the band slot is called after.
    """

    law: torch.Tensor
    usual: torch.Tensor

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        rest = np.geomspace(_SHORTEST_UM, _LONGEST_UM, _NODES)
        law = torch.from_numpy(reddening_curve(np.zeros(1), rest)[0])
        self.register_buffer("law", law, persistent=False)
        usual = [math.log10(filter_named(band).wavelength_um) for band in normalisation.bands]
        self.register_buffer("usual", torch.tensor(usual), persistent=False)
        self.bands = normalisation.bands
        self.hidden = normalisation.conditions_hidden

    def forward(self, batch: Batch) -> torch.Tensor:
        """float32 [b, band]; NaN, which drops the band, below 0.1 micrometres at the lens."""
        count = len(batch["image"])
        observed = self.usual.expand(count, -1)
        log_z = torch.full((count, 1), math.log10(1 + Z_WHERE_UNKNOWN), device=self.usual.device)
        if "metadata" in batch:
            named = [self._known(batch["metadata"], f"log_wavelength_{b}") for b in self.bands]
            told = torch.stack(named, dim=1)
            observed = torch.where(torch.isfinite(told), told, observed)
            z = self._known(batch["metadata"], "log_1_plus_z")[:, None]
            log_z = torch.where(torch.isfinite(z), z, log_z)
        low, high = math.log10(_SHORTEST_UM), math.log10(_LONGEST_UM)
        place = (observed - log_z - low) / (high - low) * (_NODES - 1)
        below = place.clamp(0, _NODES - 1.001).floor()
        part = (place - below).clamp(0, 1)
        index = below.long()
        found = self.law[index] * (1 - part) + self.law[index + 1] * part
        return torch.where(place >= 0, found, torch.nan)

    def _known(self, metadata: torch.Tensor, name: str) -> torch.Tensor:
        """A column of `metadata` [b], NaN where it is missing, hidden or of no known slot."""
        if name not in CONDITIONS or name in self.hidden:
            return torch.full_like(metadata[:, 0], torch.nan)
        return metadata[:, CONDITIONS.index(name)]
