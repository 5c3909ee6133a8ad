"""Matched negatives look like lens hosts, pair by pair and as a population."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_samples import NAN, record, write_table
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lenshunt.config import Calipers, MatchNegatives, SplitConfig
from lenshunt.dataset import (
    COVARIATES,
    find_exclusions,
    make_splits,
    match_negatives,
    read_exclusions,
    split_tables,
    write_exclusions,
)
from lenshunt.dataset.matched_negatives import compared
from lenshunt.reporting.figures.matched_negatives import draw_matching
from lenshunt.schema import SLOTS

LENS = {"label": 1, "label_source": "obs:lens"}
GALAXY = {"label": 0, "label_source": "obs:matched"}


def galaxy(number, dataset, rng, magnitude, size, redshift, colour, **more):
    """One object; magnitude in i, (mean, sigma) of each property, colours equal in all pairs."""
    i_band, step = rng.normal(*magnitude), rng.normal(*colour)
    magnitudes = tuple(float(i_band + step * (2 - slot)) for slot in range(5))
    values = {
        "magnitude": magnitudes,
        "half_light_radius": float(10 ** rng.normal(*size)),
        "z_phot": float(np.clip(rng.normal(*redshift), 0.02, 3)),
        **more,
    }
    return record(number, dataset, **values)


def populations(n_hosts=150, n_negatives=20_000, seed=1):
    """Bright red lens hosts, and fainter, smaller, bluer galaxies at other redshifts."""
    rng = np.random.default_rng(seed)
    lenses = [
        galaxy(k, "lenses", rng, (19.5, 0.6), (0.1, 0.12), (0.45, 0.12), (0.8, 0.15), **LENS)
        for k in range(n_hosts)
    ]
    field = [
        galaxy(k, "field", rng, (20.6, 1.2), (-0.15, 0.25), (0.65, 0.25), (0.6, 0.25), **GALAXY)
        for k in range(n_negatives)
    ]
    return {"lenses": lenses, "field": field}


def matched(folder, sets, known_lenses=(), **config):
    """(rows, quality) of a matching of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata, splits = {}, {}
    for name, records in sets.items():
        metadata[name] = [write_table(folder / f"{name}.parquet", records)]
        splits[name] = str(folder / f"{name}_splits.parquet")
        make_splits(metadata=metadata[name], config=SplitConfig(), seed=1, out=splits[name])
    samples = split_tables(splits, list(sets), {})
    match_negatives(
        samples=samples,
        exclusions=find_exclusions(samples, 2.0, known_lenses),
        metadata=metadata,
        config=MatchNegatives(negatives=["field"], hosts=["lenses"], **config),
        out=str(folder / "matched.parquet"),
        table=str(folder / "quality.csv"),
    )
    return pd.read_parquet(folder / "matched.parquet"), pd.read_csv(folder / "quality.csv")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder, rows and quality of a matching of two different populations."""
    folder = tmp_path_factory.mktemp("matching")
    return folder, *matched(folder, populations(), per_lens=2)


def test_two_populations_that_differ_are_alike_after_matching(large):
    _, _, quality = large
    whole = quality[quality["split"] == "all"].set_index("covariate")
    assert (whole["smd_before"].abs() > 0.5).all()
    assert (whole["smd_after"].abs() < 0.1).all()
    assert (whole["ks_after"] < whole["ks_before"] / 2).all()
    assert whole["hosts_matched"].iloc[0] > 0.9 * whole["hosts"].iloc[0]


def test_numbers_add_up_in_every_split(large):
    _, rows, quality = large
    assert set(quality["split"]) == {"all", "train", "val_select", "val_calibrate", "test"}
    assert set(quality["covariate"]) == set(COVARIATES)
    assert (quality["hosts_matched"] + quality["hosts_unmatched"] == quality["hosts"]).all()
    assert (quality["kept"] + quality["dropped"] == quality["negatives"]).all()
    parts = quality[(quality["covariate"] == "magnitude") & (quality["split"] != "all")]
    assert parts["kept"].sum() == ((rows["role"] == "negative") & rows["kept"]).sum()
    assert (quality["kept"] <= 2 * quality["hosts_matched"]).all()


def pairs_of(rows):
    """Each kept negative beside its host, suffixes _negative and _host."""
    hosts = rows[rows["role"] == "host"].drop_duplicates("system_id")
    kept = rows[(rows["role"] == "negative") & rows["kept"]]
    return kept.merge(
        hosts, left_on="host_system", right_on="system_id", suffixes=("_negative", "_host")
    )


def test_a_negative_is_used_once_and_matched_within_its_own_split(large):
    _, rows, _ = large
    pairs = pairs_of(rows)
    assert len(pairs) > 200
    assert (pairs["split_negative"] == pairs["split_host"]).all()
    assert pairs["system_id_negative"].is_unique
    assert pairs["host_system_negative"].value_counts().max() == 2


def check_calipers(rows, calipers):
    pairs = pairs_of(rows)
    limits = {
        "magnitude": calipers.magnitude,
        "log_half_light_radius": calipers.half_light_radius,
        "redshift": calipers.redshift,
        **{f"{a}-{b}": calipers.colour for a, b in pairwise(SLOTS)},
    }
    for name, limit in limits.items():
        difference = (pairs[f"{name}_negative"] - pairs[f"{name}_host"]).abs().dropna()
        assert limit is None or (difference <= limit).all(), name
    return len(pairs)


@pytest.mark.slow
@settings(
    max_examples=6,
    deadline=None,
    # A failing example is as telling as a smaller one, and each costs four files.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 1000),
    magnitude=st.floats(0.3, 2.0),
    size=st.none() | st.floats(0.1, 0.5),
    redshift=st.none() | st.floats(0.1, 0.5),
    colour=st.none() | st.floats(0.1, 0.5),
    per_lens=st.integers(1, 6),
)
def test_calipers_hold_exactly_for_every_pair(
    tmp_path_factory, seed, magnitude, size, redshift, colour, per_lens
):
    calipers = Calipers(
        magnitude=magnitude, half_light_radius=size, redshift=redshift, colour=colour
    )
    sets = populations(25, 300, seed)
    # Some that are alike in everything: training is never without a pair.
    alike = {"magnitude": (20.0,) * 5, "half_light_radius": 1.0, "z_phot": 0.5}
    sets["lenses"] += [record(9000 + k, "lenses", **LENS, **alike) for k in range(9)]
    sets["field"] += [record(9000 + k, "field", **GALAXY, **alike) for k in range(40)]
    rows, _ = matched(
        tmp_path_factory.mktemp("calipers"), sets, calipers=calipers, per_lens=per_lens
    )
    assert check_calipers(rows, calipers) > 0


def test_the_same_input_gives_the_same_bytes_in_any_order(tmp_path):
    sets = populations(40, 400)
    matched(tmp_path / "a", sets)
    matched(tmp_path / "b", sets)
    shuffled = {name: records[::-1] for name, records in reversed(sets.items())}
    matched(tmp_path / "c", shuffled)
    for name in ("matched.parquet", "quality.csv"):
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes()
        assert first == (tmp_path / "c" / name).read_bytes()


def test_every_host_gets_one_negative_before_any_gets_two(tmp_path):
    sets = {
        "lenses": [
            record(k, "lenses", **LENS, magnitude=(20.0,) * 5, z_phot=0.5) for k in range(40)
        ],
        "field": [
            record(k, "field", **GALAXY, magnitude=(20.1,) * 5, z_phot=0.5) for k in range(40)
        ],
    }
    rows, _ = matched(tmp_path, sets, per_lens=5)
    kept = rows[(rows["role"] == "negative") & rows["kept"]]
    assert len(kept) == 40
    assert kept["host_system"].is_unique


def test_what_is_not_known_is_not_compared_and_the_magnitude_always_is():
    calipers = Calipers()
    full = frozenset([f"magnitude_{s}" for s in SLOTS] + ["log_half_light_radius", "redshift"])
    hst = frozenset(["magnitude_r", "magnitude_i", "redshift"])
    found = compared(full, hst, calipers)
    assert set(found) == {"magnitude", "r-i", "redshift"}
    assert found["magnitude"][0] == ("magnitude_i",)
    assert compared(full, frozenset(["redshift", "log_half_light_radius"]), calipers) == {}
    r_only = compared(full, frozenset(["magnitude_r"]), calipers)
    assert r_only == {"magnitude": (("magnitude_r",), 0.5)}
    assert set(compared(full, hst, Calipers(colour=None, redshift=None))) == {"magnitude"}


def test_a_host_without_redshift_or_size_is_matched_in_what_it_knows(tmp_path):
    sets = populations(60, 800)
    bare = {"half_light_radius": NAN, "z_phot": -1.0}
    sets["lenses"] = [lens.model_copy(update=bare) for lens in sets["lenses"]]
    rows, quality = matched(tmp_path, sets)
    whole = quality[quality["split"] == "all"].set_index("covariate")
    assert whole.loc["magnitude", "pairs_compared"] == whole.loc["magnitude", "kept"] > 0
    assert whole.loc["redshift", ["pairs_compared", "hosts_known"]].tolist() == [0, 0]
    assert np.isnan(whole.loc["redshift", "smd_before"])
    check_calipers(rows, Calipers())


def test_images_of_one_system_are_one_host_that_knows_what_any_of_them_knows(tmp_path):
    def one_band(k, slot):
        magnitudes = tuple(20.0 if s == slot else NAN for s in SLOTS)
        name = f"lenses-{k}-{slot}"
        return record(k, "lenses", **LENS, sample_id=name, system_id=f"s{k}", magnitude=magnitudes)

    field = [record(k, "field", **GALAXY, magnitude=(20.1,) * 5) for k in range(300)]
    lenses = [one_band(k, slot) for k in range(20) for slot in ("r", "i")]
    rows, quality = matched(tmp_path, {"lenses": lenses, "field": field})
    whole = quality[quality["split"] == "all"].set_index("covariate")
    assert whole.loc["r-i", "hosts"] == whole.loc["r-i", "hosts_known"] == 20
    assert (rows["role"] == "host").sum() == 40


def test_no_pair_in_training_is_an_error_that_says_what_to_do(tmp_path):
    sets = populations(20, 40)
    sets["field"] = [f.model_copy(update={"magnitude": (29.0,) * 5}) for f in sets["field"]]
    with pytest.raises(ValueError, match=r"widen match_negatives\.calipers"):
        matched(tmp_path, sets)
    assert not (tmp_path / "matched.parquet").exists()


def test_no_hosts_are_an_error_that_names_the_data_sets(tmp_path):
    sets = populations(10, 40)
    sets["lenses"] = [s.model_copy(update={"label": 0}) for s in sets["lenses"]]
    with pytest.raises(ValueError, match="no host among lenses"):
        matched(tmp_path, sets)


def test_a_known_lens_is_no_match(tmp_path):
    sets = populations(30, 300)
    rows, _ = matched(tmp_path / "a", sets)
    chosen = rows[(rows["role"] == "negative") & rows["kept"]]["sample_id"].iloc[0]
    sets["field"] = [
        s.model_copy(update={"ra": 10.0, "dec": 5.0}) if s.sample_id == chosen else s
        for s in sets["field"]
    ]
    (tmp_path / "known.csv").write_text("name,ra,dec\nJ0040,10.0,5.0\n")
    again, _ = matched(tmp_path / "b", sets, known_lenses=[str(tmp_path / "known.csv")])
    assert chosen not in set(again["sample_id"])


def test_unmatched_negatives_enter_the_exclusion_list_with_the_reason(large):
    folder, rows, _ = large
    out = str(folder / "exclusions.parquet")
    write_exclusions(
        splits={name: str(folder / f"{name}_splits.parquet") for name in ("lenses", "field")},
        train=["lenses", "field"],
        evaluate=[],
        radius_arcsec=2.0,
        matched=str(folder / "matched.parquet"),
        out=out,
    )
    listed = read_exclusions(out)
    dropped = rows[(rows["role"] == "negative") & ~rows["kept"]]
    assert set(listed["sample_id"]) == set(dropped["sample_id"])
    assert set(listed["reason"]) == {"no lens host within the calipers"}


@pytest.mark.slow
def test_the_figure_shows_every_known_covariate(large, tmp_path):
    folder, _, _ = large
    for name in ("a", "b"):
        draw_matching(
            matched=str(folder / "matched.parquet"),
            quality=str(folder / "quality.csv"),
            out=str(tmp_path / name / "f.pdf"),
        )
    assert (tmp_path / "a/f.pdf").read_bytes() == (tmp_path / "b/f.pdf").read_bytes()
    assert Path(tmp_path / "a/f.png").stat().st_size > 20_000
