"""Observing conditions and catalogue values that a model can be conditioned on."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from lenshunt.models.interface import Normalisation
from lenshunt.records import SLOTS, filter_named

#: Columns of `condition_table`, in order.
CONDITIONS: tuple[str, ...] = (
    "log_seeing",
    "log_psf_fwhm",
    "log_pixel_scale",
    "log_snr",
    "log_1_plus_z",
    *(f"magnitude_{slot}" for slot in SLOTS),
    *(f"log_wavelength_{slot}" for slot in SLOTS),
)

#: A value farther than this from the training mean, in standard deviations, counts as this far.
CLIP_SIGMA = 4.0


def _log10(values: pd.Series) -> np.ndarray:
    """log10 where positive, NaN elsewhere."""
    array = values.to_numpy(float)
    return np.log10(np.where(array > 0, array, np.nan))


def condition_table(table: pd.DataFrame) -> np.ndarray:
    """Conditions of every row of a metadata table, float32 [n, m], columns CONDITIONS.

    log10 of seeing and PSF FWHM (arcsec), pixel scale (arcsec per pixel), S/N and of the
    effective wavelength (micrometre) of each slot's true filter; log10(1 + z) of the photometric
    redshift, else the spectroscopic one; AB magnitudes. NaN where missing.
    """
    z_phot, z_spec = table["z_phot"].to_numpy(float), table["z_spec"].to_numpy(float)
    z = np.where(z_phot >= 0, z_phot, np.where(z_spec >= 0, z_spec, np.nan))
    columns = [
        *(_log10(table[name]) for name in ("seeing", "psf_fwhm", "pixel_scale", "snr")),
        np.log10(1.0 + z),
        *(table[f"magnitude_{slot}"].to_numpy(float) for slot in SLOTS),
    ]
    for slot in SLOTS:
        names = table[f"bands_{slot}"]
        known = {n: np.log10(filter_named(n).wavelength_um) for n in names.unique() if n}
        columns.append(names.map(known).to_numpy(float))
    values = np.stack(columns, axis=1).astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


class ConditionEncoder(nn.Module):
    """Embeds conditions [b, m]; each missing one has its own learned vector, not a number.

    In training each condition is hidden with chance `hide`, so that the model can do without.
    """

    mean: torch.Tensor
    std: torch.Tensor
    visible: torch.Tensor

    def __init__(self, normalisation: Normalisation, width: int, hide: float) -> None:
        super().__init__()
        names = normalisation.conditions
        if not names:
            raise ValueError("a conditioned model needs a normalisation with conditions")
        visible = [name not in normalisation.conditions_hidden for name in names]
        self.hide = hide
        self.register_buffer("mean", torch.tensor(normalisation.condition_mean))
        self.register_buffer("std", torch.tensor(normalisation.condition_std))
        self.register_buffer("visible", torch.tensor(visible))
        self.weight = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.bias = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.missing = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.mix = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, metadata: torch.Tensor) -> torch.Tensor:
        """[b, width]. metadata : [b, m], NaN where missing."""
        present = torch.isfinite(metadata) & self.visible
        if self.training and self.hide:
            present = present & (torch.rand_like(metadata) >= self.hide)
        value = ((metadata - self.mean) / self.std).clamp(-CLIP_SIGMA, CLIP_SIGMA)
        value = torch.where(present, value, 0.0)[:, :, None]
        known = value * self.weight + self.bias
        tokens = torch.where(present[:, :, None], known, self.missing)
        return self.mix(tokens.sum(dim=1) / tokens.shape[1] ** 0.5)
