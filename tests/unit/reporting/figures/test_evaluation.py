"""Gallery and label-source figures, also of empty sets; the same figure is the same file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import metadata_table, prediction_table, written

import lenshunt.reporting.figures.gallery as gallery
from lenshunt.evaluation import calibrate
from lenshunt.images import CutoutFile
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.gallery import asinh_rgb, chosen_objects, draw_gallery
from lenshunt.reporting.figures.label_sources import count_labels, draw_label_sources
from lenshunt.reporting.figures.roc import draw_roc
from lenshunt.schema import COLUMNS


def calibrated(table: pd.DataFrame, folder: Path) -> str:
    out = folder / "calibrated.parquet"
    calibrate(
        predictions=written(table, folder), out=str(out), parameters=str(folder / "parameters.json")
    )
    return str(out)


def assert_drawn(out: Path) -> None:
    for path in (out, out.with_suffix(".png")):
        assert path.stat().st_size > 2000


@pytest.mark.slow
def test_the_same_figure_is_the_same_file(tmp_path):
    path = calibrated(prediction_table(80), tmp_path)
    evaluated = Evaluated(predictions={"resnet18 0": path}, metrics_csv="", cutouts=(), title="")
    for name in ("a.pdf", "b.pdf"):
        draw_roc(evaluated, out=str(tmp_path / name))
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_labels_are_counted_by_source(tmp_path):
    tables = {
        "bologna": [written(metadata_table(10, dataset="bologna"), tmp_path, "b")],
        "field": [written(metadata_table(5, dataset="f", source="unlabelled"), tmp_path, "f")],
    }
    counts = count_labels(tables)
    assert counts["n"].tolist() == [5, 5, 5]
    assert counts["label"].tolist() == [1, 0, -1]
    draw_label_sources(tables=tables, out=str(tmp_path / "sources.pdf"))
    assert_drawn(tmp_path / "sources.pdf")


def test_label_sources_of_nothing_are_drawn_too(tmp_path):
    draw_label_sources(tables={}, out=str(tmp_path / "sources.pdf"))
    assert_drawn(tmp_path / "sources.pdf")


def test_galleries_choose_what_their_name_says(tmp_path):
    path = calibrated(prediction_table(400), tmp_path)
    table = pd.read_parquet(path)
    test = table[table["split"] == "test"]
    wrong = chosen_objects(path, "false_positives", 5)
    missed = chosen_objects(path, "missed_lenses", 5)
    assert set(wrong["label"]) == {0}
    assert wrong["logit"].iloc[0] == test.loc[test["label"] == 0, "logit"].max()
    assert set(missed["label"]) == {1}
    assert missed["logit"].iloc[0] == test.loc[test["label"] == 1, "logit"].min()


@pytest.fixture
def fake_cutouts(monkeypatch):
    """Stands in for the 16-bit files: a bright disc per object of the metadata table."""

    def read(tiff, metadata, batch=256):
        table = pd.read_parquet(metadata)
        y, x = np.mgrid[-8:8, -8:8]
        image = np.broadcast_to(100.0 * np.exp(-(y**2 + x**2) / 8), (len(table), 5, 16, 16))
        yield image.astype(np.float32), np.ones((len(table), 5, 16, 16), np.float32), table

    monkeypatch.setattr(gallery, "read_cutouts", read)


@pytest.mark.parametrize("kind", ["candidates", "false_positives", "missed_lenses"])
def test_a_gallery_of_each_kind_is_drawn(kind, tmp_path, fake_cutouts):
    search = prediction_table(9, dataset="field", source="unlabelled", split="search")
    table = pd.concat([prediction_table(200), search], ignore_index=True)
    path = calibrated(table, tmp_path)
    chunk = written(table[list(COLUMNS)], tmp_path, "chunk")
    draw_gallery(
        predictions=path,
        cutouts=[("chunk.tif", chunk)],
        title="Gallery",
        out=str(tmp_path / "gallery.pdf"),
        kind=kind,
        top=8,
    )
    assert_drawn(tmp_path / "gallery.pdf")


def test_a_gallery_is_drawn_from_16_bit_files(tmp_path):
    table = prediction_table(40)
    chunk = written(table[list(COLUMNS)], tmp_path, "chunk")
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (40, 5, 16, 16)).astype(np.float32)
    with CutoutFile(tmp_path / "chunk.tif", np.ones((40, 5), bool), 16) as file:
        file.write(np.arange(40), image, np.ones_like(image))
    draw_gallery(
        predictions=calibrated(table, tmp_path),
        cutouts=[(str(tmp_path / "chunk.tif"), chunk)],
        title="lowest-scoring lenses",
        out=str(tmp_path / "gallery.pdf"),
        kind="missed_lenses",
        top=3,
    )
    assert_drawn(tmp_path / "gallery.pdf")


def test_an_empty_gallery_says_so(tmp_path, fake_cutouts):
    path = calibrated(prediction_table(8, split="train"), tmp_path)
    out = tmp_path / "gallery.pdf"
    draw_gallery(predictions=path, cutouts=[], title="None", out=str(out), kind="missed_lenses")
    assert_drawn(out)


def test_an_object_without_a_cutout_is_an_error_naming_it(tmp_path, fake_cutouts):
    path = calibrated(prediction_table(80), tmp_path)
    with pytest.raises(ValueError, match="demo-"):
        draw_gallery(
            predictions=path,
            cutouts=[],
            title="None",
            out=str(tmp_path / "gallery.pdf"),
            kind="false_positives",
        )


def test_colour_is_kept_at_every_brightness_below_white():
    y, x = np.mgrid[-16:17, -16:17]
    profile = np.exp(-(y**2 + x**2) / 40)
    image = np.stack([f * profile for f in (0.5, 1.0, 2.0, 2.0, 2.0)]).astype(np.float32) * 50
    rgb = asinh_rgb(image, np.ones_like(image)) - 0.08
    core = rgb[16, 16:22]
    ratio = core[:, 0] / core[:, 2]
    assert ratio[1:] == pytest.approx(ratio[1], rel=0.1)
    assert rgb.min() >= -0.0801
    assert rgb.max() <= 0.9201


def test_masked_pixels_and_a_cutout_without_bands_are_drawn():
    image = np.zeros((5, 8, 8), np.float32)
    variance = np.full_like(image, np.inf)
    assert asinh_rgb(image, variance).shape == (8, 8, 3)
    variance[2, :4] = 1.0
    assert np.isfinite(asinh_rgb(image, variance)).all()
