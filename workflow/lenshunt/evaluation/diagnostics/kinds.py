"""Which kinds of diagnostics a model has, and what each rests on; needs no torch."""

from dataclasses import dataclass
from functools import cache

from lenshunt.config import ModelConfig
from lenshunt.core.source import module_value

#: Module of each kind; a job imports only those that its model has. Architectures name theirs as
#: `diagnostics`.
KINDS: dict[str, str] = {
    "arc_attention": "lenshunt.evaluation.diagnostics.arc_attention",
    "conditioning": "lenshunt.evaluation.diagnostics.conditioning",
    "symmetry": "lenshunt.evaluation.diagnostics.symmetry",
    "lens_parameters": "lenshunt.evaluation.diagnostics.lens_parameters",
    "deflectors": "lenshunt.evaluation.diagnostics.deflectors",
    "uncertainty": "lenshunt.evaluation.diagnostics.uncertainty",
    "colour": "lenshunt.evaluation.diagnostics.colour",
    "robustness": "lenshunt.evaluation.diagnostics.robustness",
}
#: Kind of every model that learns from attacked images.
ADVERSARIAL = "robustness"


@dataclass(frozen=True)
class Kind:
    """What one kind rests on, as headings and captions say it: SAMPLE and BASELINE of
    its module, read without importing it, and torch with it.

    sample : what is measured on
    baseline : whether the plain model is measured as well; where not, it plays no part
    """

    sample: str
    baseline: bool


@cache
def kind_named(name: str) -> Kind:
    """Raises KeyError for a name that is not in KINDS."""
    return Kind(module_value(KINDS[name], "SAMPLE"), module_value(KINDS[name], "BASELINE"))


def kinds_of(model: ModelConfig) -> list[str]:
    """Names of the kinds of diagnostics that a model has; none for a plain one."""
    trained_so = [ADVERSARIAL] if model.training.get("adversarial") else []
    return [*model.facts.diagnostics, *trained_so]


def needs_baseline(model: ModelConfig) -> bool:
    """Whether any diagnostic of a model is measured on the baseline as well."""
    return any(kind_named(kind).baseline for kind in kinds_of(model))


def rests_on(kind: str, model: str, baseline: str | None) -> str:
    """One line: which model, against which baseline if it plays a part, and on what."""
    against = f" against {baseline}" if kind_named(kind).baseline and baseline else ""
    return f"{kind.replace('_', ' ')} of {model}{against}: {kind_named(kind).sample}"
