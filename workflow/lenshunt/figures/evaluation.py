"""The figures of one experiment's evaluation, by name."""

from collections.abc import Callable, Mapping, Sequence

from lenshunt.config import FUSED_LABEL
from lenshunt.figures.flux_ratio import draw_fnr
from lenshunt.figures.gallery import draw_gallery
from lenshunt.figures.purity import draw_purity
from lenshunt.figures.reliability import draw_reliability
from lenshunt.figures.roc import draw_roc


def draw_evaluation(
    *,
    what: str,
    predictions: Mapping[str, str],
    metrics_csv: str,
    cutouts: Sequence[tuple[str, str]],
    title: str,
    out: str,
) -> None:
    """Draw the figure `what` of one experiment.

    what : roc, reliability, flux_ratio, purity, false_positives or missed_lenses
    predictions : calibrated table by the model's label; purity and the galleries show the one
    called fused
    cutouts : (TIFF, metadata) of every chunk of the evaluated data sets
    """

    def gallery(kind: str) -> None:
        draw_gallery(
            predictions=predictions[FUSED_LABEL],
            cutouts=list(cutouts),
            title=title,
            kind=kind,  # type: ignore[arg-type]
            out=out,
        )

    figures: dict[str, Callable[[], None]] = {
        "roc": lambda: draw_roc(predictions=predictions, out=out),
        "reliability": lambda: draw_reliability(calibrated=predictions, out=out),
        "flux_ratio": lambda: draw_fnr(metrics_csv=metrics_csv, out=out),
        "purity": lambda: draw_purity(predictions=predictions, label=FUSED_LABEL, out=out),
        "false_positives": lambda: gallery("false_positives"),
        "missed_lenses": lambda: gallery("missed_lenses"),
    }
    figures[what]()
