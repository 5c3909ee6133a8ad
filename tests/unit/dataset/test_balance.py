"""The balance table and figure show every factor of every data set."""

import pandas as pd
import pytest
from dataset_samples import record, split_table, write_table

from lenshunt.config import SplitConfig
from lenshunt.dataset import FACTORS, balance_table, make_splits
from lenshunt.reporting.figures.splits import (
    VALUES_DRAWN,
    _bin_start,
    _rarest_together,
    draw_split_balance,
)


def test_fractions_of_a_factor_sum_to_one_in_every_split(tmp_path):
    split_table(tmp_path, [record(i) for i in range(300)])
    table = balance_table(
        splits=str(tmp_path / "splits.parquet"), metadata=[str(tmp_path / "metadata.parquet")]
    )
    sums = table[table["factor"] != "split"].groupby(["factor", "split"])["fraction"].sum()
    assert len(sums) == 4 * len(FACTORS)
    assert sums.to_numpy() == pytest.approx(1.0)
    sizes = table[table["factor"] == "split"].set_index("split")
    assert sizes["n_samples"].sum() == 300
    assert sizes["fraction"].sum() == pytest.approx(1.0)


def test_the_expected_scatter_is_binomial(tmp_path):
    split_table(tmp_path, [record(i) for i in range(100)])
    table = balance_table(
        splits=str(tmp_path / "splits.parquet"), metadata=[str(tmp_path / "metadata.parquet")]
    )
    row = table[(table["factor"] == "label") & (table["value"] == "1")].set_index("split")
    n = table[table["factor"] == "split"].set_index("split")["n_groups"]
    assert row.loc["test", "binomial_sigma"] == pytest.approx((0.25 * 0.75 / n["test"]) ** 0.5)
    assert row.loc["test", "fraction_all"] == 0.25


def test_a_split_of_other_samples_is_refused(tmp_path):
    split_table(tmp_path, [record(i) for i in range(30)])
    other = write_table(tmp_path / "other.parquet", [record(i) for i in range(40)])
    with pytest.raises(ValueError, match="not the samples"):
        balance_table(splits=str(tmp_path / "splits.parquet"), metadata=[other])


@pytest.mark.slow
def test_the_figure_and_its_table_are_drawn_for_any_mix_of_data_sets(tmp_path):
    sets = {"large": 400, "tiny": 3, "field": 5}
    splits = {}
    for name, n in sets.items():
        metadata = write_table(tmp_path / f"{name}.parquet", [record(i, name) for i in range(n)])
        out = str(tmp_path / f"{name}_splits.parquet")
        make_splits(
            metadata=[metadata], config=SplitConfig(), seed=1, out=out, search=name == "field"
        )
        splits[name] = (out, [metadata])
    for folder in ("a", "b"):
        draw_split_balance(
            splits=splits,
            out=str(tmp_path / folder / "f.pdf"),
            table=str(tmp_path / folder / "t.csv"),
        )
    assert set(pd.read_csv(tmp_path / "a/t.csv")["dataset"]) == set(sets)
    assert (tmp_path / "a/f.png").stat().st_size > 10_000
    assert (tmp_path / "a/f.pdf").read_bytes() == (tmp_path / "b/f.pdf").read_bytes()


def test_a_run_that_only_searches_still_gets_a_figure(tmp_path):
    metadata = write_table(tmp_path / "m.parquet", [record(i) for i in range(5)])
    out = str(tmp_path / "s.parquet")
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=out, search=True)
    draw_split_balance(
        splits={"field": (out, [metadata])}, out=str(tmp_path / "f.pdf"), table=str(tmp_path / "t")
    )
    assert (tmp_path / "f.pdf").exists()


def test_bins_are_drawn_in_order():
    names = ["none", ">=24.1", "18.2-20.5", "<18.2", "20.5-24.1"]
    assert sorted(names, key=_bin_start) == ["<18.2", "18.2-20.5", "20.5-24.1", ">=24.1", "none"]
    assert sorted(["1", "-1", "0"], key=_bin_start) == ["-1", "0", "1"]


def test_many_surveys_are_drawn_as_the_common_ones_and_the_others(tmp_path):
    split_table(tmp_path, [record(i, survey=f"s{min(i, 40)}") for i in range(300)])
    table = balance_table(
        splits=str(tmp_path / "splits.parquet"), metadata=[str(tmp_path / "metadata.parquet")]
    )
    surveys = table[table["factor"] == "survey"]
    drawn = _rarest_together(surveys)
    assert drawn["value"].nunique() == VALUES_DRAWN
    assert drawn.groupby("split")["fraction"].sum().to_numpy() == pytest.approx(1.0)
    others = drawn[drawn["value"].str.endswith("others")].set_index("split")
    assert others["fraction_all"].to_numpy() == pytest.approx(35 / 300)


def test_sizes_are_compared_with_what_the_configuration_asks_for(tmp_path):
    split_table(tmp_path, [record(i) for i in range(300)], train=0.5, val=0.3)
    table = balance_table(
        splits=str(tmp_path / "splits.parquet"),
        metadata=[str(tmp_path / "metadata.parquet")],
        config=SplitConfig(train=0.5, val=0.3),
    )
    sizes = table[table["factor"] == "split"].set_index("split")
    assert sizes["fraction_all"].to_dict() == pytest.approx(
        {"train": 0.5, "val_select": 0.15, "val_calibrate": 0.15, "test": 0.2}
    )
    assert (sizes["deviation"].abs() < 0.01).all()
    assert sizes.loc["test", "binomial_sigma"] == pytest.approx((0.2 * 0.8 / 300) ** 0.5)
