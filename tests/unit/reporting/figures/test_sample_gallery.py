"""Galleries of random objects: same seed same objects, classes kept apart, a missing class said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import metadata_table, written

from lenshunt.images import CutoutFile
from lenshunt.reporting.figures.sample_gallery import (
    draw_sample_gallery,
    known_facts,
    random_objects,
)


def chunk(folder: Path, table: pd.DataFrame, name: str) -> tuple[str, str]:
    """16-bit cutouts of noise around a blob, and their metadata."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-12:12, -12:12]
    image = rng.normal(0, 1, (len(table), 5, 24, 24)) + 40 * np.exp(-(x**2 + y**2) / 20)
    with CutoutFile(folder / f"{name}.tif", np.ones((len(table), 5), bool), 24) as file:
        file.write(np.arange(len(table)), image.astype(np.float32), np.ones(image.shape, "f4"))
    return str(folder / f"{name}.tif"), written(table, folder, name)


def drawn(folder: Path, table: pd.DataFrame, each: int = 3) -> Path:
    out = folder / "gallery.pdf"
    draw_sample_gallery(
        cutouts=[chunk(folder, table, "chunk")], each=each, seed=1, title="a set", out=str(out)
    )
    return out


def test_as_many_of_each_class_as_asked_for_are_chosen():
    table = metadata_table(100, lens_fraction=0.3)
    for label, total in ((1, 30), (0, 70)):
        group = random_objects(table, label, 10, seed=1)
        assert len(group.rows) == 10
        assert set(group.rows["label"]) == {label}
        assert group.total == total


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_the_objects():
    table = metadata_table(100)
    chosen = list(random_objects(table, 1, 10, seed=1).rows["sample_id"])
    mixed = table.sample(frac=1.0, random_state=3).reset_index(drop=True)
    assert list(random_objects(mixed, 1, 10, seed=1).rows["sample_id"]) == chosen
    assert list(random_objects(table, 1, 10, seed=2).rows["sample_id"]) != chosen


def test_every_object_is_chosen_equally_often():
    table = metadata_table(40)
    lenses = table.loc[table["label"] == 1, "sample_id"]
    counts = pd.Series(0, index=lenses)
    for seed in range(400):
        counts[random_objects(table, 1, 5, seed).rows["sample_id"]] += 1
    # binomial, 400 draws of 5 in 20: 100 +- 8.7
    assert counts.between(100 - 5 * 8.7, 100 + 5 * 8.7).all()
    assert counts.sum() == 2000


@pytest.mark.parametrize(
    ("lenses", "each", "heading"),
    [
        (0.0, 4, "no lenses in this data set"),
        (0.05, 4, "the only lens"),
        (0.1, 4, "all 2 lenses"),
        (0.5, 4, "4 of 10 lenses, drawn at random"),
    ],
)
def test_the_heading_says_how_many_there_are(lenses, each, heading):
    assert random_objects(metadata_table(20, lens_fraction=lenses), 1, each, 1).heading == heading


@pytest.mark.parametrize("lens_fraction", [0.0, 0.1, 0.5, 1.0])
def test_a_gallery_of_any_mixture_is_drawn(lens_fraction, tmp_path):
    out = drawn(tmp_path, metadata_table(20, lens_fraction=lens_fraction))
    for path in (out, out.with_suffix(".png")):
        assert path.stat().st_size > 5000


def test_a_set_without_labels_is_drawn_as_such(tmp_path):
    out = drawn(tmp_path, metadata_table(5, source="unlabelled"))
    assert out.with_suffix(".png").stat().st_size > 2000


@pytest.mark.slow
def test_the_same_gallery_is_the_same_file_however_the_set_is_cut(tmp_path):
    table = metadata_table(20)
    image = []
    for name, parts in (("one", [table]), ("two", [table[:10], table[10:]])):
        folder = tmp_path / name
        folder.mkdir()
        files = [chunk(folder, part, str(k)) for k, part in enumerate(parts)]
        names = [random_objects(pd.concat(parts), label, 3, 1).rows for label in (0, 1)]
        image.append(pd.concat(names)["sample_id"].tolist())
        for again in ("a", "b"):
            out = str(folder / f"{again}.pdf")
            draw_sample_gallery(cutouts=files, each=3, seed=1, title="a set", out=out)
        assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    assert image[0] == image[1]


def test_what_is_known_of_the_arcs_is_written_and_nothing_else():
    row = pd.Series({"einstein_radius": 1.234, "flux_ratio": 0.0512, "arc_snr": 21.7})
    assert known_facts(row) == '1.23", f = 0.051, S/N 22'
    assert known_facts(row.where(row.index != "flux_ratio")) == '1.23", S/N 22'
    assert known_facts(row * np.nan) == ""
