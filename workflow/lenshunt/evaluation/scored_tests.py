"""The scores that several models gave to the same test objects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.evaluation.bootstrap import Run
from lenshunt.evaluation.calibration import calibration_prior
from lenshunt.evaluation.predictions import check_finite, labelled_rows, read_predictions
from lenshunt.evaluation.strata import test_sets


@dataclass(frozen=True)
class ScoredTest:
    """One test set, scored by every model and seed.

    rows : its metadata, n rows; scores, logits : [n] by model and seed, what metrics are taken of
    (calibrated where it is) and before calibration; note : what was left out; priors : lens
    fraction at which each was calibrated
    """

    rows: pd.DataFrame
    scores: dict[Run, np.ndarray]
    logits: dict[Run, np.ndarray]
    note: str
    priors: dict[Run, float]

    @property
    def lens(self) -> np.ndarray:
        """Which objects are lenses, bool [n]."""
        return self.rows["label"].to_numpy() == 1


def read_scored_tests(predictions: Mapping[str, str]) -> dict[str, ScoredTest]:
    """Test sets (see `test_sets`) with the scores of all tables, of the objects common to all.

    predictions : Parquet tables by label; model and seed are those in the table. Raises ValueError
    naming two tables that share no test object, that disagree about a label, or that hold the same
    model and seed, and samples without a score.
    """
    tests: dict[Run, pd.DataFrame] = {}
    paths: dict[Run, str] = {}
    priors: dict[Run, float] = {}
    for path in predictions.values():
        table = read_predictions(path)
        if table.empty:
            raise ValueError(f"{path}: no rows, so no scores to compare; make it again")
        run = (str(table["model"].iloc[0]), int(table["seed"].iloc[0]))
        if run in tests:
            raise ValueError(f"{path}: {run[0]}, seed {run[1]}, is also in {paths[run]}")
        rows = labelled_rows(table, "test", path)
        check_finite(_scores(rows), rows["sample_id"].to_numpy(), "score", path)
        tests[run] = rows.set_index("sample_id", drop=False)
        paths[run] = path
        held = labelled_rows(table, "val_calibrate", path)
        priors[run] = calibration_prior(held["label"].to_numpy())
    return _common_tests(tests, paths, priors)


def _common_tests(
    tests: dict[Run, pd.DataFrame], paths: dict[Run, str], priors: dict[Run, float]
) -> dict[str, ScoredTest]:
    """Test sets of the objects that every table has, its tables checked against the first."""
    first, *others = tests
    common = tests[first].index
    for run in others:
        kept = common[common.isin(tests[run].index)]
        if kept.empty:
            raise ValueError(
                f"{paths[run]}: shares no labelled test object with {paths[first]}, so that the "
                "two cannot be compared; predict with both on the same data sets and splits"
            )
        common = kept
    largest = max(len(table) for table in tests.values())
    note = "" if len(common) == largest else f"{len(common)} of {largest} objects scored by all"
    aligned = {run: table.loc[common] for run, table in tests.items()}
    for run, table in aligned.items():
        differ = table["label"].to_numpy() != aligned[first]["label"].to_numpy()
        if differ.any():
            raise ValueError(
                f"{paths[run]}: the label of {common[differ][0]} is not that of {paths[first]}; "
                "make both predictions from the same shards"
            )
    found = {}
    for name, rows in test_sets(aligned[first].reset_index(drop=True)).items():
        at = common.get_indexer(pd.Index(rows["sample_id"]))
        parts = {run: table.iloc[at] for run, table in aligned.items()}
        scores = {run: _scores(part) for run, part in parts.items()}
        logits = {run: part["logit"].to_numpy(float) for run, part in parts.items()}
        found[name] = ScoredTest(rows, scores, logits, note, priors)
    return found


def _scores(table: pd.DataFrame) -> np.ndarray:
    """What metrics are taken of, [n]: calibrated logits where the table has them."""
    name = "logit_calibrated" if "logit_calibrated" in table else "logit"
    return table[name].to_numpy(float)
