"""The figure of a model's diagnostics: its panels, what they rest on, and how trainings differ."""

from importlib import import_module

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from diagnostics_samples import measured, saved, toy_loaders, untrained

from lenshunt.core import ROOT
from lenshunt.evaluation.diagnostics import rests_on
from lenshunt.evaluation.diagnostics.kinds import KINDS, kind_named
from lenshunt.reporting.figures.diagnostics import diagnostics_figure, draw_diagnostics, heading

#: What has a unit, and which. Ratios and numbers of layers have none.
UNITS = {
    "stated seeing": "arcsec",
    "true Einstein radius": "arcsec",
    "radius of": "arcsec",
    "separation": "arcsec",
    "predicted - true": "arcsec",
    "rotation": "degrees",
    "shift along": "pixels",
    "cross-entropy": "nats",
    "epistemic": "nats",
    "aleatoric": "nats",
    "PGD": "σ of each pixel",
    "added noise": "σ of each pixel",
}


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Contents and curves of two trainings of an equivariant network, and their folder."""
    toy_loaders(monkeypatch)
    contents, tables = [], []
    for place, seed in enumerate((3, 7)):
        subject = saved(tmp_path, untrained("equivariant_resnet"), seed=seed)
        baseline = saved(tmp_path, untrained("resnet"), seed=seed)
        content, curves = measured(tmp_path, subject, baseline, f"e-{seed}")
        # the same weights: what tells the trainings apart is made here
        tables.append(curves.assign(training=place, value=curves["value"] * (1 + place)))
        contents.append(content)
    return contents, pd.concat(tables, ignore_index=True), tmp_path


@pytest.fixture
def drawn(trainings):
    contents, table, _ = trainings
    figure = diagnostics_figure(contents, table)
    yield figure, contents[0]["kinds"]["symmetry"]["panels"]
    plt.close(figure)


def test_every_panel_is_drawn_with_its_labels_and_a_legend_of_its_series(drawn):
    figure, panels = drawn
    assert len(figure.axes) == len(panels) == 3
    for axes, panel in zip(figure.axes, panels.values(), strict=True):
        assert axes.get_xlabel().replace("\n", " ") == panel["x_label"]
        assert axes.get_ylabel().replace("\n", " ") == panel["y_label"]
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == ["equivariant_resnet", "resnet"]
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == panels["exact"]["ticks"]


def test_every_training_is_drawn_and_the_first_one_thick_with_its_band(trainings, drawn):
    _, table, _ = trainings
    angle = drawn[0].axes[1]
    lines = [line for line in angle.lines if len(line.get_xdata()) == 5]
    assert len(lines) == 4
    thick, thin = (
        [line for line in lines if (line.get_linewidth() > 1) is first] for first in (True, False)
    )
    for kept, training in ((thick, 0), (thin, 1)):
        rows = table[(table["panel"] == "angle") & (table["training"] == training)]
        found = np.sort(np.concatenate([line.get_ydata() for line in kept]))
        np.testing.assert_allclose(found, np.sort(rows["value"]))
    assert len(angle.collections) == len(thick) == 2


def test_points_of_all_series_and_trainings_lie_side_by_side(drawn):
    exact = drawn[0].axes[0]
    starts = sorted(container.lines[0].get_xdata()[0] for container in exact.containers)
    assert len(starts) == 4
    assert np.diff(starts) == pytest.approx(np.full(3, 0.125))
    faces = [container.lines[0].get_markerfacecolor() for container in exact.containers]
    assert [face == "white" for face in faces] == [False, True, False, True]


def test_a_panel_without_values_says_so(trainings):
    contents, table, _ = trainings
    figure = diagnostics_figure(contents, table.assign(value=np.nan))
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    plt.close(figure)
    assert said == ["undefined"] * 3


def test_the_files_are_a_pdf_and_a_png_of_all_trainings(trainings):
    folder = trainings[2]
    names = [folder / f"e-{seed}" for seed in (3, 7)]
    draw_diagnostics(
        numbers=[name.with_suffix(".json") for name in names],
        curves=[name.with_suffix(".csv") for name in names],
        out=folder / "a.pdf",
    )
    assert (folder / "a.pdf").read_bytes().startswith(b"%PDF")
    height, width, _ = plt.imread(folder / "a.png").shape
    assert width == 1440
    assert height > 500


def told(kind: str, seed: int, **counts: int) -> dict:
    line = rests_on(kind, "m", "b")
    return {"seed_of_training": seed, "kinds": {kind: {"rests_on": line, "counts": counts}}}


def test_the_heading_says_on_what_against_what_and_which_trainings():
    painted = heading([told("arc_attention", 1, hosts=250)])
    assert painted.startswith("arc attention of m: random non-lenses of the test split, arcs")
    assert "(250 hosts)" in painted
    assert "against" not in painted
    assert "One training (seed 1)" in painted
    several = heading([told("symmetry", seed, lenses=3) for seed in (1, 2, 5)])
    assert several.startswith("symmetry of m against b: ")
    assert "training with seed 1." in several.replace("\n", " ")
    assert "seed 2, 5." in several.replace("\n", " ")


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
@pytest.mark.parametrize("kind", ["arc_attention", "symmetry"])
def test_the_caption_says_the_same(kind, seeds):
    line = rests_on(kind, "m", "b")
    caption = (ROOT / "workflow" / "report" / "diagnostics.rst").read_text()
    snakemake = {
        "wildcards": {"model": "m", "experiment": "e"},
        "params": {"rests_on": [line], "seeds": seeds},
    }
    text = jinja2.Template(caption, undefined=jinja2.StrictUndefined).render(snakemake=snakemake)
    assert f"\n- {line}\n" in text
    assert ("against" in text) is kind_named(kind).baseline
    assert ("One training" in text) is (len(seeds) == 1)
    assert all(f"diagnostics/e/m-{seed}.json" in text for seed in seeds)


def test_labels_of_what_has_a_unit_name_it():
    panels = [p for where in KINDS.values() for p in import_module(where).PANELS.values()]
    labels = [label for panel in panels for label in (panel.x_label, panel.y_label)]
    for words, unit in UNITS.items():
        found = [label for label in labels if words in label]
        assert found
        assert [label for label in found if f"({unit}" not in label] == []
