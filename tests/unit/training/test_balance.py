"""Sampling weights: what label sources count, and classes that are equal within surveys."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_toy import alternating, toy_table

from lenshunt.training.balance import balance_groups, class_prior, sampling_weights


def sources() -> pd.DataFrame:
    """90 simulated (10 lenses), 5 CASTLES lenses, 40 RELICS negatives of one survey."""
    return pd.concat(
        [
            toy_table(np.arange(90) < 10, prefix="sim", label_source="sim:bologna"),
            toy_table(np.ones(5, int), prefix="cas", label_source="obs:castles", survey="hst"),
            toy_table(np.zeros(40, int), prefix="rel", label_source="obs:relics", survey="hst"),
        ],
        ignore_index=True,
    )


def cells(*parts: tuple[str, str, int, int]) -> pd.DataFrame:
    """Rows of (label source, survey, lenses, negatives)."""
    rows = [
        {"label_source": source, "survey": survey, "label": label}
        for source, survey, *counts in parts
        for label, count in zip((1, 0), counts, strict=True)
        for _ in range(count)
    ]
    return pd.DataFrame(rows)


def chances(table: pd.DataFrame, by: list[str], weights: dict[str, float] | None = None) -> dict:
    """Chance of a draw to be of each group of rows."""
    found = table.assign(chance=sampling_weights(table, weights or {}))
    return found.groupby(by)["chance"].sum().to_dict()


def test_classes_are_drawn_equally_within_every_source_and_survey():
    table = sources()
    weights = sampling_weights(table, {})
    for group in (["sim:bologna"], ["obs:castles", "obs:relics"]):
        inside = table["label_source"].isin(group).to_numpy()
        lens = (table["label"] == 1).to_numpy()
        assert weights[inside & lens].sum() == pytest.approx(weights[inside & ~lens].sum())
    assert class_prior(table, weights)["drawn"] == pytest.approx(0.5)
    assert class_prior(table, weights)["natural"] == pytest.approx(15 / 135)


def test_each_source_counts_as_configured_whatever_its_size():
    assert chances(sources(), ["label_source"], {"sim:bologna": 6.0})[
        "sim:bologna"
    ] == pytest.approx(0.75)


@pytest.mark.filterwarnings("ignore:training samples of")
def test_a_source_of_one_class_counts_once_in_however_many_surveys():
    table = cells(
        ("sim:bologna", "c", 10, 90), ("obs:relics", "a", 0, 30), ("obs:relics", "b", 0, 10)
    )
    found = chances(table, ["label_source"])
    assert found == pytest.approx({"sim:bologna": 0.5, "obs:relics": 0.5})
    of_survey = chances(table, ["survey"])
    assert of_survey == pytest.approx({"a": 0.375, "b": 0.125, "c": 0.5})


def test_lenses_of_a_survey_meet_the_negatives_of_that_survey():
    """A source with both classes in a, only lenses in b, where another one has the negatives."""
    table = cells(("obs:lens", "a", 4, 12), ("obs:lens", "b", 16, 0), ("obs:relics", "b", 0, 50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chances(table, ["survey", "label"])
    # Half of the rows of obs:lens are in a: half of its share of 1; the rest of 2 is in b.
    expected = {("a", 0): 0.125, ("a", 1): 0.125, ("b", 0): 0.375, ("b", 1): 0.375}
    assert found == pytest.approx(expected)


def test_lenses_without_negatives_of_their_source_are_balanced_against_their_survey():
    table = cells(("sim:injection", "hsc", 20, 20), ("obs:lens", "hsc", 5, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chances(table, ["label_source", "label"])
    assert found["sim:injection", 0] == pytest.approx(0.5)
    assert found["obs:lens", 1] == pytest.approx(2 * found["sim:injection", 1])


def test_a_source_whose_classes_are_of_two_surveys_is_warned_of_and_still_balanced():
    table = cells(("obs:lens", "a", 10, 0), ("obs:lens", "b", 0, 90), ("sim:demo", "c", 5, 5))
    with (
        pytest.warns(UserWarning, match=r"obs:lens \(survey:a\) all have label 1"),
        pytest.warns(UserWarning, match=r"obs:lens \(survey:b\) all have label 0"),
    ):
        found = chances(table, ["label_source", "label"])
    assert set(np.round(list(found.values()), 9)) == {0.25}
    # One group: what tells lenses from non-lenses in it is looked for over both surveys.
    assert balance_groups(table)[:100].nunique() == 1


def test_one_survey_without_negatives_is_warned_of_among_others_that_have_them():
    table = cells(("obs:lens", "a", 10, 30), ("obs:lens", "b", 40, 0))
    with pytest.warns(UserWarning, match=r"survey:b\) all have label 1") as warned:
        found = chances(table, ["survey", "label"])
    assert len(warned) == 1
    assert found == pytest.approx({("a", 0): 0.25, ("a", 1): 0.25, ("b", 1): 0.5})


def test_sources_of_one_class_in_one_group_count_as_their_shares_are():
    table = cells(("obs:castles", "hst", 10, 0), ("obs:lens", "hst", 90, 0), ("r", "hst", 0, 9))
    found = chances(table, ["label_source"], {"obs:castles": 3.0, "r": 2.0})
    assert found == pytest.approx({"obs:castles": 0.375, "obs:lens": 0.125, "r": 0.5})


def test_a_source_of_weight_0_balances_nothing():
    table = cells(("obs:castles", "hst", 10, 0), ("obs:relics", "hst", 0, 9))
    with pytest.warns(UserWarning, match="obs:relics .survey:hst. all have label 0"):
        found = chances(table, ["label_source"], {"obs:castles": 0.0})
    assert found == pytest.approx({"obs:castles": 0.0, "obs:relics": 1.0})


counts = st.integers(0, 4)
any_cells = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"), counts, counts), min_size=1
)


@pytest.mark.filterwarnings("ignore:training samples of")
@given(any_cells, st.fixed_dictionaries({}, optional={"x": st.floats(0.1, 10.0)}))
def test_a_survey_of_both_classes_never_tells_the_class_and_no_share_is_lost(parts, weights):
    if not any(lenses + negatives for _, _, lenses, negatives in parts):
        return
    table = cells(*parts)
    chance = sampling_weights(table, weights)
    assert chance.sum() == pytest.approx(1.0)
    assert (chance > 0).all()
    share = {name: weights.get(name, 1.0) for name in table["label_source"].unique()}
    sizes = table["label_source"].map(table["label_source"].value_counts())
    even = table["label_source"].map(share) / sizes / sum(share.values())
    of_groups = pd.DataFrame({"chance": chance, "even": even}).groupby(balance_groups(table)).sum()
    np.testing.assert_allclose(of_groups["chance"], of_groups["even"])
    for _, rows in table.assign(chance=chance).groupby("survey"):
        of_class = rows.groupby("label")["chance"].sum()
        assert len(of_class) == 1 or of_class[0] == pytest.approx(of_class[1])


def test_a_source_without_its_counterpart_is_warned_of():
    table = toy_table(np.ones(4, int), label_source="obs:castles", survey="hst")
    with pytest.warns(UserWarning, match="obs:castles.*all have label 1"):
        weights = sampling_weights(table, {})
    np.testing.assert_allclose(weights, 0.25)


def test_what_has_no_label_is_never_drawn_and_changes_no_group():
    table = cells(("sim:bologna", "a", 10, 90))
    without = sampling_weights(table, {})
    more = pd.concat([table, table.assign(label=-1)], ignore_index=True)
    found = sampling_weights(more, {})
    np.testing.assert_allclose(found, np.r_[without, np.zeros(100)], rtol=1e-12)
    assert balance_groups(more).nunique() == 1


def test_source_weights_that_leave_nothing_are_an_error():
    with pytest.raises(ValueError, match="leave no labelled training sample"):
        sampling_weights(toy_table(alternating(4)), {"sim:demo": 0.0})
