"""Whole trainings on a toy survey: learning, resuming, stopping, checkpoints, predictions."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from training_runs import killed_at, paths, run, same_weights
from training_toy import ToySurvey, alternating, toy_table

from lenshunt import dataset
from lenshunt.schema import COLUMNS
from lenshunt.training import load_checkpoint, predict

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("architecture", ["resnet", "film_resnet", "vit"])
def test_a_model_overfits_64_samples(toy, tmp_path, architecture):
    toy.parts["val_select"] = toy.parts["train"] = ToySurvey(train=alternating(64)).parts["train"]
    run(
        tmp_path,
        architecture=architecture,
        epochs=40,
        patience_epochs=12,
        shift_px=0.0,
        noise_augmentation=0.0,
        weight_decay=0.0,
    )
    history = pd.read_csv(tmp_path / "a.csv")
    assert history["val_auroc"].max() > 0.98


def test_a_killed_training_resumes_and_ends_bit_equal(toy, tmp_path, monkeypatch):
    whole = run(tmp_path, "whole", epochs=4)
    with killed_at(2, monkeypatch):
        run(tmp_path, "cut", epochs=4)
    assert (tmp_path / "cut.log" / "last.ckpt").exists()
    assert not (tmp_path / "cut.pt").exists()
    torch.manual_seed(999)
    resumed = run(tmp_path, "cut", epochs=4)
    assert same_weights(resumed, whole)
    timeless = ["seconds", "images_per_s"]
    first, second = (
        pd.read_csv(tmp_path / f"{n}.csv").drop(columns=timeless) for n in ("whole", "cut")
    )
    pd.testing.assert_frame_equal(first, second)
    assert not (tmp_path / "cut.log" / "last.ckpt").exists()


def test_the_state_of_another_training_is_not_resumed(toy, tmp_path, monkeypatch, caplog):
    module = sys.modules["lenshunt.training.train"]
    monkeypatch.setattr(module, "finish", lambda folder, history: None)
    run(tmp_path, epochs=1)
    changed = run(tmp_path, epochs=1, learning_rate=1e-4)
    assert "of another training" in caplog.text
    fresh = run(tmp_path, "b", epochs=1, learning_rate=1e-4)
    assert same_weights(changed, fresh)


def test_the_same_training_twice_gives_the_same_file(toy, tmp_path):
    run(tmp_path, "a", epochs=1)
    first = (tmp_path / "a.pt").read_bytes()
    run(tmp_path, "a", epochs=1)
    assert (tmp_path / "a.pt").read_bytes() == first


def test_training_stops_on_a_plateau(toy, tmp_path):
    run(tmp_path, epochs=20, patience_epochs=2, learning_rate=1e-12, warmup_epochs=0)
    assert len(pd.read_csv(tmp_path / "a.csv")) < 20


def test_training_goes_to_its_last_epoch_where_no_patience_is_configured(toy, tmp_path):
    run(tmp_path, epochs=5, patience_epochs=None, learning_rate=1e-12, warmup_epochs=0)
    assert len(pd.read_csv(tmp_path / "a.csv")) == 5


def test_a_loss_that_is_not_finite_names_the_samples(toy, tmp_path):
    image = toy.parts["train"][1][0]
    image[5] = np.nan
    with pytest.raises(FloatingPointError, match=r"not finite.*train-5"):
        run(tmp_path, noise_augmentation=0.0)


@pytest.mark.parametrize("source", ["pretrain:galaxiesml", "weak:gzoo", "unlabelled"])
def test_samples_without_a_lens_label_never_reach_the_loss(toy, tmp_path, source):
    table = toy_table(np.full(4, -1), prefix="galaxy", label_source=source).assign(split="train")
    toy.parts["train"] = (pd.concat([toy.parts["train"][0], table]), toy.parts["train"][1])
    with pytest.raises(ValueError, match="galaxy-0"):
        run(tmp_path)


@pytest.mark.parametrize(
    "labels, monitor", [(np.ones(2, int), "val_loss"), (np.array([], int), "none")]
)
def test_four_objects_and_hardly_any_validation_still_train(toy, tmp_path, labels, monitor):
    tiny = ToySurvey(train=alternating(4), val_select=labels)
    toy.parts.update(tiny.parts)
    found = run(tmp_path)
    history = pd.read_csv(tmp_path / "a.csv")
    assert (history["monitor"] == monitor).all()
    assert found["epoch"] in (0, 1)


@pytest.mark.parametrize("architecture", ["resnet", "film_resnet"])
def test_one_sample_more_than_a_batch_still_trains(toy, tmp_path, architecture):
    toy.parts.update(ToySurvey(train=alternating(17)).parts)
    assert run(tmp_path, architecture=architecture, epochs=1)["epoch"] == 0


def test_predictions_have_metadata_logit_model_and_seed(toy, tmp_path):
    run(tmp_path)
    where = paths(tmp_path)
    listed = pd.DataFrame(
        {
            "dataset": ["val_calibrate"],
            "sample_id": ["val_calibrate-2"],
            "split": ["val_calibrate"],
            "reason": ["same object in split test"],
            "other_dataset": ["test"],
            "other_sample_id": ["test-0"],
        }
    )
    listed.to_parquet(tmp_path / "exclusions.parquet")
    for name in ("one", "two"):
        predict(
            checkpoint=where["checkpoint"],
            indexes=where["indexes"],
            splits=["val_calibrate", "test"],
            exclusions=str(tmp_path / "exclusions.parquet"),
            out=str(tmp_path / f"{name}.parquet"),
            batch_size={"one": 5, "two": 20}[name],
        )
    found = pd.read_parquet(tmp_path / "one.parquet")
    assert list(found.columns) == [*COLUMNS, "split", "excluded", "logit", "model", "seed"]
    assert found["sample_id"][found["excluded"]].tolist() == ["val_calibrate-2"]
    assert len(found) == 20
    assert (found["seed"] == 3).all()
    again = pd.read_parquet(tmp_path / "two.parquet")
    np.testing.assert_allclose(found["logit"], again["logit"], atol=1e-5)


def test_only_the_test_split_of_a_foreign_data_set_is_scored(toy, tmp_path):
    run(tmp_path, epochs=1)
    where = paths(tmp_path)
    predict(
        checkpoint=where["checkpoint"],
        indexes=where["indexes"],
        splits=["val_calibrate"],
        test_only=where["indexes"],
        exclusions=None,
        out=str(tmp_path / "scores.parquet"),
    )
    found = pd.read_parquet(tmp_path / "scores.parquet")
    assert found["split"].value_counts().to_dict() == {"val_calibrate": 8, "test": 12}


def test_predictions_do_not_depend_on_the_orientation_of_an_image(toy, tmp_path):
    run(tmp_path)
    where = paths(tmp_path)
    del where["history"]
    predict(**where, splits=["test"], out=str(tmp_path / "up.parquet"))
    table, (image, variance) = toy.parts["test"]
    turned = tuple(np.rot90(a, 1, (2, 3)).copy() for a in (image, variance))
    toy.parts["test"] = (table, turned)
    predict(**where, splits=["test"], out=str(tmp_path / "turned.parquet"))
    up, other = (pd.read_parquet(tmp_path / f"{n}.parquet")["logit"] for n in ("up", "turned"))
    np.testing.assert_allclose(up, other, atol=1e-5)


def test_a_checkpoint_refuses_cutouts_of_another_grid(toy, tmp_path):
    run(tmp_path, epochs=1)
    where = paths(tmp_path)
    del where["history"]
    table, pixels = toy.parts["test"]
    toy.parts["test"] = (table.assign(pixel_scale=0.06), pixels)
    with pytest.raises(ValueError, match=r"trained on 0\.168.*test-0 has 0\.06"):
        predict(**where, splits=["test"], out=str(tmp_path / "p.parquet"))
    toy.parts["test"] = (table, tuple(a[:, :, :24, :24] for a in pixels))
    with pytest.raises(ValueError, match=r"trained on 32 pixels, cutouts have \(24, 24\)"):
        predict(**where, splits=["test"], out=str(tmp_path / "p.parquet"))


def test_a_checkpoint_says_what_it_was_made_from(toy, tmp_path):
    found = run(tmp_path, epochs=1)
    assert found["class_prior"] == {"natural": 0.5, "drawn": 0.5}
    assert len(found["data_sha256"]) == 64
    assert {"torch", "lightning", "lenshunt"} <= set(found["versions"])
    assert found["name"] == "small"


def test_a_file_that_could_hold_code_is_not_loaded(tmp_path):
    path = tmp_path / "bad.pt"
    torch.save({"schema": Path("/")}, path)
    with pytest.raises(ValueError, match=r"bad\.pt: not a checkpoint that can be read safely"):
        load_checkpoint(path, "classifier")
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"bad\.pt"):
        load_checkpoint(path, "classifier")
    torch.save({"schema": "lenshunt-checkpoint-0"}, path)
    with pytest.raises(
        ValueError, match="lenshunt-checkpoint-0 found, lenshunt-checkpoint-4 wanted"
    ):
        load_checkpoint(path, "classifier")


def test_a_training_without_samples_says_where_they_went(monkeypatch, tmp_path):
    survey = ToySurvey(train=[], val_select=alternating(16))
    monkeypatch.setattr(dataset, "make_loader", survey.make_loader, raising=False)
    with pytest.raises(ValueError, match=r"nothing to train on: no sample of .*index\.json"):
        run(tmp_path)
