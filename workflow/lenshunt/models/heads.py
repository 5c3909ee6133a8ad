"""What is read from the pooled features: the lens logit and, in pretraining, regressions."""

from collections.abc import Sequence

import torch
from torch import nn

from lenshunt.models.interface import Prediction


class Heads(nn.Module):
    """Linear read-outs of the features [b, f]: one logit, and one value per auxiliary name."""

    def __init__(self, features: int, dropout: float, auxiliary: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(auxiliary)
        self.dropout = nn.Dropout(dropout)
        self.logit = nn.Linear(features, 1)
        self.auxiliary = nn.Linear(features, len(self.names)) if self.names else None

    def forward(self, features: torch.Tensor) -> Prediction:
        auxiliary: dict[str, torch.Tensor] = {}
        # Of the 8 bits of bfloat16 a logit would be one of few values, and scores would be ties.
        with torch.autocast(features.device.type, enabled=False):
            dropped = self.dropout(features).to(self.logit.weight.dtype)
            logit = self.logit(dropped).float()[:, 0]
            if self.auxiliary is not None:
                values = self.auxiliary(dropped).float()
                auxiliary = {name: values[:, i] for i, name in enumerate(self.names)}
        return Prediction(logit, features.float(), None, auxiliary)


def feature_width(network: nn.Module) -> int:
    """Number of features that a network's read-outs read, all members together."""
    return sum(m.logit.in_features for m in network.modules() if isinstance(m, Heads))
