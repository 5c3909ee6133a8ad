"""Cross-validation folds: everybody is tested once, and nobody is on both sides of a fold."""

import numpy as np
import pandas as pd
import pytest
from dataset_samples import NAN, make_shards, record, split_table, write_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lenshunt.config import ConfigError, SplitConfig, check_config, parse_config
from lenshunt.dataset import (
    make_loader,
    make_splits,
    read_exclusions,
    read_table,
    with_fold,
    write_exclusions,
)
from lenshunt.dataset.folds import FOLD_COLUMNS, strictest
from lenshunt.dataset.same_object import sky_pairs

FIVE = range(5)


def crowded(n):
    """n objects, a third of them in pairs 1.5 arcsec apart, some systems seen twice."""
    rng = np.random.default_rng(5)
    records = []
    for i in range(n):
        ra, dec = rng.uniform(0, 2), rng.uniform(-1, 1)
        if i % 3 == 1:
            ra, dec = records[-1].ra, records[-1].dec + 1.5 / 3600
        system = f"system-{i - 7}" if i % 11 == 8 else f"system-{i}"
        records.append(record(i, ra=float(ra), dec=float(dec), system_id=system))
    return records


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Splits of a crowded sky, with five folds."""
    return split_table(tmp_path_factory.mktemp("folds"), crowded(900), folds=5)


def test_every_group_is_tested_exactly_once_and_validates_exactly_once(table):
    seen = pd.DataFrame({k: with_fold(table, k)["split"] for k in FIVE})
    assert ((seen == "test").sum(axis=1) == 1).all()
    assert (seen.isin(["val_select", "val_calibrate"]).sum(axis=1) == 1).all()
    assert ((seen == "train").sum(axis=1) == 3).all()


def test_no_group_system_or_neighbour_is_on_both_sides_of_a_fold(table):
    pairs = sky_pairs(table["ra"].to_numpy(), table["dec"].to_numpy(), 2.0)
    assert len(pairs) > 200
    for k in FIVE:
        fold = with_fold(table, k)
        for name in ("group", "system_id"):
            assert (fold.groupby(name)["split"].nunique() == 1).all()
        split = fold["split"].to_numpy()
        assert (split[pairs[:, 0]] == split[pairs[:, 1]]).all()


def test_sizes_and_label_fractions_hold_in_every_fold(tmp_path):
    table = split_table(tmp_path, [record(i) for i in range(1000)], folds=5)
    for k in FIVE:
        fold = with_fold(table, k)
        share = fold["split"].value_counts(normalize=True)
        for split, target in zip(
            ("train", "val_select", "val_calibrate", "test"), (0.6, 0.1, 0.1, 0.2), strict=True
        ):
            assert abs(share[split] - target) < 0.02
        lenses = (fold["label"] == 1).groupby(fold["split"]).mean()
        assert (abs(lenses - 0.25) < 0.02).all()


def test_folds_change_nothing_in_the_plain_splits(tmp_path):
    records = [record(i) for i in range(200)]
    plain = split_table(tmp_path / "a", records)
    folded = split_table(tmp_path / "b", records, folds=4)
    rest = [name for name in plain if name not in FOLD_COLUMNS]
    pd.testing.assert_frame_equal(plain[rest], folded[rest])
    assert (plain["fold"] == -1).all()
    assert set(folded["fold"]) == set(range(4))
    pd.testing.assert_frame_equal(with_fold(folded, None), folded)


def test_folds_do_not_depend_on_the_order_of_the_input(tmp_path):
    records = crowded(200)
    first = split_table(tmp_path / "a", records, folds=5).set_index("sample_id")
    again = split_table(tmp_path / "b", records[::-1], folds=5).set_index("sample_id")
    pd.testing.assert_frame_equal(first.sort_index(), again.sort_index())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(n=st.integers(1, 60), folds=st.integers(3, 7), lenses=st.integers(0, 60))
def test_any_size_and_any_number_of_folds_is_split_without_loss(tmp_path_factory, n, folds, lenses):
    records = [
        record(i, label=int(i < lenses), ra=NAN, dec=NAN, z_phot=-1.0 if i % 3 else 0.5)
        for i in range(n)
    ]
    table = split_table(tmp_path_factory.mktemp("any"), records, folds=folds)
    tested = sum((with_fold(table, k)["split"] == "test").astype(int) for k in range(folds))
    assert (tested == 1).all()
    sizes = table["fold"].value_counts().reindex(range(folds), fill_value=0)
    # Rounding is carried on within each label: at most one group per label and half.
    assert sizes.max() - sizes.min() <= 4


def test_a_searched_field_keeps_its_split(tmp_path):
    metadata = write_table(tmp_path / "m.parquet", [record(i) for i in range(9)])
    out = str(tmp_path / "s.parquet")
    make_splits(metadata=[metadata], config=SplitConfig(folds=5), seed=1, out=out, search=True)
    assert set(with_fold(pd.read_parquet(out), 3)["split"]) == {"search"}


def test_splits_without_that_fold_are_refused(tmp_path):
    plain = split_table(tmp_path, [record(i) for i in range(9)])
    with pytest.raises(ValueError, match=r"demo-0 was split into 0 folds; set splits\.folds"):
        with_fold(plain, 0)
    with pytest.raises(ValueError, match="hold no folds"):
        with_fold(plain.drop(columns=list(FOLD_COLUMNS)), 0)


@pytest.mark.slow
def test_the_loader_takes_the_splits_of_a_fold_from_the_same_shards(tmp_path):
    index = make_shards(tmp_path, [record(i) for i in range(60)], folds=5)
    splits = pd.read_parquet(tmp_path / "splits.parquet").set_index("sample_id")
    for k in (0, 4):
        for split in ("train", "val_select", "val_calibrate", "test"):
            wanted = with_fold(splits.reset_index(), k).query("split == @split")["sample_id"]
            table = read_table([index], [split], fold=k)
            assert set(table["sample_id"]) == set(wanted)
            for mode in ("memmap", "stream"):
                loader = make_loader(
                    indexes=[index], splits=[split], fold=k, batch_size=7, loader=mode
                )
                rows = np.concatenate([batch["row"].numpy() for batch in loader])
                assert set(loader.table["sample_id"].to_numpy()[rows]) == set(wanted)


def two_sets(tmp_path):
    """Splits with folds of two data sets that show the same 100 objects of the sky."""
    paths = {}
    for name in ("one", "two"):
        records = [
            record(i, name, ra=10.0 + i / 10, dec=0.0, system_id=f"{name}{i}") for i in range(100)
        ]
        metadata = write_table(tmp_path / f"{name}.parquet", records)
        paths[name] = str(tmp_path / f"{name}_splits.parquet")
        make_splits(
            metadata=[metadata], config=SplitConfig(folds=5), seed=len(paths), out=paths[name]
        )
    return paths


def exclusions(paths, tmp_path, folds):
    out = str(tmp_path / "exclusions.parquet")
    write_exclusions(
        splits=paths, train=["one"], evaluate=["two"], radius_arcsec=2.0, out=out, folds=folds
    )
    return read_exclusions(out)


def test_nobody_trains_on_what_the_same_fold_tests_in_another_data_set(tmp_path):
    paths = two_sets(tmp_path)
    lists = {}
    for k in FIVE:
        found = exclusions(paths, tmp_path, {"one": [k], "two": [k]})
        lists[k] = set(zip(found["dataset"], found["sample_id"], strict=True))
        tables = {n: with_fold(pd.read_parquet(p), k).assign(dataset=n) for n, p in paths.items()}
        both = pd.concat(tables.values(), ignore_index=True)
        listed = pd.MultiIndex.from_frame(both[["dataset", "sample_id"]]).isin(list(lists[k]))
        left = both[~listed]
        assert (left.groupby("ra")["split"].nunique() == 1).all()
    assert lists[0] != lists[1]


def test_a_pretraining_for_several_folds_sees_nothing_that_any_of_them_tests(tmp_path):
    paths = two_sets(tmp_path)
    found = exclusions(paths, tmp_path, {"two": [0, 1, 2, 3, 4]})
    # Every object of `two` is tested by one of the folds: training on its twins is out.
    kept = pd.read_parquet(paths["one"]).query("split != 'test'")["sample_id"]
    assert set(kept) <= set(found.loc[found["dataset"] == "one", "sample_id"])
    table = pd.read_parquet(paths["two"])
    ranked = strictest(table, [0, 1])
    assert (ranked["split"] == "test").sum() == table["fold"].isin([0, 1]).sum()


def test_a_fold_that_is_not_made_is_refused_by_key(demo_values):
    demo_values["experiments"]["ground"]["fold"] = 2
    with pytest.raises(ConfigError, match=r"experiments\.ground\.fold: fold 2 needs splits\.folds"):
        check_config(parse_config(demo_values), {})
    demo_values["splits"] = {"folds": 3}
    check_config(parse_config(demo_values), {})
    demo_values["experiments"]["ground"]["fold"] = 3
    with pytest.raises(ConfigError, match=r"splits\.folds > 3 \(found 3\)"):
        check_config(parse_config(demo_values), {})


def test_a_matching_names_data_sets_of_its_experiment(demo_values):
    match = {"negatives": ["castles"], "hosts": ["sdss"]}
    demo_values["experiments"]["space"]["match_negatives"] = match
    with pytest.raises(ConfigError) as refused:
        check_config(parse_config(demo_values), {})
    text = str(refused.value)
    assert "match_negatives.hosts: sdss is not among the data sets" in text
    assert "match_negatives.negatives: castles holds lenses only" in text
    match |= {"negatives": ["relics"], "hosts": ["castles"]}
    check_config(parse_config(demo_values), {})


@pytest.fixture
def demo_values():
    """The demo configuration as plain values."""
    import yaml

    from lenshunt.core import ROOT

    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
