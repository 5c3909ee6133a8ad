"""What features learn to tell of lenses beside their label."""

import numpy as np
import pytest
import torch
from training_runs import paths, same_weights
from training_runs import run as train_toy
from training_toy import toy_table

from lenshunt.models import Prediction
from lenshunt.training.predict import predict
from lenshunt.training.truth import TRUTHS, TruthReadout, true_values

pytestmark = pytest.mark.slow


def lenses(**columns):
    """Metadata of a galaxy and of three lenses, two of whose Einstein radii are known."""
    table = toy_table(np.array([0, 1, 1, 1]))
    table["einstein_radius"] = [1.5, 1.0, np.e**2, np.nan]
    table["flux_ratio"] = [np.nan, 0.1, 0.1, 0.1]
    table["arc_snr"] = [0.0, 20.0, np.nan, 0.0]
    return table.assign(**columns)


def predicted(features: torch.Tensor) -> Prediction:
    return Prediction(torch.zeros(len(features)), features, None, {})


def batch_of(table) -> dict:
    columns = {name: torch.from_numpy(values) for name, values in true_values(table).items()}
    confidence = torch.from_numpy(table["label_confidence"].to_numpy(np.float32))
    return {**columns, "confidence": confidence}


def test_truths_are_of_lenses_alone():
    found = true_values(lenses())
    assert list(found) == list(TRUTHS)
    assert found["theta_e"].dtype == np.float32
    np.testing.assert_allclose(found["theta_e"], [np.nan, 1.0, np.e**2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["arc_snr"], [np.nan, 20.0, np.nan, 0.0])


def test_the_loss_is_that_of_what_is_known_in_units_of_its_scatter():
    table = lenses(label_confidence=[1.0, 0.5, 1.0, 1.0])
    readout = TruthReadout(4, table)
    torch.nn.init.zeros_(readout.linear.weight)
    readout.linear.bias.data = torch.tensor([3.0, 0.7, 0.0])
    loss = readout(predicted(torch.randn(4, 4)), batch_of(table))
    # ln theta_e is 0 and 2: -1 and 1 in units of its scatter; the others do not vary. The error of
    # 4 is linear from 3 on
    assert loss.tolist() == pytest.approx([0.0, 0.5 * (15.0 + 0.49), 4.0 + 0.49, 0.49], rel=1e-5)


def test_lenses_of_which_nothing_is_known_move_no_weight():
    table = lenses(einstein_radius=np.nan, flux_ratio=np.nan, arc_snr=0.0)
    readout = TruthReadout(4, table)
    loss = readout(predicted(torch.randn(4, 4)), batch_of(table))
    assert loss.tolist() == [0.0] * 4
    loss.sum().backward()
    assert readout.linear.weight.grad.abs().max() == 0


def test_a_radius_is_learned_from_the_features():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    table = toy_table(np.ones(256, int), flux_ratio=float("nan"))
    table["einstein_radius"] = np.exp(rng.normal(0.2, 0.4, 256))
    features = torch.randn(256, 8)
    features[:, 3] = torch.from_numpy(np.log(table["einstein_radius"].to_numpy())).float()
    readout, batch = TruthReadout(8, table), batch_of(table)
    steps = torch.optim.Adam(readout.parameters(), lr=0.05)
    for _ in range(300):
        loss = readout(predicted(features), batch).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss < 1e-3


@pytest.mark.parametrize("architecture", ["resnet", "bayesian_ensemble", "equivariant_resnet"])
def test_it_steers_the_training_and_leaves_the_network_what_it_is(toy, tmp_path, architecture):
    for table, _ in toy.parts.values():
        lens = (table["label"] == 1).to_numpy()
        table.loc[lens, "einstein_radius"] = np.linspace(0.5, 2.0, lens.sum())
    without = train_toy(tmp_path, "without", architecture, truth_weight=0.0, epochs=1)
    steered = train_toy(tmp_path, "steered", architecture, truth_weight=0.5, epochs=1)
    assert steered["state"].keys() == without["state"].keys()
    assert not same_weights(steered, without)
    predict(
        checkpoint=str(tmp_path / "steered.pt"),
        indexes=paths(tmp_path)["indexes"],
        splits=["test"],
        exclusions=None,
        out=str(tmp_path / "scores.parquet"),
    )
