"""The number of trainable values of each model, as it was trained."""

import json

import torch
from small_models import conditioned, small

from lenshunt.models import build_model
from lenshunt.reporting.model_sizes import write_model_sizes
from lenshunt.training.checkpoint import save_checkpoint


def test_the_size_is_that_of_the_bands_that_a_model_was_trained_on(tmp_path):
    model, expected, paths = small("resnet"), {}, {}
    cases = {
        "five": conditioned(),
        "two": conditioned(bands=("r", "i"), band_sigma_njy=(1.0, 2.0)),
    }
    for name, normalisation in cases.items():
        torch.manual_seed(0)
        network = build_model(model, normalisation)
        expected[name] = sum(p.numel() for p in network.parameters() if p.requires_grad)
        paths[name] = str(tmp_path / f"{name}.ckpt")
        save_checkpoint(
            paths[name], kind="classifier", name="resnet", seed=1, model=model.model_dump(),
            training={}, online=None, contrastive=None, normalisation=normalisation.to_dict(),
            class_prior={}, data_sha256="", epoch=0, score=0.0, state=network.state_dict(),
        )  # fmt: skip
    out = tmp_path / "sizes.json"
    write_model_sizes(checkpoints=paths, out=str(out))
    assert json.loads(out.read_text()) == expected
    assert expected["five"] > expected["two"] > 0
    assert not list(tmp_path.glob("*.partial"))
