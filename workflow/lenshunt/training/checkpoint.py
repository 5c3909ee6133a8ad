"""Checkpoints: weights with everything that is needed to use, check and trace them."""

import hashlib
import pickle
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lenshunt import __version__
from lenshunt.core import pipeline_commit, whole_file
from lenshunt.dataset.locations import read_bytes

#: Schema of the file; raised when a field changes its meaning.
CHECKPOINT_SCHEMA = "lenshunt-checkpoint-4"
FIELDS = (
    "schema",
    "kind",
    "name",
    "seed",
    "model",
    "training",
    "online",
    "contrastive",
    "normalisation",
    "class_prior",
    "data_sha256",
    "epoch",
    "score",
    "commit",
    "versions",
    "state",
)


def data_digest(indexes: Iterable[str]) -> str:
    """sha256 over the shard indexes (paths or URLs), which hold the sha256 of every shard."""
    digests = [hashlib.sha256(read_bytes(location)).hexdigest() for location in indexes]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what the weights mean."""
    names = ("torch", "lightning", "transformers", "numpy")
    return {"lenshunt": __version__, **{name: version(name) for name in names}}


def save_checkpoint(path: str | Path, **fields: Any) -> None:
    """Write a checkpoint atomically. `fields`: all of FIELDS but schema, commit and versions."""
    content = {
        "schema": CHECKPOINT_SCHEMA,
        "commit": pipeline_commit(),
        "versions": package_versions(),
        **fields,
    }
    missing = sorted(set(FIELDS) ^ set(content))
    if missing:
        raise ValueError(f"{path}: checkpoint fields {missing} are missing or unknown")
    with whole_file(path) as partial:
        torch.save({name: content[name] for name in FIELDS}, partial)


def load_checkpoint(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a checkpoint of this `kind` ("classifier" or "backbone"), onto the CPU.

    Only tensors and plain values are ever read (`weights_only`), never code.
    Raises ValueError naming the file for anything else, another schema or another kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path}: not a checkpoint that can be read safely (weights only): "
            f"{str(error).splitlines()[0]}; train the model again"
        ) from None
    found = content.get("schema") if isinstance(content, dict) else None
    if found != CHECKPOINT_SCHEMA:
        raise ValueError(
            f"{path}: checkpoint schema {found} found, {CHECKPOINT_SCHEMA} wanted; "
            "train the model again"
        )
    lacking = [name for name in ("kind", "model", "normalisation", "state") if name not in content]
    if lacking:
        raise ValueError(f"{path}: checkpoint lacks {', '.join(lacking)}; train the model again")
    if content["kind"] != kind:
        raise ValueError(f"{path}: holds a {content['kind']}, a {kind} is wanted")
    return content
