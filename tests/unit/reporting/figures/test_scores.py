"""ROC, training curves, flux ratios, reliability and purity: of 35 scores, of one, and of none."""

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table, written
from matplotlib.colors import to_hex
from score_figures import (
    MODELS,
    SETS,
    assert_nothing_is_cut_off,
    entries,
    shown_axes,
    study_histories,
    study_predictions,
)

from lenshunt.evaluation import calibrate, evaluate
from lenshunt.reporting.figures.flux_ratio import fnr_figure
from lenshunt.reporting.figures.purity import PREVALENCES, purity_figure
from lenshunt.reporting.figures.reliability import reliability_figure
from lenshunt.reporting.figures.roc import roc_figure
from lenshunt.reporting.figures.series import looks_by_block, models_of, wrapped_name
from lenshunt.reporting.figures.style import paper_style
from lenshunt.reporting.figures.training import draw_training_curves, training_figure


@pytest.fixture(autouse=True)
def style():
    with paper_style():
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Predictions of 35 scores by label."""
    return study_predictions(tmp_path_factory.mktemp("study"))


def test_seeds_belong_to_their_model_and_a_name_may_end_in_a_word():
    labels = ["a-1", "a-2", "b_c-10", "fused", "x-ray"]
    assert models_of(labels) == {
        "a": ["a-1", "a-2"], "b_c": ["b_c-10"], "fused": ["fused"], "x-ray": ["x-ray"],
    }  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 18, 60])
def test_no_two_models_of_a_block_look_alike_and_none_is_left_out(n):
    models = [f"m{i}" for i in range(n)]
    blocks = looks_by_block(models)
    for looks in blocks:
        for key in ("color", "linestyle", "marker"):
            assert len({str(look[key]) for look in looks.values()}) == len(looks)
    assert all(list(looks)[:1] == models[:1] for looks in blocks)
    rest = [model for looks in blocks for model in list(looks)[1:]]
    assert rest == models[1:]


def test_a_long_name_is_broken_after_underscores_only():
    name = "color_aware_lens_narrow_without_grouping"
    lines = wrapped_name(name, 26).split("\n")
    assert "".join(lines) == name
    assert all(len(line) <= 26 for line in lines)
    assert all(line.endswith("_") for line in lines[:-1])


def test_the_roc_of_a_study_names_every_model_once_and_the_first_in_every_block(study):
    figure = roc_figure(study)
    assert sorted(set(entries(figure))) == sorted([*MODELS, "fused"])
    assert entries(figure).count(MODELS[0]) == len(figure.subfigs) == 3
    assert len(entries(figure)) == 18 + 2
    panels = shown_axes(figure)
    titles = ["even\n30 lenses, 30 non-lenses", "rare\n6 lenses, 54 non-lenses"]
    assert [axis.get_title() for axis in panels] == 3 * titles
    for axis in panels:
        assert axis.get_xlabel() == "false-positive rate"
        assert axis.get_ylabel() == "true-positive rate"
        assert axis.get_xscale() == "log"
    assert_nothing_is_cut_off(figure)


def test_seeds_have_one_colour_and_other_models_another(study):
    figure = roc_figure(study)
    curves = [
        [to_hex(line.get_color()) for line in axis.get_lines() if line.get_drawstyle() != "default"]
        for axis in shown_axes(figure)
    ]
    for colours in curves:
        pairs = colours[: len(colours) // 2 * 2]
        assert pairs[::2] == pairs[1::2]
        assert len(set(colours)) == -(-len(colours) // 2)


def test_training_curves_of_a_study_are_told_apart(tmp_path):
    figure = training_figure(study_histories(tmp_path))
    assert sorted(set(entries(figure))) == sorted(MODELS)
    labels = ["loss (dotted: training)", "partial AUC, FPR ≤ 0.1", "FNR, flux ratio < 0.1"]
    panels = shown_axes(figure)
    assert [axis.get_ylabel() for axis in panels] == len(figure.subfigs) * labels
    assert {axis.get_xlabel() for axis in panels} == {"epoch"}
    for axis in panels[1::3]:
        lines = [line for line in axis.get_lines() if len(line.get_xdata())]
        colours = [to_hex(line.get_color()) for line in lines]
        assert colours[::2] == colours[1::2]
        assert len(set(colours)) == len(colours) // 2
    assert_nothing_is_cut_off(figure)


def test_undefined_training_scores_say_so_and_one_epoch_is_a_point(tmp_path):
    row = {"epoch": [0], "train_loss": [0.7], "val_loss": [0.7], "val_partial_auc": [np.nan]}
    pd.DataFrame(row).to_csv(tmp_path / "a.csv", index=False)
    histories = {"a-1": str(tmp_path / "a.csv")}
    loss, area, missed = shown_axes(training_figure(histories))
    assert [line.get_marker() for line in loss.get_lines() if len(line.get_xdata())] == ["o", "o"]
    for axis in (area, missed):
        assert [text.get_text() for text in axis.texts] == ["undefined:\nin every epoch"]
    draw_training_curves(histories=histories, out=tmp_path / "curves.pdf")
    assert {path.name for path in tmp_path.glob("curves.*")} == {"curves.pdf", "curves.png"}


@pytest.mark.slow
def test_missed_lenses_of_a_study_are_shown_per_test_set_not_of_the_whole(study, tmp_path):
    csv = str(tmp_path / "m.csv")
    evaluate(predictions=study, out_csv=csv, out_tex=str(tmp_path / "m"), bootstraps=10, seed=0)
    figure = fnr_figure(csv)
    assert sorted(set(entries(figure))) == sorted([*MODELS, "fused"])
    panels = shown_axes(figure)
    assert [axis.get_title() for axis in panels] == 3 * list(SETS)
    for axis in panels:
        assert axis.get_ylabel() == "false-negative rate"
        assert [t.get_text()[:5] for t in axis.get_xticklabels()] == ["< 0.1", "0.1-0", "> 0.3"]
    # Every score has a point of its own place, in each of which it is seen.
    first = panels[0]
    places = [bars[0].get_xdata()[0] for bars in first.containers]
    assert len(set(np.round(places, 6))) == len(places) // 2
    assert_nothing_is_cut_off(figure)


@pytest.mark.slow
def test_reliability_of_a_study_is_a_panel_per_model_and_test_set(study):
    figure = reliability_figure(study)
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == [
        "even: 30 lenses, 30 non-lenses, probabilities at 50 % lenses",
        "rare: 6 lenses, 54 non-lenses, probabilities at 10 % lenses",
    ]
    for part in figure.subfigs:
        names = [axis.get_title().replace("\n", "") for axis in shown_axes(part)]
        assert names == [*MODELS, "fused"]
        assert (part.get_supxlabel(), part.get_supylabel()) == (
            "predicted probability", "fraction of lenses",
        )  # fmt: skip
    assert entries(figure)[:2] == ["before calibration", "after calibration"]
    assert_nothing_is_cut_off(figure)


def test_reliability_is_at_the_lens_fraction_of_the_test_set(tmp_path):
    """Scores that are right among as many lenses as non-lenses, tested where lenses are rare."""
    table = prediction_table(6000)
    rare = prediction_table(4000, dataset="rare", lens_fraction=0.07, split="test", score_seed=2)
    table = pd.concat([table[table["split"] != "test"], rare], ignore_index=True)
    path = written(table.assign(logit_calibrated=table["logit"]), tmp_path)
    (axis,) = shown_axes(reliability_figure({"a-1": path}))
    for points in axis.containers:
        x, y = points[0].get_data()
        assert np.abs(x - y).max() < 0.06
    assert float(axis.texts[0].get_text().split()[-2]) < 1.0


def test_purity_is_drawn_as_far_as_false_positives_resolve_it(tmp_path):
    table = prediction_table(8000, split="test", separation=3.0)
    path = written(table.assign(logit_calibrated=table["logit"]), tmp_path)
    figure = purity_figure(path, "fused")
    (axis,) = shown_axes(figure)
    names = ["completeness", *(f"purity, 1 lens in {n}" for n in ("100", "1,000", "10,000"))]
    assert entries(figure) == names
    title = axis.get_title().split("\n")
    assert title[:2] == ["fused on demo", "4000 lenses, 4000 non-lenses"]
    assert title[2].startswith("1 lens in 100: 50% of ")
    lines = {line.get_label(): line for line in axis.get_lines()}
    highest = table.loc[table["label"] == 0, "logit"].max()
    for name in names[1:]:
        assert lines[name].get_xdata().max() == pytest.approx(highest)
    # Where ten thousand objects have one lens, a handful of non-lenses is too many.
    assert lines[names[1]].get_ydata().max() > 0.5
    assert len(PREVALENCES) == len(names) - 1
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    "table, reason",
    [
        (lambda: prediction_table(16, lens_fraction=1.0), "no non-lens among 4 objects"),
        (lambda: prediction_table(8, split="train"), "no labelled test objects"),
    ],
)
def test_what_is_undefined_is_said_in_every_figure(tmp_path, table, reason):
    out = {"predictions": written(table(), tmp_path), "out": str(tmp_path / "c.parquet")}
    calibrate(**out, parameters=str(tmp_path / "c.json"))
    csv = str(tmp_path / "m.csv")
    paths = {"a-1": str(tmp_path / "c.parquet")}
    evaluate(predictions=paths, out_csv=csv, out_tex=str(tmp_path / "t"), bootstraps=10, seed=0)
    said = {
        reason: roc_figure(paths),
        "no test lens with a known": fnr_figure(csv),
        "no test set with lenses and non-lenses": reliability_figure(paths),
        "no test set with lenses and": purity_figure(paths["a-1"], "a"),
    }
    for words, figure in said.items():
        (axis,) = shown_axes(figure)
        assert words in axis.texts[0].get_text()
        assert axis.texts[0].get_text().startswith("undefined:")


def test_four_objects_have_all_figures(tmp_path):
    out = {"predictions": written(prediction_table(4, split="test"), tmp_path)}
    calibrate(**out, out=str(tmp_path / "c.parquet"), parameters=str(tmp_path / "c.json"))
    paths = {"a": str(tmp_path / "c.parquet")}
    for figure in (roc_figure(paths), reliability_figure(paths), purity_figure(paths["a"], "a")):
        (axis,) = shown_axes(figure)
        assert any(len(line.get_xdata()) for line in axis.get_lines())
        assert_nothing_is_cut_off(figure)
