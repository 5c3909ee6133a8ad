"""The demo's test set: so many of each class, of the same survey, no object of bologna_ground."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from raw_samples import common, read_all

from lenshunt.config import BolognaDataset, ClassCounts, Demo
from lenshunt.scenes.demo import bologna, demo_files, demo_kinds, write_demo


def write(folder: Path, kind: str = "bologna_test", seed: int = 3, **demo: object) -> Path:
    """The folder of one kind of a small demo, written."""
    values = {"bologna_ground": 20, "bologna_test": {"lenses": 3, "nonlenses": 9}, **demo}
    asked = Demo(folder=str(folder), **values)
    files = demo_files(kind, asked)
    write_demo(kind=kind, demo=asked, seed=seed, out=files)
    return Path(files[0]).parent


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_reader_finds_as_many_of_each_class_as_were_asked_for(tmp_path):
    folder = write(tmp_path)
    dataset = BolognaDataset(
        reader="bologna", labels=str(folder / "classifications.csv"), variant="ground",
        images=str(folder / "Public"), label_source="sim:demo", held_out=True,
        **common("bologna_ground"),
    )  # fmt: skip
    read, rejected = read_all(dataset, tmp_path)
    labels = [cutout.metadata.label for cutout in read]
    assert (labels.count(1), labels.count(0), rejected) == (3, 9, [])
    # chunks are of neighbouring rows: the classes are mixed
    assert labels != sorted(labels)
    assert labels != sorted(labels, reverse=True)


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(tmp_path):
    first, again, other = (
        digests(write(tmp_path / name, seed=seed)) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again
    assert len(first) == 12 * 4 + 1
    images = [name for name in first if name.endswith(".fits")]
    assert not [name for name in images if first[name] == other.get(name)]


def test_no_object_is_one_of_bologna_ground(tmp_path):
    sets = [write(tmp_path, kind) for kind in ("bologna_ground", "bologna_test")]
    tables = [pd.read_csv(folder / "classifications.csv") for folder in sets]
    assert list(tables[0]) == list(tables[1])
    assert not {*tables[0]["ID"]} & {*tables[1]["ID"]}
    assert not {*tables[0]["Einstein_area"]} & {*tables[1]["Einstein_area"]} - {"0.00E+00"}
    images = [{*digests(folder / "Public").values()} for folder in sets]
    assert [len(found) for found in images] == [20 * 4, 12 * 4]
    assert not images[0] & images[1]


def test_the_population_is_that_of_bologna_ground(tmp_path):
    impostors = {"ring": 1.0}
    folder = write(tmp_path, bologna_test={"lenses": 1, "nonlenses": 1}, impostors=impostors)
    table = pd.read_csv(folder / "classifications.csv")
    streams = bologna._counted_objects(ClassCounts(lenses=1, nonlenses=1), 3)
    for (rng, label), row in zip(streams, table.itertuples(), strict=True):
        scene, images, _, mask = bologna.simulate_object(rng, label, impostors)
        assert scene.kind == ("lens" if row.is_lens else "ring")
        pixels = fits.getdata(folder / f"Public/Band2/imageSDSS_I-{row.ID}.fits")
        ratio = pixels[~mask] / images[1][~mask]
        assert np.ptp(ratio) < 1e-5 * ratio.mean()


def test_more_objects_of_a_class_leave_those_there_are_as_they_are(tmp_path):
    def images(**counts: int) -> set[str]:
        return {*digests(write(tmp_path / str(counts), bologna_test=counts) / "Public").values()}

    few, more = images(lenses=2, nonlenses=3), images(lenses=3, nonlenses=6)
    assert len(few) == 5 * 4
    assert few < more


def test_a_killed_run_has_no_table_and_the_next_one_is_whole(tmp_path, monkeypatch):
    whole = digests(write(tmp_path / "whole"))
    write(tmp_path / "killed", bologna_test={"lenses": 5, "nonlenses": 15})
    simulate, left = bologna.simulate_object, iter(range(4))

    def killed(*arguments: object) -> tuple:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return simulate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(bologna, "simulate_object", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "killed")
    folder = tmp_path / "killed" / "bologna_test"
    found = digests(folder)
    # neither the table nor images of the larger set before: nothing looks whole
    assert len(found) == 4 * 4
    assert "classifications.csv" not in found
    (folder / "Public/Band1/imageSDSS_R-1000019.fits.partial").write_bytes(b"half")
    write(tmp_path / "killed")
    assert digests(folder) == whole


def test_none_is_written_unless_it_is_asked_for(tmp_path):
    assert "bologna_test" not in demo_kinds(Demo())
    assert "bologna_test" in demo_kinds(Demo(bologna_test={"lenses": 1, "nonlenses": 1}))
    with pytest.raises(ValueError, match=r"demo\.bologna_test: none; say how many"):
        write(tmp_path, bologna_test=None)
