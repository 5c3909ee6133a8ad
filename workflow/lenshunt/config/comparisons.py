"""Which models of an experiment are compared: its keys `comparisons` and `baseline`."""

from collections.abc import Mapping

from lenshunt.config.base import Strict

#: Stands in tables for the fused models of an experiment, where others have their names.
FUSED = "fused"


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
    for model in [*models, FUSED]:
        if model != baseline and (model, baseline) not in named:
            pair = Comparison(model=model, against=baseline)
            found[baseline_title(model, baseline)] = pair
    return found


def check_comparisons(
    key: str, comparisons: Mapping[str, Comparison], models: list[str], baseline: str | None
) -> list[str]:
    """What does not fit together, by key, with what it allows. key : of the experiment"""
    problems: list[str] = []
    own_titles: dict[str, tuple[str, str]] = {}
    if baseline is not None:
        problems += _stranger(f"{key}.baseline", baseline, models)
        own_titles = {
            baseline_title(model, baseline): (model, baseline) for model in [*models, FUSED]
        }
    for title, pair in comparisons.items():
        own = f"{key}.comparisons.{title}"
        promised = own_titles.get(title, (pair.model, pair.against))
        if promised != (pair.model, pair.against):
            problems.append(
                f"{own}: {title!r} is the title of {promised[0]} against the baseline, which "
                "is made by itself; choose another"
            )
        problems += _stranger(f"{own}.model", pair.model, [*models, FUSED])
        problems += _stranger(f"{own}.against", pair.against, models)
        if pair.model == pair.against:
            problems.append(f"{own}: {pair.model} is compared with itself; name two models")
    return problems


def _stranger(key: str, name: str, allowed: list[str]) -> list[str]:
    if name in allowed:
        return []
    return [f"{key}: {name!r} is no model of this experiment; allowed: {', '.join(allowed)}"]
