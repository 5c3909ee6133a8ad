"""The classification task: its loss, and what its validation epochs are judged by."""

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from lenshunt.models import Batch, Prediction, condition_table
from lenshunt.training.scores import monitored_score, validation_scores
from lenshunt.training.truth import true_values


class Classification:
    """Lens or not: binary cross-entropy x label_confidence, against smoothed labels in training.

    Shares of label sources and classes come from the balanced draws of the loader.
    """

    def __init__(self, validation: pd.DataFrame, smoothing: float = 0.0) -> None:
        """validation : metadata rows of the validation loader; may be empty.

        smoothing : learn labels as 1 - smoothing and smoothing (Szegedy et al. 2016, sec. 7)
        """
        self.smoothing = smoothing
        self.labels = validation["label"].to_numpy()
        self.flux_ratio = validation["flux_ratio"].to_numpy(float)
        self.monitor = monitored_score(self.labels[self.labels >= 0])

    def columns(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Per-object arrays that a batch needs beside the loader's."""
        return {"metadata": condition_table(table), **true_values(table)}

    def losses(self, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Loss of each sample, [b]; 0 for a sample without a label."""
        label = batch["label"]
        weight = batch["confidence"] * (label >= 0)
        wanted = label.clamp(min=0.0) * (1.0 - 2.0 * self.smoothing) + self.smoothing
        loss = functional.binary_cross_entropy_with_logits(
            prediction.logit, wanted, reduction="none"
        )
        return loss * weight

    def outputs(self, prediction: Prediction) -> torch.Tensor:
        """What `scores` needs of a prediction, [b, 1]."""
        return prediction.logit[:, None]

    def scores(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Scores of a validation epoch. rows : [n], positions in the validation table."""
        labelled = self.labels[rows] >= 0
        rows, logits = rows[labelled], outputs[labelled, 0]
        return validation_scores(self.labels[rows], logits, self.flux_ratio[rows])
