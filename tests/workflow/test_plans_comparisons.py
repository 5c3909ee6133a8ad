"""Plans of experiments that compare their models."""

import pytest
import yaml

RULES = {"comparisons", "study_table", "comparisons_figure"}


def planned(checkout, name: str, **keys) -> str:
    """A configuration file of the demo, its experiment `ground` with these keys."""
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    values["experiments"]["ground"] |= keys
    (checkout.root / name).write_text(yaml.safe_dump(values))
    return name


def test_models_are_compared_where_an_experiment_asks_and_nowhere_else(checkout):
    asked = checkout.dry_run(
        "--configfile", planned(checkout, "a.yaml", baseline="resnet18_narrow")
    )
    assert {rule: asked.jobs.get(rule) for rule in RULES} == dict.fromkeys(RULES, 1)
    assert "Comparing the models of ground" in asked.messages
    silent = checkout.dry_run(
        "--configfile", planned(checkout, "b.yaml", baseline=None, comparisons={})
    )
    assert not RULES & set(silent.jobs)
    # what models cost is told of every experiment
    assert silent.jobs["costs"] == silent.jobs["model_sizes"] == silent.jobs["metrics"]


def test_a_table_that_nothing_is_compared_in_is_refused(checkout):
    name = planned(checkout, "c.yaml", baseline=None, comparisons={})
    with pytest.raises(AssertionError, match=r"experiments\.space: nothing to compare"):
        checkout.dry_run("--configfile", name, "--", "results/tables/comparisons/space.csv")


def test_diagnostics_is_measured_on_every_training_and_drawn_once_for_all(checkout):
    keys = {"baseline": "resnet18", "seeds": [1, 2], "models": ["resnet18", "film_conditioned"]}
    plan = checkout.dry_run("--configfile", planned(checkout, "d.yaml", **keys))
    assert (plan.jobs["diagnostics"], plan.jobs["diagnostics_figure"]) == (2, 1)
    for seed in (1, 2):
        assert f"Measuring what film_conditioned promises, seed {seed} (ground)" in plan.messages
