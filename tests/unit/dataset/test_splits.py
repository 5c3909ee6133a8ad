"""Splits keep objects together, keep their promises on ratios and stay where they are."""

import itertools

import numpy as np
import pandas as pd
import pytest
from dataset_samples import NAN, record, split_table, write_table

from lenshunt.config import SplitConfig
from lenshunt.dataset import balance_table, make_splits
from lenshunt.dataset.factors import FACTORS, factor_table
from lenshunt.dataset.same_object import same_object, sky_pairs
from lenshunt.dataset.splits import LEARNING_SPLITS, SPLIT_COLUMNS, merge_rare_strata
from lenshunt.schema.metadata import table_from_records


def crowded_sky(n: int) -> list:
    """n objects, a third of them in chains 1.5 arcsec apart, some systems seen twice."""
    rng = np.random.default_rng(5)
    records = []
    for i in range(n):
        ra, dec = rng.uniform(0, 2), rng.uniform(-1, 1)
        if i % 3 == 1:
            ra, dec = records[-1].ra, records[-1].dec + 1.5 / 3600
        system = f"system-{i - 7}" if i % 11 == 8 else f"system-{i}"
        records.append(record(i, ra=float(ra), dec=float(dec), system_id=system))
    return records


def test_no_system_and_no_neighbours_are_shared_between_splits(tmp_path):
    table = split_table(tmp_path, crowded_sky(900))
    assert (table.groupby("system_id")["split"].nunique() == 1).all()
    assert (table.groupby("group")["split"].nunique() == 1).all()
    pairs = sky_pairs(table["ra"].to_numpy(), table["dec"].to_numpy(), 2.0)
    assert len(pairs) > 200
    split = table["split"].to_numpy()
    assert (split[pairs[:, 0]] == split[pairs[:, 1]]).all()


def test_ratios_and_label_fractions_are_kept_within_two_percent_from_500_groups_on(tmp_path):
    for n, part in ((500, "a"), (2000, "b")):
        table = split_table(tmp_path / part, [record(i) for i in range(n)])
        share = table["split"].value_counts(normalize=True)
        for split, target in zip(LEARNING_SPLITS, (0.7, 0.075, 0.075, 0.15), strict=True):
            assert abs(share[split] - target) < 0.02
        lenses = table.assign(lens=table["label"] == 1).groupby("split")["lens"].mean()
        assert (abs(lenses - 0.25) < 0.02).all()


def test_every_factor_is_balanced_not_only_the_label(tmp_path):
    records = [record(i) for i in range(4000)]
    split_table(tmp_path, records)
    table = balance_table(
        splits=str(tmp_path / "splits.parquet"), metadata=[str(tmp_path / "metadata.parquet")]
    )
    large = table[table["split"].isin(["train", "test"]) & (table["factor"] != "split")]
    assert set(large["factor"]) == set(FACTORS)
    assert (large["deviation"].abs() < 0.03).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 19, 40])
def test_tiny_data_sets_are_split_without_loss(tmp_path, n):
    table = split_table(tmp_path, [record(i) for i in range(n)])
    assert list(table.columns) == list(SPLIT_COLUMNS)
    assert len(table) == n
    assert table["split"].isin(LEARNING_SPLITS).all()
    assert (table["split"] == "train").sum() >= n // 2


def test_one_class_and_missing_factors_are_no_obstacle(tmp_path):
    empty = {"z_phot": -1.0, "seeing": NAN, "psf_fwhm": NAN, "magnitude": (NAN,) * 5}
    table = split_table(tmp_path, [record(i, label=1, **empty) for i in range(100)])
    assert table["split"].value_counts()["train"] == 70
    assert table["stratum"].nunique() == 1


def test_strata_of_one_are_merged_and_label_is_never_given_up():
    records = [record(i, survey=f"survey{i % 50}") for i in range(400)]
    strata = merge_rare_strata(factor_table(table_from_records(records)), 20)
    sizes = strata.value_counts()
    left_over = sizes[sizes < 20]
    assert len(left_over) <= 2
    assert all(
        name.startswith("pixel_scale=*|psf_fwhm=*|seeing=*|survey=*|redshift=*|magnitude=*")
        for name in left_over.index
    )
    assert strata.str.contains(r"label=[01]$").all()


def test_a_rare_class_is_spread_over_the_splits(tmp_path):
    records = [record(i, label=int(i < 20)) for i in range(1000)]
    table = split_table(tmp_path, records)
    assert table[table["label"] == 1]["split"].value_counts().to_dict() == {
        "train": 14,
        "test": 3,
        "val_select": 2,
        "val_calibrate": 1,
    }


