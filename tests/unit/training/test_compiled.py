"""Compiled networks: the same numbers, weights and files. No compiler of C++ is needed here."""

from collections.abc import Iterator

import pandas as pd
import pytest
import torch
from small_models import conditioned, small, toy_batch
from training_runs import killed_at, run, same_weights

from lenshunt.config import TrainingConfig
from lenshunt.models import REGISTRY, architecture_of, build_model
from lenshunt.training import predict

pytestmark = pytest.mark.slow

COMPILED = sorted(name for name in REGISTRY if architecture_of(name).compiles)
NOT_COMPILED = sorted(set(REGISTRY) - set(COMPILED))


class Eager:
    """Counts compiled networks; their graphs run operation by operation, without generated code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        compiling = torch.nn.Module.compile

        def traced(network: torch.nn.Module) -> None:
            self.count += 1
            compiling(network, backend="eager", fullgraph=True)

        monkeypatch.setattr(torch.nn.Module, "compile", traced)


@pytest.fixture
def eager(monkeypatch) -> Iterator[Eager]:
    torch.compiler.reset()
    yield Eager(monkeypatch)
    torch.compiler.reset()


@pytest.mark.parametrize("architecture", COMPILED)
def test_one_graph_gives_what_the_network_gives(architecture, eager):
    torch.manual_seed(0)
    model = build_model(small(architecture), conditioned()).eval()
    weights = list(model.state_dict())
    with torch.inference_mode():
        expected = model(toy_batch())
        model.compile()
        found = model(toy_batch())
    assert torch.equal(found.logit, expected.logit)
    assert torch.equal(found.features, expected.features)
    assert list(model.state_dict()) == weights


@pytest.mark.parametrize("architecture", NOT_COMPILED)
def test_a_model_whose_graph_follows_the_data_is_refused(architecture):
    with pytest.raises(ValueError, match=f"{architecture} cannot be compiled.*compile: false"):
        small(architecture).check_training(TrainingConfig(compile=True))
    small(architecture).check_training(TrainingConfig())


def test_a_compiled_training_ends_with_the_weights_of_a_plain_one_and_so_after_a_kill(
    toy,
    tmp_path,
    monkeypatch,
    eager,
):
    plain = run(tmp_path, "plain", epochs=2)
    assert eager.count == 0
    whole = run(tmp_path, "whole", epochs=2, compile=True)
    # the network and its average
    assert eager.count == 2
    assert same_weights(whole, plain)
    with killed_at(1, monkeypatch):
        run(tmp_path, "cut", epochs=2, compile=True)
    assert (tmp_path / "cut.log" / "last.ckpt").exists()
    assert same_weights(run(tmp_path, "cut", epochs=2, compile=True), plain)
    for name in ("plain", "whole"):
        predict(
            checkpoint=str(tmp_path / f"{name}.pt"),
            indexes=[str(tmp_path / "index.json")],
            splits=["test"],
            exclusions=None,
            out=str(tmp_path / f"{name}.parquet"),
        )
    assert eager.count == 7
    tables = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("plain", "whole")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
