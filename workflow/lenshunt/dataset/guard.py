"""The guard in front of every classification loss and every test metric."""

import pandas as pd

from lenshunt.schema import is_trainable_source


def guard_labels(table: pd.DataFrame) -> None:
    """Refuse samples whose label may not reach a classification loss or a test metric.

    table : columns sample_id, label, label_source
    Raises ValueError naming the first sample that is pretrain:*, weak:*, unlabelled or of label -1.
    """
    trainable = table["label_source"].map(is_trainable_source).astype(bool)
    refused = table[~trainable | ~table["label"].isin([0, 1])]
    if len(refused):
        first = refused.iloc[0]
        raise ValueError(
            f"{first['sample_id']}: label {first['label']} of source {first['label_source']!r} may "
            f"not reach a classification loss or a test metric ({len(refused)} such samples); "
            "take its data set out of this experiment's `train` and `evaluate`, or use it in "
            "`pretraining`"
        )
