"""What is known of training lenses beside their label, which features learn to predict."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from lenshunt.models import Batch, Prediction

#: Columns of a batch and the columns of the metadata that they are of.
TRUTHS = {"theta_e": "einstein_radius", "flux_ratio": "flux_ratio", "arc_snr": "arc_snr"}
#: Error in units of the scatter from which its loss is linear.
LINEAR_FROM = 3.0


def true_values(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Einstein radii (arcsec), flux ratios and S/N of arcs by `TRUTHS`, float32 [n] each.

    NaN for non-lenses and where unknown.
    """
    lens = table["label"].to_numpy() == 1
    return {
        name: np.where(lens, table[column].to_numpy(float), np.nan).astype(np.float32)
        for name, column in TRUTHS.items()
    }


class TruthReadout(nn.Module):
    """Reads the logarithms of `TRUTHS` from a network's features, for training alone.

    Bright arcs and arcs that hardly show have one label: what tells them apart tells the network
    where to look, and is the harder to learn by heart (Caruana 1997, on learning related tasks).
    """

    centre: torch.Tensor
    scatter: torch.Tensor

    def __init__(self, features: int, table: pd.DataFrame) -> None:
        """features : how many the network has; table : metadata of the training samples.

        Of a value that is known for none of them, as where all lenses are made online, the unit
        is a factor e.
        """
        super().__init__()
        self.linear = nn.Linear(features, len(TRUTHS))
        centre, scatter = np.zeros(len(TRUTHS)), np.ones(len(TRUTHS))
        for place, values in enumerate(true_values(table).values()):
            logarithms = np.log(values[values > 0])
            if len(logarithms):
                centre[place] = logarithms.mean()
                # values that hardly differ must not explode
                scatter[place] = logarithms.std() if logarithms.std() > 1e-3 else 1.0
        self.register_buffer("centre", torch.from_numpy(centre).float())
        self.register_buffer("scatter", torch.from_numpy(scatter).float())

    def forward(self, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Squared errors in units of the scatter, summed over what is known of a sample, [b].

        Times its label's confidence; 0 where nothing is known. Beyond `LINEAR_FROM` the loss is
        linear: a flux ratio of 1e-6 must not be all that a network learns.
        """
        values = torch.stack([batch[name] for name in TRUTHS], dim=1)  # type: ignore[literal-required]
        with torch.autocast(values.device.type, enabled=False):
            found = self.linear(prediction.features.float())
            known = values > 0
            wanted = (torch.where(known, values, 1.0).log() - self.centre) / self.scatter
            errors = 2.0 * functional.huber_loss(found, wanted, reduction="none", delta=LINEAR_FROM)
            return torch.where(known, errors, 0.0).sum(dim=1) * batch["confidence"]
