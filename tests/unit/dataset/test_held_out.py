"""A data set held out for the test is of split test alone, and its objects train nobody."""

import numpy as np
import pandas as pd
import pytest
from dataset_samples import make_shards, record, split_table, write_table

from lenshunt.config import SplitConfig
from lenshunt.dataset import (
    balance_table,
    make_splits,
    read_exclusions,
    read_table,
    with_fold,
    write_exclusions,
)
from lenshunt.dataset.folds import strictest
from lenshunt.reporting.figures.splits import draw_split_balance

SECOND = 1 / 3600


def held_out(path, records, seed=1, **config):
    """(splits of these records, all for the test; their file; the metadata)."""
    metadata = write_table(path / "held_metadata.parquet", records)
    out = str(path / "held_splits.parquet")
    config = SplitConfig(**config)
    make_splits(metadata=[metadata], config=config, seed=seed, out=out, held_out=True)
    return pd.read_parquet(out), out, metadata


def test_everybody_is_tested_in_plain_splits_and_in_every_fold(tmp_path):
    records = [record(i) for i in range(40)]
    plain, *_ = held_out(tmp_path / "a", records)
    folded, *_ = held_out(tmp_path / "b", records, folds=5)
    assert set(plain["split"]) == set(folded["split"]) == {"test"}
    for k in range(5):
        pd.testing.assert_frame_equal(with_fold(folded, k), folded)
    assert set(strictest(folded, [None, 0, 4])["split"]) == {"test"}
    with pytest.raises(ValueError, match=r"split into 0 folds; set splits\.folds"):
        with_fold(plain, 0)
    with pytest.raises(ValueError, match="split into 5 folds"):
        with_fold(folded, 5)


def test_the_columns_and_groups_are_those_of_any_other_splits(tmp_path):
    records = [record(i, system_id=f"system-{i // 2}") for i in range(30)]
    table, *_ = held_out(tmp_path, records, folds=3)
    usual = split_table(tmp_path, records, folds=3)
    pd.testing.assert_series_equal(table.dtypes, usual.dtypes)
    same = ["sample_id", "system_id", "group", "label", "ra", "dec"]
    pd.testing.assert_frame_equal(table[same], usual[same])


def test_the_loader_finds_them_in_the_test_split_of_every_fold_alone(tmp_path):
    records = [record(i) for i in range(24)]
    index = make_shards(tmp_path, records, folds=4, held_out=True)
    everybody = {one.sample_id for one in records}
    for fold in (None, 0, 3):
        assert set(read_table([index], ["test"], fold=fold)["sample_id"]) == everybody
        assert read_table([index], ["train", "val_select", "val_calibrate"], fold=fold).empty


def meeting_sets(folder, folds):
    """Splits of a survey that trains, and of a test set with twins of its objects.

    Of the survey's 60 objects the first 20 lie 1 arcsec from one of the test set, the next 20
    are of the same system without a position near it, and the last 20 are strangers.
    """
    survey = [record(i, "survey", ra=10 + i / 10, dec=0.0, system_id=f"s{i}") for i in range(60)]
    near = [
        record(i, "test_set", ra=10 + i / 10 + SECOND, dec=0.0, system_id=f"t{i}")
        for i in range(20)
    ]
    alike = [
        record(i, "test_set", ra=200 + i / 10, dec=0.0, system_id=f"s{i}") for i in range(20, 40)
    ]
    metadata = write_table(folder / "survey.parquet", survey)
    paths = {"survey": str(folder / "survey_splits.parquet")}
    make_splits(metadata=[metadata], config=SplitConfig(folds=folds), seed=1, out=paths["survey"])
    _, paths["test_set"], _ = held_out(folder, near + alike, folds=folds)
    return paths


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3, 4])
def test_the_copy_elsewhere_stays_out_and_the_test_object_is_scored(tmp_path, fold):
    paths = meeting_sets(tmp_path, 5)
    out = str(tmp_path / "exclusions.parquet")
    write_exclusions(
        splits=paths,
        train=["survey"],
        evaluate=["survey", "test_set"],
        radius_arcsec=2.0,
        out=out,
        folds={"survey": [fold], "test_set": [fold]},
        labelled=["survey", "test_set"],
    )
    found = read_exclusions(out)
    survey = with_fold(pd.read_parquet(paths["survey"]), fold)
    twins = survey["sample_id"].isin([f"survey-{i}" for i in range(40)])
    wanted = set(survey["sample_id"][twins & (survey["split"] != "test")])
    assert len(wanted) > 20
    assert set(found["sample_id"]) == wanted
    assert set(found["dataset"]) == {"survey"}
    assert set(found["other_dataset"]) == {"test_set"}
    assert set(found["reason"]) == {"same object in split test"}


def test_a_pretraining_leaves_out_galaxies_of_the_test_set(tmp_path):
    paths = meeting_sets(tmp_path, 5)
    out = str(tmp_path / "exclusions.parquet")
    folds = {"test_set": [None, 0, 3]}
    write_exclusions(
        splits=paths, train=["survey"], evaluate=["test_set"], radius_arcsec=2.0, out=out,
        folds=folds,
    )  # fmt: skip
    plain = pd.read_parquet(paths["survey"]).query("split != 'test'")["sample_id"]
    twins = {name for name in plain if int(name.split("-")[1]) < 40}
    assert set(read_exclusions(out)["sample_id"]) == twins


def test_its_one_split_holds_the_share_that_is_asked_for(tmp_path):
    _, path, metadata = held_out(tmp_path, [record(i) for i in range(50)])
    table = balance_table(splits=path, metadata=[metadata])
    size = table[table["factor"] == "split"]
    assert size["split"].tolist() == ["test"]
    assert size[["fraction", "fraction_all", "deviation"]].to_numpy().tolist() == [[1.0, 1.0, 0.0]]
    assert np.abs(table["deviation"]).max() == 0.0


@pytest.mark.slow
def test_the_figure_shows_the_others_and_the_table_shows_it_too(tmp_path):
    metadata = write_table(tmp_path / "m.parquet", [record(i) for i in range(200)])
    out = str(tmp_path / "s.parquet")
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=out)
    _, path, own = held_out(tmp_path, [record(i, "test_set") for i in range(50)])
    sets = {"survey": (out, [metadata]), "test_set": (path, [own])}
    figures = {}
    shown = {"both": ["survey", "test_set"], "one": ["survey"], "none": ["test_set"]}
    for name, names in shown.items():
        used = {key: sets[key] for key in names}
        folder = tmp_path / name
        draw_split_balance(splits=used, out=str(folder / "f.pdf"), table=str(folder / "t.csv"))
        figures[name] = (folder / "f.pdf").read_bytes()
        assert set(pd.read_csv(folder / "t.csv")["dataset"]) == set(used)
    assert figures["both"] == figures["one"] != figures["none"]
