"""How many trainable values each model of an experiment has, as it was trained."""

import json
from collections.abc import Mapping
from pathlib import Path

from lenshunt.config import ModelConfig
from lenshunt.models import Normalisation, build_model, count_parameters
from lenshunt.training import load_checkpoint


def write_model_sizes(*, checkpoints: Mapping[str, str], out: str) -> None:
    """Write the number of trainable values by model, as JSON.

    checkpoints : of a training of each model; its size follows from the bands that it was
    trained on, which the checkpoint holds
    """
    counts = {}
    for model, path in checkpoints.items():
        content = load_checkpoint(path, "classifier")
        config = ModelConfig(**content["model"])
        network = build_model(config, Normalisation.from_dict(content["normalisation"]))
        counts[model] = count_parameters(network)
    partial = Path(out).with_name(Path(out).name + ".partial")
    partial.write_text(json.dumps(counts, indent=1) + "\n")
    partial.replace(out)
