"""Statistics of a training set that are stored with the model: sigmas, condition means."""

import logging
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp

from lenshunt.config import Grid
from lenshunt.models import CONDITIONS, Normalisation, condition_table
from lenshunt.models.inputs import background_sigma, usable_pixels, white_sigma
from lenshunt.schema import SLOTS
from lenshunt.training.balance import balance_groups

LOG = logging.getLogger(__name__)

#: Images from which the background sigmas are taken.
SIGMA_IMAGES = 512
#: A condition that is known for lenses and non-lenses this differently gives the label away.
PRESENCE_DIFFERENCE_MAX = 0.2
#: So does one whose values are distributed this differently (Kolmogorov & Smirnov's distance): a
#: threshold on it alone would be right for three objects in four.
VALUE_DIFFERENCE_MAX = 0.5


def band_sigmas(
    loader: Iterable[dict], images: int = SIGMA_IMAGES
) -> tuple[np.ndarray, np.ndarray, int]:
    """Median noise per band slot in nJy and the image size in pixels.

    Two sigmas per pixel, [5] each: of the background as it is, and of white noise as deep
    (`white_sigma`). Taken from the first `images` samples. A slot that no sample has gets the
    median of the others.
    """
    found: list[torch.Tensor] = []
    size = 0
    for batch in loader:
        good = usable_pixels(batch["variance"], batch["band_flags"])
        sigma = background_sigma(batch["variance"], good)
        found.append(torch.stack([sigma, white_sigma(sigma, batch)], dim=1))  # type: ignore[arg-type]
        size = batch["image"].shape[-1]
        if sum(map(len, found)) >= images:
            break
    if not found:
        raise ValueError("there are no training samples; check the splits and the exclusion list")
    both = torch.cat(found)[:images].nanmedian(dim=0).values.numpy()
    if not np.isfinite(both).any(axis=1).all():
        raise ValueError("no training sample has a usable pixel in any band; check the variances")
    background, white = np.where(np.isfinite(both), both, np.nanmedian(both, axis=1, keepdims=True))
    return background, white, size


def telltale_conditions(
    conditions: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[str, ...]:
    """Conditions that tell lenses from non-lenses without a look at the image.

    By their presence, as a redshift that only confirmed lenses have, or by their value, as a
    filter in which only the lenses of a telescope were observed. Looked for within every group,
    where a large other one cannot hide it.
    conditions : [n, m], NaN where missing; labels, groups : [n]
    """
    found = np.zeros(conditions.shape[1], bool)
    for group in np.unique(groups):
        lens, nonlens = (conditions[(groups == group) & (labels == label)] for label in (1, 0))
        if len(lens) and len(nonlens):
            found |= [
                _tells(a, b)
                for a, b in zip(lens.T.astype(float), nonlens.T.astype(float), strict=True)
            ]
    return tuple(name for name, tells in zip(CONDITIONS, found, strict=True) if tells)


def _tells(lens: np.ndarray, nonlens: np.ndarray) -> bool:
    """Whether a condition of lenses [a] and non-lenses [b], NaN where missing, tells the label."""
    known_lens, known_nonlens = np.isfinite(lens), np.isfinite(nonlens)
    if abs(known_lens.mean() - known_nonlens.mean()) > PRESENCE_DIFFERENCE_MAX:
        return True
    if not (known_lens.any() and known_nonlens.any()):
        return False
    distance = ks_2samp(lens[known_lens], nonlens[known_nonlens], method="asymp").statistic
    return bool(distance > VALUE_DIFFERENCE_MAX)


def fit_normalisation(
    loader: Iterable[dict], table: pd.DataFrame, grid: Grid | None = None
) -> Normalisation:
    """Statistics of the training set in `loader`, whose metadata rows are `table`.

    loader : shuffled as in training, where it brings several data sets: the sigmas are taken from
        its first images
    grid : on which the cutouts are, for its PSF; unknown where None
    """
    background, white, size = band_sigmas(loader)
    conditions = condition_table(table)
    known = np.isfinite(conditions)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, conditions, 0.0).astype(float)
    mean = values.sum(axis=0) / count
    std = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count)
    groups = balance_groups(table).to_numpy(str)
    without = [not (table[f"band_flags_{slot}"] > 0).any() for slot in SLOTS]
    hidden = telltale_conditions(conditions, table["label"].to_numpy(), groups)
    if hidden:
        LOG.warning("conditions hidden, since they tell the label: %s", ", ".join(hidden))
    return Normalisation(
        band_sigma_njy=tuple(map(float, background)),
        band_white_sigma_njy=tuple(map(float, white)),
        size_px=size,
        pixel_scale_arcsec=float(table["pixel_scale"].median()),
        conditions=CONDITIONS,
        condition_mean=tuple(map(float, mean)),
        # A condition that hardly varies carries nothing; it must not explode either.
        condition_std=tuple(map(float, np.where(std > 1e-3, std, 1.0))),
        conditions_hidden=hidden,
        bands=SLOTS,
        bands_unseen=tuple(slot for slot, gone in zip(SLOTS, without, strict=True) if gone),
        psf_fwhm_arcsec=grid.psf_fwhm_arcsec if grid else 0.0,
        psf_moffat_beta=grid.moffat_beta if grid else 0.0,
    )
