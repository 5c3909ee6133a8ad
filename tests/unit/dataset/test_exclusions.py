"""Where data sets meet on the sky, nobody is trained on what somebody is tested on."""

import pandas as pd
import pytest

from lenshunt.dataset import excluded_rows, read_exclusions, write_exclusions

SECOND = 1 / 3600


def row(name, split, ra=float("nan"), dec=0.0, system=None, label=0, source="obs:matched"):
    """One line of a splits table, of sample `name`."""
    return {
        "sample_id": name,
        "system_id": system or name,
        "group": name,
        "stratum": "",
        "split": split,
        "label": label,
        "label_source": source,
        "ra": ra,
        "dec": dec,
    }


def exclusions(tmp_path, datasets, train=None, evaluate=(), **more):
    """The exclusion list of these data sets, by sample_id."""
    paths = {}
    for name, rows in datasets.items():
        paths[name] = str(tmp_path / f"{name}.parquet")
        pd.DataFrame(rows).to_parquet(paths[name])
    out = str(tmp_path / "exclusions.parquet")
    write_exclusions(
        splits=paths,
        train=train or list(datasets),
        evaluate=list(evaluate),
        radius_arcsec=2.0,
        out=out,
        **more,
    )
    return read_exclusions(out).set_index("sample_id")


def test_a_test_object_elsewhere_takes_its_twin_out_of_training_and_validation(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "hsc": [row("a", "train", 10.0), row("b", "val_select", 20.0), row("c", "test", 30.0)],
            "sdss": [
                row("x", "test", 10.0 + SECOND),
                row("y", "test", 20.0),
                row("z", "test", 30.0),
            ],
        },
    )
    assert set(found.index) == {"a", "b"}
    assert found.loc["a", ["other_dataset", "other_sample_id"]].tolist() == ["sdss", "x"]
    assert found.loc["a", "reason"] == "same object in split test"


def test_an_equal_system_is_enough_without_a_position(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "castles": [row("a", "train", system="HE0435-1223", label=1, source="obs:castles")],
            "lenses": [row("b", "val_calibrate", system="HE0435-1223", label=1, source="obs:lens")],
        },
    )
    assert found.index.tolist() == ["a"]


def test_chains_through_a_third_data_set_are_followed(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train", 10.0)],
            "two": [row("b", "train", 10.0 + 1.5 * SECOND)],
            "three": [row("c", "test", 10.0 + 3.0 * SECOND)],
        },
    )
    assert set(found.index) == {"a", "b"}
    assert found.loc["a", "other_sample_id"] == "c"


def test_validation_goes_before_training(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train", 10.0), row("s", "val_select", 20.0)],
            "two": [row("b", "val_select", 10.0), row("t", "val_calibrate", 20.0)],
        },
    )
    assert set(found.index) == {"a", "s"}


def test_a_searched_field_is_never_trained_on(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train", 10.0)],
            "field": [row("f", "search", 10.0, label=-1, source="unlabelled")],
        },
        train=["one"],
        evaluate=["field"],
    )
    assert found.index.tolist() == ["a"]


def test_known_lenses_leave_the_negatives_of_every_split(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "relics": [row("n1", "train", 10.0), row("n2", "test", 20.0), row("n3", "test", 40.0)],
            "castles": [
                row("l1", "train", 10.0, label=1, source="obs:castles"),
                row("l2", "train", 20.0, label=1, source="obs:castles"),
            ],
        },
    )
    assert found.loc["n1", "reason"] == "known lens among the negatives"
    assert found.loc["n2", ["split", "other_sample_id"]].tolist() == ["test", "l2"]
    assert "n3" not in found.index
    # the lens shares its object with a test sample: out of training as well
    assert found.loc["l2", "reason"] == "same object in split test"


def test_arcs_painted_on_a_galaxy_do_not_make_the_galaxy_a_lens(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "injected": [
                row("lens", "train", 10.0, label=1, source="sim:injection"),
                row("galaxy", "train", 10.0),
            ],
        },
    )
    assert found.empty


def test_a_table_of_known_lenses_is_searched_too(tmp_path):
    (tmp_path / "lenscat.csv").write_text("name,ra,dec\nJ0000,50.0,0.0\n")
    found = exclusions(
        tmp_path,
        {"one": [row("a", "test", 50.0 + SECOND), row("b", "test", 51.0)]},
        known_lenses=[str(tmp_path / "lenscat.csv")],
    )
    assert found.index.tolist() == ["a"]
    assert found.loc["a", "other_dataset"] == "lenscat.csv"


def test_data_sets_that_a_training_does_not_use_have_no_say(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train", 10.0)],
            "two": [row("b", "test", 10.0)],
        },
        train=["one"],
    )
    assert found.empty


def test_simulated_skies_never_match(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train"), row("b", "test")],
            "two": [row("c", "test")],
        },
    )
    assert found.empty


def test_the_list_is_the_same_whatever_the_order_of_data_sets(tmp_path):
    sets = {"one": [row("a", "train", 10.0)], "two": [row("b", "test", 10.0)]}
    first = exclusions(tmp_path, sets, train=["one", "two"])
    again = exclusions(tmp_path, sets, train=["two"], evaluate=["one"])
    pd.testing.assert_frame_equal(first, again)


def test_rows_are_matched_by_data_set_and_sample(tmp_path):
    found = exclusions(
        tmp_path,
        {
            "one": [row("a", "train", 10.0)],
            "two": [row("b", "test", 10.0)],
        },
    )
    table = pd.DataFrame({"dataset": ["one", "two", "other"], "sample_id": ["a", "b", "a"]})
    assert excluded_rows(table, found.reset_index()).tolist() == [True, False, False]


def test_objects_without_a_lens_label_stay_out_of_a_classifier(tmp_path):
    datasets = {
        "challenge": [
            row("doubtful", "test", label=-1, source="unlabelled"),
            row("undecided", "train", label=-1, source="sim:demo"),
            row("voted", "train", label=-1, source="weak:gzoo"),
            row("clear", "test"),
        ],
        "field": [row("unknown", "search", label=-1, source="unlabelled")],
    }
    found = exclusions(tmp_path, datasets, labelled=["challenge"])
    # the loader, not the list, refuses what never carries a lens label
    assert found.index.tolist() == ["doubtful", "undecided"]
    assert set(found["reason"]) == {"neither lens nor clear negative"}
    assert exclusions(tmp_path, datasets).empty


def test_missing_splits_are_an_error_that_names_the_data_set(tmp_path):
    with pytest.raises(ValueError, match="no splits of data set hst"):
        exclusions(tmp_path, {"one": [row("a", "train")]}, evaluate=["hst"])
