"""The pretraining task: catalogue values of ordinary galaxies, missing ones left out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from lenshunt.core.robust import SIGMA_PER_MAD
from lenshunt.models import CONDITIONS, Batch, Prediction
from lenshunt.schema import SLOTS

SHAPES = ("sersic_index", "half_light_radius", "axis_ratio")
#: Names of the regressed values, in order.
TARGETS: tuple[str, ...] = ("redshift", *SHAPES, *(f"magnitude_{slot}" for slot in SLOTS))


def target_table(table: pd.DataFrame) -> np.ndarray:
    """Values to be learned, float32 [n, t], NaN where missing.

    ln(1 + z) of the spectroscopic redshift, ln of Sersic index and half-light radius (arcsec),
    axis ratio, AB magnitudes.
    """
    z = table["z_spec"].to_numpy(float)
    columns = [np.log1p(np.where(z >= 0, z, np.nan))]
    for name in SHAPES[:2]:
        values = table[name].to_numpy(float)
        columns.append(np.log(np.where(values > 0, values, np.nan)))
    columns.append(table["axis_ratio"].to_numpy(float))
    columns.extend(table[f"magnitude_{slot}"].to_numpy(float) for slot in SLOTS)
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of each target over the training set, [t]."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> "TargetScale":
        """From the training rows; a target that nobody has gets mean 0 and std 1."""
        values = target_table(table).astype(float)
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        variance = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count
        return cls(mean, np.where(variance > 1e-12, np.sqrt(variance), 1.0))


class Regression:
    """Smooth L1 loss (Huber 1964) of the standardised targets, mean over the known ones."""

    monitor = "val_loss"

    def __init__(self, scale: TargetScale) -> None:
        self.scale = scale

    def columns(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Standardised targets; and all conditions missing, since they would give targets away."""
        targets = (target_table(table) - self.scale.mean) / self.scale.std
        hidden = np.full((len(table), len(CONDITIONS)), np.nan, np.float32)
        return {"metadata": hidden, "targets": targets.astype(np.float32)}

    def losses(self, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Loss of each sample, [b]; 0 for a sample without any target."""
        known = torch.isfinite(batch["targets"])
        targets = torch.where(known, batch["targets"], 0.0)
        loss = functional.smooth_l1_loss(self.outputs(prediction), targets, reduction="none")
        return (loss * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)

    def outputs(self, prediction: Prediction) -> torch.Tensor:
        """Standardised predictions, [b, t]."""
        return torch.stack([prediction.auxiliary[name] for name in TARGETS], dim=1)

    def scores(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}


def redshift_quality(z_true: np.ndarray, z_found: np.ndarray) -> dict[str, float]:
    """sigma_NMAD, bias (median) and fraction of outliers beyond 0.15 of dz / (1 + z).

    Definitions of Ilbert et al. 2006 and Brammer et al. 2008; NaN without any galaxy.
    """
    if len(z_true) == 0:
        return {"sigma_nmad": np.nan, "bias": np.nan, "outlier_fraction": np.nan}
    dz = (z_found - z_true) / (1.0 + z_true)
    bias = float(np.median(dz))
    return {
        "sigma_nmad": float(SIGMA_PER_MAD * np.median(np.abs(dz - bias))),
        "bias": bias,
        "outlier_fraction": float((np.abs(dz) > 0.15).mean()),
    }


def regression_report(table: pd.DataFrame, targets: np.ndarray) -> dict[str, object]:
    """What was learned, on the rows of `table` [n]; targets : predicted, [n, t], own units.

    R^2 is that of the values as they are learned (logarithms of Sersic index and radius).
    """
    truth = target_table(table)
    r_squared: dict[str, float | None] = {}
    count: dict[str, int] = {}
    for i, name in enumerate(TARGETS):
        known = np.isfinite(truth[:, i])
        count[name] = int(known.sum())
        spread = (
            float(np.square(truth[known, i] - truth[known, i].mean()).sum()) if count[name] else 0
        )
        error = float(np.square(truth[known, i] - targets[known, i]).sum())
        r_squared[name] = 1.0 - error / spread if spread > 0 else None
    known = np.isfinite(truth[:, 0])
    redshift = redshift_quality(np.expm1(truth[known, 0]), np.expm1(targets[known, 0]))
    clean = {name: value if np.isfinite(value) else None for name, value in redshift.items()}
    return {"n": len(table), "redshift": clean, "r_squared": r_squared, "n_known": count}
