"""Checks that comparisons name models of their experiment."""

from lenshunt.config.comparisons import FUSED_LABEL, baseline_title
from lenshunt.config.root import Config


def check_comparisons(config: Config) -> list[str]:
    """What does not fit together, by key, with what it allows."""
    problems: list[str] = []
    for name, experiment in config.experiments.items():
        key = f"experiments.{name}"
        models = experiment.models
        if experiment.baseline is not None:
            problems += _stranger(f"{key}.baseline", experiment.baseline, models)
        own_titles = {
            baseline_title(model, experiment.baseline): (model, experiment.baseline)
            for model in [*models, FUSED_LABEL]
            if experiment.baseline is not None
        }
        for title, pair in experiment.comparisons.items():
            own = f"{key}.comparisons.{title}"
            promised = own_titles.get(title, (pair.model, pair.against))
            if promised != (pair.model, pair.against):
                problems.append(
                    f"{own}: {title!r} is the title of {promised[0]} against the baseline, which "
                    "is made by itself; choose another"
                )
            problems += _stranger(f"{own}.model", pair.model, [*models, FUSED_LABEL])
            problems += _stranger(f"{own}.against", pair.against, models)
            if pair.model == pair.against:
                problems.append(f"{own}: {pair.model} is compared with itself; name two models")
    return problems


def _stranger(key: str, name: str, allowed: list[str]) -> list[str]:
    if name in allowed:
        return []
    return [f"{key}: {name!r} is no model of this experiment; allowed: {', '.join(allowed)}"]
