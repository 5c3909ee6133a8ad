"""Which kinds of evidence a model has, and what each rests on; needs no torch."""

from dataclasses import dataclass

from lenshunt.config import ModelConfig


@dataclass(frozen=True)
class Kind:
    """What one kind of evidence rests on, as headings and captions say it.

    sample : what is measured on
    baseline : whether the plain model is measured as well; where not, it plays no part
    """

    sample: str
    baseline: bool


#: Every kind by its name, which is that of its module in this room.
KINDS: dict[str, Kind] = {
    "arc_attention": Kind("random non-lenses of the test split, arcs painted onto them", False),
    "conditioning": Kind("random test samples under metadata that say other things", True),
    "symmetry": Kind("random test samples, turned, mirrored and shifted", True),
    "lens_parameters": Kind("random test samples; radii of lenses whose radius is known", False),
    "deflectors": Kind("pairs of systems simulated as the test images were taken", True),
    "uncertainty": Kind("random test samples, and the same made unlike any training set", True),
    "colour": Kind("segments of random test samples", False),
    "robustness": Kind("random test samples under noise, some of them under attack", True),
}
OF_ARCHITECTURE: dict[str, tuple[str, ...]] = {
    "enhanced_vit": ("arc_attention",),
    "film_resnet": ("conditioning",),
    "equivariant_resnet": ("symmetry",),
    "pinn_lens": ("lens_parameters",),
    "gat_lens": ("deflectors",),
    "bayesian_ensemble": ("uncertainty",),
    "color_aware_lens": ("colour",),
}
#: Kind of every model that learns from attacked images.
ADVERSARIAL = "robustness"


def kinds_of(model: ModelConfig) -> list[str]:
    """Names of the kinds of evidence that a model has; none for a plain one."""
    trained_so = [ADVERSARIAL] if model.training.get("adversarial") else []
    return [*OF_ARCHITECTURE.get(model.architecture, ()), *trained_so]


def needs_baseline(model: ModelConfig) -> bool:
    """Whether any evidence of a model is measured on the baseline as well."""
    return any(KINDS[kind].baseline for kind in kinds_of(model))


def rests_on(kind: str, model: str, baseline: str | None) -> str:
    """One line: which model, against which baseline if it plays a part, and on what."""
    against = f" against {baseline}" if KINDS[kind].baseline and baseline else ""
    return f"{kind.replace('_', ' ')} of {model}{against}: {KINDS[kind].sample}"
