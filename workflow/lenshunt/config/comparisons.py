"""Which models of an experiment are compared: its keys `comparisons` and `baseline`."""

from lenshunt.config.base import Strict

#: Name of an experiment's fused models, as in its tables.
FUSED_LABEL = "fused"


class Comparison(Strict):
    """One question to the test sets: is `model` better than `against`?

    Answered by the paired differences in partial AUC over FPR <= 0.1, in TPR at the lowest FPR
    that the test negatives resolve, and in AUROC, with 95 % intervals over test systems and seeds.
    """

    model: str
    """One of the experiment's `models`, or `fused`."""
    against: str
    """The other of the experiment's `models`: what `model` is measured against."""


def baseline_title(model: str, baseline: str) -> str:
    """Title of the comparison of a model with the baseline."""
    return f"{model} against {baseline}"


def with_baseline(
    comparisons: dict[str, Comparison], models: list[str], baseline: str | None
) -> dict[str, Comparison]:
    """`comparisons`, and every other model and `fused` against the baseline, where there is one.

    Those of the baseline are called `MODEL against BASELINE`; a pair that is named already is
    not listed twice.
    """
    found = dict(comparisons)
    named = {(c.model, c.against) for c in found.values()}
    if baseline is None:
        return found
    for model in [*models, FUSED_LABEL]:
        if model != baseline and (model, baseline) not in named:
            pair = Comparison(model=model, against=baseline)
            found[baseline_title(model, baseline)] = pair
    return found
