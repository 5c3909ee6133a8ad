"""Which diagnostics a model has, its files as the workflow gets them, and its statistics."""

from importlib import import_module

import numpy as np
import pytest
import torch
from diagnostics_samples import measured, saved, toy_loaders, toy_test, untrained

from lenshunt import dataset
from lenshunt.config import ModelConfig, SegmentsConfig
from lenshunt.evaluation.diagnostics import kinds_of, needs_baseline
from lenshunt.evaluation.diagnostics.common import (
    CURVE_COLUMNS,
    Curves,
    Diagnostic,
    Panel,
    load_trained,
    mean_interval,
    share_interval,
)
from lenshunt.evaluation.diagnostics.kinds import ADVERSARIAL, KINDS, Kind, kind_named
from lenshunt.evaluation.diagnostics.measure import checked_curves
from lenshunt.evaluation.diagnostics.sample import chosen_rows, draw_sample
from lenshunt.models import REGISTRY, architecture_of


@pytest.fixture
def toys(monkeypatch):
    return toy_loaders(monkeypatch)


def test_a_model_has_the_kinds_of_its_architecture_and_training():
    plain = ModelConfig(architecture="resnet", backbone="a")
    robust = plain.model_copy(update={"training": {"adversarial": {"epsilon_sigma": 0.1}}})
    equivariant = robust.model_copy(update={"architecture": "equivariant_resnet"})
    assert kinds_of(plain) == []
    assert kinds_of(robust) == ["robustness"]
    assert kinds_of(equivariant) == ["symmetry", "robustness"]


def test_every_kind_is_a_module_with_panels_and_measure():
    named = {kind for name in REGISTRY for kind in architecture_of(name).diagnostics}
    assert set(KINDS) == named | {ADVERSARIAL}
    for kind, where in KINDS.items():
        module = import_module(where)
        assert kind_named(kind) == Kind(module.SAMPLE, module.BASELINE)
        assert module.PANELS
        assert all(isinstance(p, Panel) for p in module.PANELS.values())
        assert callable(module.measure)


@pytest.mark.parametrize("architecture", ["equivariant_resnet", "color_aware_lens"])
def test_a_baseline_is_measured_and_named_where_it_plays_a_part_and_else_not(
    toys, tmp_path, monkeypatch, architecture
):
    subject = untrained(architecture)
    (kind,) = kinds_of(subject.config)
    asked = []

    def measure(subject, baseline, test, seed):
        asked.append(baseline)
        return Diagnostic(Curves().table(), {}, {})

    monkeypatch.setattr(import_module(KINDS[kind]), "measure", measure)
    baseline = saved(tmp_path, untrained("resnet"))
    content, _ = measured(tmp_path, saved(tmp_path, subject), baseline)
    takes_part = architecture == "equivariant_resnet"
    assert needs_baseline(subject.config) is takes_part
    assert [one is not None for one in asked] == [takes_part]
    assert ("against resnet" in content["kinds"][kind]["rests_on"]) is takes_part


def test_files_are_whole_the_same_again_and_say_what_was_compared(toys, tmp_path):
    subject = saved(tmp_path, untrained("equivariant_resnet"))
    baseline = saved(tmp_path, untrained("resnet"))
    content, curves = measured(tmp_path, subject, baseline)
    assert content["model"] == "equivariant_resnet"
    assert (content["seed_of_training"], content["seed_of_sample"]) == (1, 4)
    assert content["kinds"]["symmetry"]["counts"] == {"lenses": 10, "non-lenses": 10}
    assert list(curves.columns) == ["kind", *CURVE_COLUMNS]
    assert set(curves["series"]) == {"equivariant_resnet", "resnet"}
    assert (curves["n"] == 20).all()
    assert (curves["low"] <= curves["value"]).all()
    assert (curves["value"] <= curves["high"]).all()
    assert (toys["splits"], toys["fold"], toys["exclusions"]) == (["test"], 2, "none.parquet")
    measured(tmp_path, subject, baseline, "again")
    for suffix in ("json", "csv"):
        first, second = (tmp_path / f"{name}.{suffix}" for name in ("a", "again"))
        assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_a_plain_model_has_no_diagnostics(toys, tmp_path):
    with pytest.raises(ValueError, match="resnet has no diagnostics"):
        measured(tmp_path, saved(tmp_path, untrained("resnet")), None)
    assert not (tmp_path / "a.json").exists()


def test_a_test_split_without_lenses_is_an_error(toys, monkeypatch):
    loader = toy_test(8)
    loader.table = loader.table.assign(label=0)
    monkeypatch.setattr(dataset, "make_loader", lambda **_: loader, raising=False)
    with pytest.raises(ValueError, match=r"no lenses in the test split of a\.json"):
        draw_sample(
            indexes=["a.json"],
            exclusions=None,
            fold=None,
            segments=False,
            segmentation=SegmentsConfig(),
            seed=0,
        )


def test_a_loaded_checkpoint_predicts_what_was_saved(tmp_path):
    trained = untrained("resnet")
    loaded = load_trained(saved(tmp_path, trained), torch.device("cpu"))
    batch = toy_test(6).batch(np.arange(6))
    assert not loaded.network.training
    assert torch.equal(loaded.network(batch).logit, trained.network(batch).logit)


def test_curves_of_an_unknown_panel_are_an_error():
    curves = Curves()
    curves.add("other", "a", 0, 1.0)
    with pytest.raises(ValueError, match="no panel other"):
        checked_curves(curves.table(), {"mine": Panel("x", "y", "line")}, "kind")
    with pytest.raises(ValueError, match="columns"):
        checked_curves(curves.table().drop(columns="n"), {}, "kind")


def test_chosen_rows_are_balanced_seeded_and_labelled():
    label = np.array([-1] * 10 + [0] * 50 + [1] * 20)
    rows = chosen_rows(label, 15, 1)
    assert (label[rows] == 1).sum() == (label[rows] == 0).sum() == 15
    assert len(set(rows)) == 30
    assert np.array_equal(rows, chosen_rows(label, 15, 1))
    assert not np.array_equal(rows, chosen_rows(label, 15, 2))
    assert len(chosen_rows(label, 500, 1)) == 70


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for number in range(200):
        _, (low, high), n = mean_interval(rng.normal(3.0, 1.0, 60), number)
        hits += low <= 3.0 <= high
        assert n == 60
    # binomial with p = 0.95 and 200 trials: outside of this once in 10^4; percentile intervals
    # of 60 samples are some 1 % too narrow
    assert 176 <= hits <= 199


def test_what_is_not_known_is_not_averaged():
    value, interval, n = mean_interval(np.array([1.0, np.nan, 3.0]), 0)
    assert (value, n) == (2.0, 2)
    assert interval[0] >= 1.0
    assert interval[1] <= 3.0
    assert np.isnan(mean_interval(np.array([np.nan]), 0)[0])
    assert np.isnan(share_interval(np.zeros(0, bool))[0])
