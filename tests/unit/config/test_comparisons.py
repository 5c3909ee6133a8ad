"""Comparisons name models of their experiment; a baseline is compared with all others."""

import pytest
import yaml
from config_values import check, values_of

from lenshunt.config import ConfigError, load_model_config, parse_config
from lenshunt.core import ROOT


def with_comparisons(**keys) -> dict:
    """The demo, whose experiment `ground` has three models, with these keys."""
    values = values_of()
    values["experiments"]["ground"] |= keys
    values["experiments"]["ground"]["models"] = ["resnet18", "vit_small", "film_conditioned"]
    return values


def pairs(values: dict) -> dict[str, tuple[str, str]]:
    experiment = parse_config(values).experiments["ground"]
    return {name: (c.model, c.against) for name, c in experiment.compared().items()}


def test_nothing_is_compared_unasked():
    values = with_comparisons()
    check(values)
    assert pairs(values) == {}


def test_a_baseline_is_compared_with_every_other_model_and_the_fusion():
    named = {"conditioning": {"model": "film_conditioned", "against": "resnet18"}}
    values = with_comparisons(baseline="resnet18", comparisons=named)
    check(values)
    assert pairs(values) == {
        "conditioning": ("film_conditioned", "resnet18"),
        "vit_small against resnet18": ("vit_small", "resnet18"),
        "fused against resnet18": ("fused", "resnet18"),
    }


@pytest.mark.parametrize(
    "keys, problem",
    [
        ({"baseline": "resnet50"}, r"baseline: 'resnet50' is no model .* allowed: resnet18, vit_"),
        ({"baseline": "fused"}, r"baseline: 'fused' is no model of this experiment"),
        (
            {"comparisons": {"x": {"model": "pinn", "against": "resnet18"}}},
            r"comparisons\.x\.model: 'pinn' is no model .* allowed: resnet18, .*, fused",
        ),
        (
            {"comparisons": {"x": {"model": "resnet18", "against": "fused"}}},
            r"comparisons\.x\.against: 'fused' is no model",
        ),
        (
            {"comparisons": {"x": {"model": "resnet18", "against": "resnet18"}}},
            r"comparisons\.x: resnet18 is compared with itself",
        ),
        (
            {
                "baseline": "resnet18",
                "comparisons": {
                    "vit_small against resnet18": {"model": "film_conditioned", "against": "fused"}
                },
            },
            r"comparisons\.vit_small against resnet18: .* is made by itself; choose another",
        ),
    ],
)
def test_what_is_no_model_of_the_experiment_is_refused(keys, problem):
    with pytest.raises(ConfigError, match=rf"experiments\.ground\.{problem}"):
        check(with_comparisons(**keys))


def test_a_comparison_has_two_sides():
    with pytest.raises(ConfigError, match=r"comparisons\.x\.against: Field required"):
        parse_config(with_comparisons(comparisons={"x": {"model": "resnet18"}}))


def test_the_study_takes_away_every_physics_term_alone_and_all_together():
    models = ROOT / "config" / "models"
    study = parse_config(yaml.safe_load((ROOT / "config" / "study.yaml").read_text()))
    whole = load_model_config(models / "pinn_lens_narrow.yaml")
    missing = []
    for pair in study.experiments["study"].compared().values():
        if pair.model == "pinn_lens_narrow" and pair.against.startswith("pinn_lens_narrow_"):
            other = load_model_config(models / f"{pair.against}.yaml")
            missing.append(set(whole.loss_terms) - set(other.loss_terms))
            assert other.training == whole.training
    terms = set(whole.loss_terms) - {"simulated"}
    assert terms == {"physics", "shear", "lens_equation"}
    for taken in [{term} for term in terms] + [terms]:
        assert missing.count(taken) == 1


def test_a_term_of_a_narrow_model_has_risen_early_in_the_study():
    """Of a rise over all epochs, half of the weight would be missing in the mean."""
    study = parse_config(yaml.safe_load((ROOT / "config" / "study.yaml").read_text()))
    for name in study.experiments["study"].models:
        model = load_model_config(ROOT / "config" / "models" / f"{name}.yaml")
        for term in model.loss_terms.values():
            assert term.warmup_epochs <= study.training.epochs / 3
