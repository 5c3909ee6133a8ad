"""Splits of 100,000 awkward objects: no leak, exact fractions, stable under additions."""

import numpy as np
import pandas as pd
import pytest
from splits import TARGETS, awkward_table, leaks, made, moved

from lenshunt.dataset import LEARNING_SPLITS, balance_table, with_fold
from lenshunt.dataset.same_object import sky_pairs

pytestmark = pytest.mark.slow

N = 100_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder, metadata and splits (with five folds) of the large table."""
    folder = tmp_path_factory.mktemp("large")
    table = awkward_table(N)
    return folder, table, made(table, folder, "whole", folds=5)


def test_the_table_is_as_awkward_as_it_says(large):
    _, table, splits = large
    pairs = sky_pairs(table["ra"].to_numpy(), table["dec"].to_numpy(), 2.0)
    ra, dec = table["ra"].to_numpy()[pairs], table["dec"].to_numpy()[pairs]
    assert (np.abs(ra[:, 0] - ra[:, 1]) > 300).sum() > 1000
    assert (dec.min(axis=1) > 89.9).sum() > 1000
    groups = splits["group"].value_counts()
    assert groups.max() >= 20
    assert table["survey"].value_counts().min() == 1
    assert table["ra"].isna().any()
    assert splits["stratum"].value_counts().min() >= 1


def test_nothing_leaks_by_system_or_on_the_sky_in_the_splits_or_in_any_fold(large):
    _, _, splits = large
    assert leaks(splits) == (0, 0)
    for fold in range(5):
        assert leaks(with_fold(splits, fold)) == (0, 0)


def test_sizes_and_label_fractions_are_exact_to_a_tenth_of_a_percent(large):
    _, table, splits = large
    assert len(splits) == len(table)
    groups = splits.assign(lens=splits["label"] == 1).groupby("group")
    of_group = groups.agg(split=("split", "first"), lens=("lens", "any"))
    share = of_group["split"].value_counts(normalize=True)
    for split, target in TARGETS.items():
        assert abs(share[split] - target) < 0.001
        lenses = of_group.loc[of_group["split"] == split, "lens"].mean()
        assert abs(lenses - of_group["lens"].mean()) < 0.001


def test_every_factor_is_balanced_better_than_one_percent(large):
    folder, _, _ = large
    balance = balance_table(
        splits=str(folder / "whole_splits.parquet"), metadata=[str(folder / "whole.parquet")]
    )
    factors = balance[balance["factor"] != "split"]
    assert (factors["deviation"].abs() < 0.01).all()


def test_one_percent_more_objects_move_few_of_the_others(large):
    folder, table, splits = large
    fewer = made(table.iloc[: int(0.99 * N)], folder, "fewer")
    assert moved(fewer, splits) < 0.04


def test_five_hundred_groups_are_enough_for_two_percent_on_awkward_data(tmp_path):
    for seed in range(4):
        splits = made(awkward_table(800, seed), tmp_path, f"small{seed}")
        groups = splits.assign(lens=splits["label"] == 1).groupby("group")
        of_group = groups.agg(split=("split", "first"), lens=("lens", "any"))
        assert len(of_group) >= 500
        lenses = pd.Series(
            {s: of_group.loc[of_group["split"] == s, "lens"].mean() for s in LEARNING_SPLITS}
        )
        assert (abs(lenses - of_group["lens"].mean()) < 0.02).all()
