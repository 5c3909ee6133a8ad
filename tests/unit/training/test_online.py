"""Batches with lenses made while training: repeatable, labelled, and without a scored twin."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from online_samples import excluded, galaxy, inputs, labelled, shards_of, training
from small_models import small

from lenshunt import dataset
from lenshunt.models import CONDITIONS
from lenshunt.training import load_checkpoint, online, train
from lenshunt.training.classification import Classification
from lenshunt.training.loading import EpochBatches
from lenshunt.training.mixed import open_mixed
from lenshunt.training.online import prepare_online
from lenshunt.training.train import open_loader

pytestmark = pytest.mark.slow

SEED = 5
DRAWS = 50


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Shards of 40 galaxies and 60 labelled objects, some of them the same objects."""
    folder = tmp_path_factory.mktemp("online")
    # a third of the labelled objects are galaxies of the hosts: by name, or by their place
    twins = [
        {"system_id": f"galaxies-{n}"} if n % 2 else {"ra": 10.0 + 0.1 * n, "dec": 1.0 + 1e-4}
        for n in range(20)
    ]
    objects = [labelled(n, **(twins[n] if n < 20 else {})) for n in range(60)]
    found = {
        "galaxies": shards_of(folder / "galaxies", [galaxy(n) for n in range(40)]),
        "labelled": shards_of(folder / "labelled", objects),
    }
    lists = {name: folder / name for name in found}
    return {**found, "exclusions": excluded(folder, lists, ["galaxies"]), "folder": folder}


@pytest.fixture(scope="module")
def data(survey):
    return prepare_online(
        inputs(survey["galaxies"]), exclusions=survey["exclusions"], fold=None,
        training=training(), seed=SEED,
    )[0]  # fmt: skip


def opened(survey, data, rank=0, world=1, **changes):
    shards = partial(
        open_loader, indexes=[survey["labelled"]], splits=["train"], seed=SEED,
        exclusions=survey["exclusions"], shuffle=True,
    )  # fmt: skip
    return open_mixed(
        rank, world, open_shards=shards, data=data, training=training(**changes),
        samples_per_epoch=DRAWS, seed=SEED,
    )  # fmt: skip


def same(a, b):
    return set(a) == set(b) and all(
        torch.equal(a[name].nan_to_num(nan=-99.0), b[name].nan_to_num(nan=-99.0)) for name in a
    )


@pytest.fixture(scope="module")
def reference(survey, data):
    loader = opened(survey, data)
    loader.set_epoch(3)
    return list(loader)


def test_every_batch_has_its_share_of_online_samples_half_of_them_lenses(survey, data, reference):
    table = opened(survey, data).table
    assert len(reference) == 7
    assert sum(len(batch["row"]) for batch in reference) == DRAWS
    for batch in reference[:-1]:
        rows = table.iloc[batch["row"].numpy()]
        online = (rows["dataset"] == "online").to_numpy()
        assert online.sum() == 4
        assert rows["label"][online].sum() == 2


def test_the_table_says_of_every_row_what_the_batch_holds(survey, data, reference):
    table = opened(survey, data).table
    for batch in reference:
        rows = table.iloc[batch["row"].numpy()]
        assert np.array_equal(rows["label"], batch["label"].numpy())
        assert np.allclose(rows["label_confidence"], batch["confidence"].numpy())
        assert np.array_equal(rows["psf_matched"], batch["psf_matched"].numpy())
        online = rows[rows["dataset"] == "online"]
        sources = online["label"].map({0: "obs:matched", 1: "sim:injection"})
        assert (online["label_source"] == sources).all()
        assert online["sample_id"].str.endswith(("-host", "-lens")).all()
        assert not table["sample_id"].duplicated().any()


def test_online_lenses_bring_their_own_einstein_radii(survey, data, reference):
    loader = opened(survey, data)
    columns = Classification(loader.table.iloc[:0]).columns(loader.table)
    truth = columns["theta_e"]
    seen = []
    for batch in EpochBatches(loader, columns, lambda: 3):
        theta_e, rows = batch["theta_e"].numpy(), batch["row"].numpy()
        online = (loader.table["dataset"].iloc[rows] == "online").to_numpy()
        lens = batch["label"].numpy() == 1
        np.testing.assert_array_equal(theta_e[~online], truth[rows[~online]])
        assert np.isfinite(theta_e[online & lens]).all()
        assert np.isnan(theta_e[online & ~lens]).all()
        seen.append(theta_e[online & lens])
    seen = np.concatenate(seen)
    assert ((seen > 0.1) & (seen < 5.0)).all()
    assert len(np.unique(seen)) > 5


def test_arcs_brighten_the_conditions_that_the_model_is_given(survey, data, reference):
    loader = opened(survey, data)
    columns = [CONDITIONS.index(f"magnitude_{band}") for band in "gri"]
    brighter = 0
    for batch in reference:
        rows = loader.table.iloc[batch["row"].numpy()]
        lens = (rows["label_source"] == "sim:injection").to_numpy()
        table = rows[[f"magnitude_{band}" for band in "gri"]].to_numpy()
        given = batch["metadata"].numpy()[:, columns]
        assert given[~lens] == pytest.approx(table[~lens], abs=1e-5)
        assert (given[lens] < table[lens]).all()
        brighter += lens.sum()
    assert brighter > 5


