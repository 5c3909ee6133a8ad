"""Bologna metrics with intervals, calibration, ensembles, and prevalence."""

from lenshunt.evaluation.calibrate import STAGES, apply_calibration, calibrate, read_parameters
from lenshunt.evaluation.calibration import (
    calibration_numbers,
    calibration_prior,
    equal_mass_bins,
    expected_calibration_error,
    fit_calibration,
)
from lenshunt.evaluation.challenge_metrics import (
    FNR_METRICS,
    METRICS,
    bologna_metrics,
    fnr_metrics,
    roc_points,
)
from lenshunt.evaluation.comparisons import COMPARISON_COLUMNS, compare
from lenshunt.evaluation.ensembles import chosen_method, fuse, fusion_methods
from lenshunt.evaluation.intervals import wilson_interval
from lenshunt.evaluation.metrics_table import METRIC_COLUMNS, evaluate
from lenshunt.evaluation.predictions import (
    PREDICTION_COLUMNS,
    labelled_rows,
    read_predictions,
)
from lenshunt.evaluation.prevalence import (
    at_own_fraction,
    prevalence_shift,
    purity_table,
    threshold_for_purity,
)
from lenshunt.evaluation.strata import POOLED, sets_apart, test_sets
from lenshunt.evaluation.study import study_table

__all__ = [
    "COMPARISON_COLUMNS",
    "FNR_METRICS",
    "METRICS",
    "METRIC_COLUMNS",
    "POOLED",
    "PREDICTION_COLUMNS",
    "STAGES",
    "apply_calibration",
    "at_own_fraction",
    "bologna_metrics",
    "calibrate",
    "calibration_numbers",
    "calibration_prior",
    "chosen_method",
    "compare",
    "equal_mass_bins",
    "evaluate",
    "expected_calibration_error",
    "fit_calibration",
    "fnr_metrics",
    "fuse",
    "fusion_methods",
    "labelled_rows",
    "prevalence_shift",
    "purity_table",
    "read_parameters",
    "read_predictions",
    "roc_points",
    "sets_apart",
    "study_table",
    "test_sets",
    "threshold_for_purity",
    "wilson_interval",
]
