"""Partial reruns: exactly what depends on a change runs again, and nothing else."""

import json
import os
import re

import pytest
import yaml
from golden import differences, golden_numbers

from lenshunt.core import ROOT

TINY = ("--configfile", "tiny.yaml")

#: Jobs downstream of one data set of experiment `space` (one model, one chunk).
DOWNSTREAM_OF_CASTLES = {
    "manifest": 1,
    "records": 1,
    "rejected": 1,
    "psf_kernels": 1,
    "homogenise": 1,
    "psf_figure": 1,
    "sample_gallery": 1,
    "splits": 1,
    "shards": 1,
    "exclusions": 1,
    "train": 1,
    "predict": 1,
    "calibrate": 1,
    "fuse": 1,
    "metrics": 1,
    "model_sizes": 1,
    "costs": 1,
    "evaluation_figure": 6,
    "training_curves": 1,
    "split_figure": 1,
    "label_sources": 1,
    "provenance": 1,
    "summary": 1,
}


def castles_files(root):
    return sorted((root / "results/demo/castles/images").glob("*.fits"))


def test_a_run_ends_with_report_and_summary(tiny_run):
    report = (tiny_run.root / "results/report.html").read_text()
    assert "Lens Finding Challenge" in report
    summary = (tiny_run.root / "results/summary.md").read_text()
    for heading in ("## Data", "## PSF matching", "## Metrics: ground", "## Calibration"):
        assert heading in summary
    assert re.search(r"\| bologna_ground \| bologna \| 80 \|", summary)


def test_a_run_gives_its_golden_numbers(tiny_run):
    golden = json.loads((ROOT / "tests/golden/tiny.json").read_text())
    found = golden_numbers(tiny_run.root / "results")
    # two epochs of a tiny network, tested on a dozen objects, of which rounding may swap two
    assert differences(found, golden, metrics_within=0.1) == []


@pytest.mark.skipif(not (ROOT / "results/summary.md").exists(), reason="no demo: make run")
def test_the_demo_gives_its_golden_numbers():
    golden = json.loads((ROOT / "tests/golden/demo.json").read_text())
    assert differences(golden_numbers(ROOT / "results"), golden, metrics_within=0.02) == []


def test_every_figure_is_there_as_pdf_and_png(tiny_run):
    figures = sorted((tiny_run.root / "results/figures").rglob("*.png"))
    assert len(figures) >= 15
    for path in figures:
        assert path.stat().st_size > 5000, path
        assert path.with_suffix(".pdf").exists()


def test_a_second_run_has_nothing_to_do(tiny_run):
    again = tiny_run.dry_run(*TINY)
    assert again.jobs == {}
    assert "Nothing to be done" in again.text


def test_touched_raw_files_run_nothing(tiny_run):
    for path in [*castles_files(tiny_run.root), tiny_run.root / "results/demo/castles/castles.tsv"]:
        os.utime(path)
    assert tiny_run.dry_run(*TINY).jobs == {}


def test_a_replaced_castles_file_runs_exactly_what_is_downstream(tiny_run):
    first, second = castles_files(tiny_run.root)[:2]
    kept = first.read_bytes()
    try:
        first.write_bytes(second.read_bytes())
        plan = tiny_run.dry_run(*TINY)
    finally:
        first.write_bytes(kept)
    assert plan.jobs == DOWNSTREAM_OF_CASTLES
    others = r"galaxiesml|bologna|sdss|relics|ground"
    assert [message for message in plan.messages if re.search(others, message)] == []
    assert tiny_run.dry_run(*TINY).jobs == {}


@pytest.fixture
def changed_code(tiny_run):
    """Change a file of the library in the copy, see what would run, and take it back."""
    kept = {}

    def change(name: str, old: str = "", new: str = "\nNEW = 1\n") -> dict[str, int]:
        path = tiny_run.root / "workflow/lenshunt" / name
        text = kept.setdefault(path, path.read_text())
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text + new)
        return tiny_run.dry_run(*TINY).jobs

    yield change
    for path, text in kept.items():
        path.write_text(text)