@pytest.mark.parametrize("mode", ["memmap", "stream"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_batches_come_for_any_number_of_workers(survey, data, mode, workers):
    here, there = (
        opened(survey, data, loader=mode, workers=number) for number in (0, workers)
    )  # fmt: skip
    expected, found = list(here), list(there)
    assert len(found) == len(expected)
    # streaming, every worker reads its own run of shards: the order of the batches differs
    place = {tuple(batch["row"].tolist()): batch for batch in expected}
    assert all(same(place[tuple(batch["row"].tolist())], batch) for batch in found)
    if mode == "memmap":
        assert all(same(*pair) for pair in zip(expected, found, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resume_in_the_middle_of_an_epoch_goes_on_with_the_same_batches(
    survey, data, reference, workers
):
    first = opened(survey, data, workers=workers)
    first.set_epoch(3)
    batches = iter(first)
    for _ in range(3):
        next(batches)
    state = first.state_dict()
    again = opened(survey, data, workers=workers)
    again.load_state_dict(state)
    rest = list(again)
    assert len(rest) == len(reference) - 3
    assert all(same(*pair) for pair in zip(reference[3:], rest, strict=True))


def test_epochs_and_ranks_differ(survey, data, reference):
    first = opened(survey, data)
    assert not same(next(iter(first)), reference[0])
    ranks = [opened(survey, data, rank=rank, world=2) for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1])
    assert not any(same(*pair) for pair in zip(*ranks, strict=True))


def test_no_host_has_a_twin_that_is_validated_or_tested(survey, data):
    everything = dataset.read_table([survey["labelled"]], ["val_select", "val_calibrate", "test"])
    hosts = data.hosts.table()
    scored = everything.assign(number=everything["raw_index"])
    scored = scored[scored["number"] < 20]
    assert len(scored) > 2
    assert not set(hosts["raw_index"]) & set(scored["number"])
    # without the list they would be hosts
    free = dataset.read_table([survey["galaxies"]], ["train"])
    assert set(free["raw_index"]) & set(scored["number"])
    assert (hosts["split"] == "train").all()


def test_a_known_lens_is_no_host(survey, tmp_path):
    pd.DataFrame({"name": ["known"], "ra": [10.0 + 0.1 * 30], "dec": [1.0]}).to_csv(
        tmp_path / "lenses.csv", index=False
    )
    folders = {name: survey["folder"] / name for name in ("galaxies", "labelled")}
    known = excluded(tmp_path, folders, ["galaxies"], known_lenses=[str(tmp_path / "lenses.csv")])
    listed = dataset.read_exclusions(known).set_index("sample_id")
    assert listed.loc["galaxies-30", "reason"] == "known lens among the negatives"
    plain = dataset.read_exclusions(survey["exclusions"])
    assert "galaxies-30" not in set(plain["sample_id"])


def test_the_survey_of_the_population_is_that_of_all_data_sets_of_hosts(survey, monkeypatch):
    more = shards_of(survey["folder"] / "more", [galaxy(n, "more") for n in range(40, 60)])
    both = replace(inputs(survey["galaxies"]), hosts=[survey["galaxies"], more])
    measured = []

    def keep(hosts, *_):
        measured.extend(one.metadata.dataset for one in hosts)
        return pd.DataFrame()

    monkeypatch.setattr(online, "population_for", keep)
    monkeypatch.setattr(online, "SURVEY_HOSTS", 10)
    prepare_online(both, exclusions=None, fold=None, training=training(), seed=SEED)
    assert sorted(measured) == ["galaxies"] * 5 + ["more"] * 5


def test_an_exclusion_list_that_leaves_no_host_is_an_error(survey, tmp_path):
    index = shards_of(tmp_path, [galaxy(n, psf_matched=False) for n in range(12)])
    with pytest.raises(ValueError, match="PSF not matched to the grid"):
        prepare_online(inputs(index), exclusions=None, fold=None, training=training(), seed=1)


def run(survey, name, **changes):
    """Train a small network with online lenses; its checkpoint."""
    folder = survey["folder"]
    train(
        indexes=[survey["labelled"]],
        exclusions=survey["exclusions"],
        model=small("film_resnet"),
        training=training(samples_per_epoch=24, **changes),
        seed=SEED,
        pretrained=None,
        checkpoint=str(folder / f"{name}.pt"),
        history=str(folder / f"{name}.csv"),
        log_dir=str(folder / f"{name}.log"),
        threads=1,
        online=inputs(survey["galaxies"], share=0.25, lens_fraction=0.75),
    )
    return load_checkpoint(folder / f"{name}.pt", "classifier")


def test_a_training_with_online_lenses_runs_and_says_what_it_was_made_of(survey):
    found = run(survey, "a")
    assert found["class_prior"]["drawn"] == pytest.approx(0.75 * 0.5 + 0.25 * 0.75)
    assert found["online"]["config"]["share"] == 0.25
    assert found["normalisation"]["size_px"] == 48
    history = pd.read_csv(survey["folder"] / "a.csv")
    assert np.isfinite(history["train_loss"]).all()


def test_workers_change_nothing_of_a_training(survey):
    alone, helped = run(survey, "alone"), run(survey, "helped", workers=2)
    assert all(torch.equal(alone["state"][name], helped["state"][name]) for name in alone["state"])


def test_a_weight_for_a_source_that_only_online_samples_have_is_refused(survey):
    with pytest.raises(ValueError, match=r"source_weights.sim:injection.*online.share"):
        run(survey, "weighted", source_weights={"sim:injection": 2.0})
