"""The figures of one experiment's evaluation, by name."""

from importlib import import_module

from lenshunt.reporting.figures.evaluated import Evaluated

#: What draws each figure, as function (evaluated, out); a job imports only the one it needs.
FIGURES: dict[str, str] = {
    "roc": "lenshunt.reporting.figures.roc.draw_roc",
    "reliability": "lenshunt.reporting.figures.reliability.draw_reliability",
    "flux_ratio": "lenshunt.reporting.figures.flux_ratio.draw_fnr",
    "purity": "lenshunt.reporting.figures.purity.draw_purity",
    "false_positives": "lenshunt.reporting.figures.gallery.draw_false_positives",
    "missed_lenses": "lenshunt.reporting.figures.gallery.draw_missed_lenses",
}


def draw_evaluation(what: str, evaluated: Evaluated, out: str) -> None:
    """Draw the figure `what` of one experiment, as PDF and PNG.

    Raises KeyError where there is no such figure.
    """
    module, _, function = FIGURES[what].rpartition(".")
    getattr(import_module(module), function)(evaluated, out)
