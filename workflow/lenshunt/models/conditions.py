"""Observing conditions and catalogue values that a model can be conditioned on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from lenshunt.models.interface import Normalisation
from lenshunt.schema import SLOTS, best_redshift, filter_named

#: Where on the sky, as far as it changes what an image looks like: stars and dust near the Galactic
#: plane, zodiacal light near the ecliptic. Two numbers that a circle of places share cannot name
#: an object, yet a survey's footprint shows in them: only a model that asks for them sees them.
SKY_CONDITIONS: tuple[str, ...] = ("abs_sin_galactic_latitude", "abs_sin_ecliptic_latitude")

#: Columns of `condition_table`, in order.
CONDITIONS: tuple[str, ...] = (
    "log_seeing",
    "log_psf_fwhm",
    "log_pixel_scale",
    "log_snr",
    "log_1_plus_z",
    *(f"magnitude_{slot}" for slot in SLOTS),
    *(f"log_wavelength_{slot}" for slot in SLOTS),
    *SKY_CONDITIONS,
)

#: One fact of an image whose PSF was left as it is: how blurred it is. Where PSFs are matched the
#: first is of the night, the second of the image before it was matched.
SEEING_CONDITIONS: tuple[str, ...] = ("log_seeing", "log_psf_fwhm")

#: How an image was taken: what stands for its survey in a model that must not know its name.
OBSERVING_CONDITIONS: tuple[str, ...] = (
    "log_seeing",
    "log_psf_fwhm",
    "log_pixel_scale",
    *(f"log_wavelength_{slot}" for slot in SLOTS),
)

#: North pole of the Galaxy in the ICRS (ESA 1997, The Hipparcos Catalogue, vol. 1, sect. 1.5.3) and
#: of the ecliptic of J2000 (obliquity 84381.448 arcsec, IAU 1976): RA, Dec in degrees.
POLES_DEG = ((192.85948, 27.12825), (270.0, 90.0 - 84381.448 / 3600.0))

#: A value farther than this from the training mean, in standard deviations, counts as this far.
CLIP_SIGMA = 4.0


def _log10(values: pd.Series) -> np.ndarray:
    """log10 where positive, NaN elsewhere."""
    array = values.to_numpy(float)
    return np.log10(np.where(array > 0, array, np.nan))


def sky_conditions(ra_deg: np.ndarray, dec_deg: np.ndarray) -> list[np.ndarray]:
    """Columns SKY_CONDITIONS of ICRS positions [n]: |sin| of two latitudes, 0..1; NaN for NaN."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    columns = []
    for pole_ra, pole_dec in np.radians(POLES_DEG):
        across = np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
        columns.append(np.abs(np.sin(dec) * np.sin(pole_dec) + across))
    return columns


def condition_table(table: pd.DataFrame) -> np.ndarray:
    """Conditions of every row of a metadata table, float32 [n, m], columns CONDITIONS.

    log10 of seeing and PSF FWHM (arcsec), pixel scale (arcsec per pixel), S/N and of the
    effective wavelength (micrometre) of each slot's true filter; log10(1 + z) of the best
    redshift, the spectroscopic one if known; AB magnitudes; `sky_conditions`. NaN where missing.
    """
    columns = [
        *(_log10(table[name]) for name in ("seeing", "psf_fwhm", "pixel_scale", "snr")),
        np.log10(1.0 + best_redshift(table["z_spec"], table["z_phot"])),
        *(table[f"magnitude_{slot}"].to_numpy(float) for slot in SLOTS),
    ]
    for slot in SLOTS:
        names = table[f"bands_{slot}"]
        known = {n: np.log10(filter_named(n).wavelength_um) for n in names.unique() if n}
        columns.append(names.map(known).to_numpy(float))
    columns.extend(sky_conditions(table["ra"].to_numpy(float), table["dec"].to_numpy(float)))
    values = np.stack(columns, axis=1).astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


class ConditionEncoder(nn.Module):
    """Embeds conditions [b, m]; each missing one has its own learned vector, not a number.

    In training each condition is hidden with chance `hide`, so that the model can do without.
    wanted : conditions to embed, those of the normalisation among them; all but SKY_CONDITIONS
        where None
    """

    columns: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    visible: torch.Tensor

    def __init__(
        self,
        normalisation: Normalisation,
        width: int,
        hide: float,
        wanted: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        names = [
            name
            for name in normalisation.conditions
            if (name not in SKY_CONDITIONS if wanted is None else name in wanted)
        ]
        if not names:
            raise ValueError("a conditioned model needs a normalisation with conditions")
        at = [normalisation.conditions.index(name) for name in names]
        visible = [name not in normalisation.conditions_hidden for name in names]
        self.hide = hide
        # by name: batches may have columns that the normalisation of an older training lacks
        columns = torch.tensor([CONDITIONS.index(name) for name in names])
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("mean", torch.tensor([normalisation.condition_mean[i] for i in at]))
        self.register_buffer("std", torch.tensor([normalisation.condition_std[i] for i in at]))
        self.register_buffer("visible", torch.tensor(visible))
        self.weight = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.bias = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.missing = nn.Parameter(torch.randn(len(names), width) * 0.1)
        self.mix = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, metadata: torch.Tensor) -> torch.Tensor:
        """[b, width]. metadata : [b, m], columns CONDITIONS, NaN where missing."""
        metadata = metadata[:, self.columns]
        present = torch.isfinite(metadata) & self.visible
        if self.training and self.hide:
            present = present & (torch.rand_like(metadata) >= self.hide)
        value = ((metadata - self.mean) / self.std).clamp(-CLIP_SIGMA, CLIP_SIGMA)
        value = torch.where(present, value, 0.0)[:, :, None]
        known = value * self.weight + self.bias
        tokens = torch.where(present[:, :, None], known, self.missing)
        return self.mix(tokens.sum(dim=1) / tokens.shape[1] ** 0.5)
