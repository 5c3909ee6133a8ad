"""Which kinds of evidence a model has, by its architecture and training; needs no torch."""

from lenshunt.config import ModelConfig

#: Kinds of each architecture: modules of this room.
KINDS: dict[str, tuple[str, ...]] = {
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
    return [*KINDS.get(model.architecture, ()), *trained_so]
