"""A whole training of `pinn_lens` with all its loss terms, and the scores that it predicts."""

import numpy as np
import pandas as pd
import pytest
from small_models import SMALL
from training_toy import SIZE, ToySurvey, alternating

from lenshunt import dataset
from lenshunt.config import Grid, LossTerm, ModelConfig, TrainingConfig
from lenshunt.training import predict, train

pytestmark = pytest.mark.slow


def test_it_trains_in_bf16_with_all_terms_and_predicts_gain_and_einstein_radius(
    tmp_path, monkeypatch
):
    survey = ToySurvey(train=alternating(32), val_select=alternating(16), test=alternating(12))
    for table, _ in survey.parts.values():
        # the blobs of the toy lenses lie 8 pixels from the galaxy
        table["einstein_radius"] = np.where(table["label"] == 1, 8 * 0.168, np.nan)
    monkeypatch.setattr(dataset, "make_loader", survey.make_loader, raising=False)
    index = tmp_path / "index.json"
    index.write_text("{}")
    terms = ("physics", "shear", "mass", "lens_equation", "simulated")
    model = ModelConfig(
        architecture="pinn_lens",
        backbone="small",
        parameters={**SMALL["pinn_lens"], "fit": {"supersampling": 1, "correction_nodes": 4}},
        loss_terms={name: LossTerm(weight=0.1, warmup_epochs=1.0) for name in terms},
    )
    checkpoint, scores = str(tmp_path / "a.pt"), str(tmp_path / "scores.parquet")
    train(
        indexes=[str(index)],
        exclusions=None,
        model=model,
        training=TrainingConfig(epochs=2, batch_size=16, learning_rate=3e-3, precision="bf16"),
        seed=3,
        pretrained=None,
        checkpoint=checkpoint,
        history=str(tmp_path / "a.csv"),
        log_dir=str(tmp_path / "log"),
        threads=1,
        grid=Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.168, size_px=SIZE),
    )
    predict(
        checkpoint=checkpoint, indexes=[str(index)], splits=["test"], exclusions=None, out=scores
    )
    table = pd.read_parquet(scores)
    assert len(table) == 12
    assert (table["chi2_gain"] >= 0).all()
    assert table["theta_e"].between(0.3, 4.0).all()