@pytest.mark.parametrize("name", ["scenes/demo/castles.py", "training/train.py", "core/logs.py"])
def test_a_comment_runs_nothing(changed_code, name):
    assert changed_code(name, new="\n# a comment\n") == {}


def test_a_reworded_docstring_runs_nothing(changed_code):
    assert changed_code("images/psf.py", '"""', '"""In other words: ') == {}


def test_a_comment_in_a_script_runs_nothing(changed_code):
    assert changed_code("../scripts/train.py", new="\n# a comment\n") == {}


def test_a_fresh_copy_of_the_code_runs_nothing(tiny_run):
    for path in [*(tiny_run.root / "workflow").rglob("*.py"), tiny_run.root / "Snakefile"]:
        os.utime(path)
    assert tiny_run.dry_run(*TINY).jobs == {}


def test_a_change_in_the_demo_s_castles_runs_what_is_downstream_of_castles(changed_code):
    assert changed_code("scenes/demo/castles.py") == {"demo_castles": 1, **DOWNSTREAM_OF_CASTLES}


def test_a_change_in_a_network_that_nobody_trains_runs_nothing(changed_code):
    assert changed_code("models/gat_lens.py") == {}


def test_a_change_in_a_network_trains_it_again_and_reads_nothing(changed_code):
    jobs = changed_code("models/resnet.py")
    assert jobs["train"] == jobs["predict"] == 2
    assert {"pretrain", "model_sizes", "metrics", "summary"} <= set(jobs)
    assert not {"demo_castles", "records", "homogenise", "splits", "shards"} & set(jobs)


def test_a_change_in_roc_draws_roc_alone(changed_code):
    assert changed_code("reporting/figures/roc.py") == {"evaluation_figure": 2}


def test_a_change_in_the_style_of_figures_draws_again_and_trains_nothing(changed_code):
    jobs = changed_code("reporting/figures/style.py")
    assert {"psf_figure", "evaluation_figure", "training_curves", "overlay"} <= set(jobs)
    assert not {"records", "homogenise", "shards", "pretrain", "train", "predict"} & set(jobs)


def test_a_change_in_augmentation_trains_again_and_reads_nothing(changed_code):
    jobs = changed_code("training/augment.py")
    assert jobs["train"] == 2
    assert {"pretrain", "predict", "metrics", "summary"} <= set(jobs)
    assert not {"demo_castles", "records", "homogenise", "splits", "shards"} & set(jobs)


def test_a_change_in_one_reader_reads_its_data_sets_alone(changed_code):
    jobs = changed_code("readers/castles.py")
    assert jobs["records"] == 1
    assert not {name for name in jobs if name.startswith("demo_")}


def test_a_change_in_the_sky_of_the_demo_makes_it_again_and_all_that_is_made_from_it(changed_code):
    jobs = changed_code("scenes/canvas.py")
    assert {"demo_castles", "manifest", "records", "shards", "train", "metrics"} <= set(jobs)


@pytest.fixture
def changed_model(tiny_run):
    """Change keys of the model's file in the copy, and take them back."""
    path = tiny_run.root / "config/models/tiny.yaml"
    kept = path.read_text()

    def change(**values):
        path.write_text(yaml.safe_dump(yaml.safe_load(kept) | values))
        return tiny_run.dry_run(*TINY)

    yield change
    path.write_text(kept)


def test_a_reworded_model_is_not_trained_again(changed_model):
    # the words are written down with the rest of the configuration, and nothing else is done
    jobs = changed_model(description="The smallest residual network.").jobs
    assert set(jobs) == {"provenance", "summary"}


def test_a_change_of_how_a_model_is_trained_leaves_its_pretraining_alone(changed_model):
    jobs = changed_model(training={"weight_decay": 0.1}).jobs
    assert jobs["train"] == 2
    assert "pretrain" not in jobs
