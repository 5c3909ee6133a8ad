"""How many trainable values each model of an experiment has, as it was trained."""

from collections.abc import Mapping

from lenshunt.config import ModelConfig
from lenshunt.core import write_json
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
    write_json(counts, out)
