"""Names and shapes of the weights in a checkpoint: a change of the code that moves one makes every
checkpoint of that architecture unreadable, and CHECKPOINT_SCHEMA has to move with it."""

import hashlib
import json

import pytest
import torch
from small_models import conditioned

from lenshunt.config import load_model_config
from lenshunt.config.model_files import MODEL_FOLDER
from lenshunt.core import ROOT
from lenshunt.models import build_model

GOLDEN = json.loads((ROOT / "tests/golden/checkpoint_keys.json").read_text())


def weights_of(name: str) -> dict[str, object]:
    """Number of weights of a model, and a digest of their names and shapes."""
    torch.manual_seed(0)
    model = build_model(load_model_config(MODEL_FOLDER / f"{name}.yaml"), conditioned())
    shapes = sorted(f"{key} {tuple(w.shape)}" for key, w in model.state_dict().items())
    return {"count": len(shapes), "sha256": hashlib.sha256("\n".join(shapes).encode()).hexdigest()}


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_keep_their_names_and_shapes(name):
    assert weights_of(name) == GOLDEN[name]