def test_splits_do_not_depend_on_the_order_or_the_chunks_of_the_input(tmp_path):
    records = crowded_sky(200)
    whole = split_table(tmp_path, records).set_index("sample_id")["split"]
    chunks = [
        write_table(tmp_path / f"chunk{i}.parquet", part)
        for i, part in enumerate((records[120:], records[:120]))
    ]
    out = tmp_path / "chunked.parquet"
    make_splits(metadata=chunks, config=SplitConfig(), seed=1, out=str(out))
    again = pd.read_parquet(out).set_index("sample_id")["split"]
    pd.testing.assert_series_equal(whole.sort_index(), again.sort_index())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_split(tmp_path):
    records = [record(i) for i in range(300)]
    split_table(tmp_path / "a", records)
    split_table(tmp_path / "b", records)
    other = split_table(tmp_path / "c", records, seed=2)
    first = (tmp_path / "a/splits.parquet").read_bytes()
    assert first == (tmp_path / "b/splits.parquet").read_bytes()
    moved = (other["split"] != pd.read_parquet(tmp_path / "a/splits.parquet")["split"]).mean()
    assert moved > 0.3


def test_few_objects_move_when_one_is_added(tmp_path):
    records = [record(i) for i in range(1001)]
    before = split_table(tmp_path / "a", records[:1000]).set_index("sample_id")["split"]
    after = split_table(tmp_path / "b", records).set_index("sample_id")["split"]
    assert (before != after.loc[before.index]).mean() < 0.1


def test_a_field_to_be_searched_has_one_split(tmp_path):
    metadata = write_table(
        tmp_path / "m.parquet", [record(i, label=-1, label_source="unlabelled") for i in range(9)]
    )
    out = tmp_path / "s.parquet"
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=str(out), search=True)
    assert set(pd.read_parquet(out)["split"]) == {"search"}


def test_a_sample_that_occurs_twice_is_named(tmp_path):
    chunks = [write_table(tmp_path / f"{i}.parquet", [record(3)]) for i in range(2)]
    with pytest.raises(ValueError, match=r"0\.parquet, .*1\.parquet: sample demo-3 occurs twice"):
        make_splits(metadata=chunks, config=SplitConfig(), seed=1, out=str(tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_objects_that_share_a_position_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="30 of the 30 objects .* so in one split; see that ra"):
        table = split_table(tmp_path, [record(i, ra=0.0, dec=0.0) for i in range(30)])
    assert table["split"].nunique() == 1


def test_neighbours_are_found_across_ra_zero_and_at_the_pole():
    second = 1 / 3600
    ra = np.array([0.2 * second, 360 - 0.2 * second, 10.0, 190.0, NAN, NAN])
    dec = np.array([0.0, 0.0, 90 - 0.5 * second, 90 - 0.5 * second, 0.0, 0.0])
    pairs = {tuple(sorted(pair)) for pair in sky_pairs(ra, dec, 2.0).tolist()}
    assert pairs == {(0, 1), (2, 3)}


def test_objects_within_exactly_the_radius_match_and_beyond_it_do_not():
    for distance, expected in ((1.999, 1), (2.001, 0)):
        dec = np.array([30.0, 30.0 + distance / 3600])
        assert len(sky_pairs(np.array([150.0, 150.0]), dec, 2.0)) == expected


def test_grouping_is_transitive_and_equals_a_search_over_all_pairs():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 20 / 3600, (2, 60))
    system = pd.Series([f"s{i % 50}" for i in range(60)])
    found = same_object(system, ra, dec, 2.0)
    group = list(range(60))
    for i, j in itertools.combinations(range(60), 2):
        if system[i] == system[j] or np.hypot(ra[i] - ra[j], dec[i] - dec[j]) * 3600 <= 2.0:
            old, new = group[j], group[i]
            group = [new if g == old else g for g in group]
    assert len(set(zip(found.tolist(), group, strict=True))) == len(set(group)) == found.max() + 1


def test_bins_follow_the_stated_edges():
    records = [
        record(0, z_spec=0.2, z_phot=0.9, seeing=0.8, psf_fwhm=0.59, pixel_scale=0.3),
        record(1, z_phot=-1.0, seeing=1.2, psf_fwhm=1.0, pixel_scale=0.05),
    ]
    table = factor_table(table_from_records(records))
    assert table["redshift"].tolist() == ["0.2-0.4", "none"]
    assert table["seeing"].tolist() == ["0.8-1.2", ">=1.2"]
    assert table["psf_fwhm"].tolist() == ["<0.6", ">=1"]
    assert table["pixel_scale"].tolist() == [">=0.3", "<0.1"]
