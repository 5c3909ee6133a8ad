"""Pretraining, training and prediction: Lightning module, losses, augmentation, checkpoints."""

from lenshunt.training.checkpoint import load_checkpoint
from lenshunt.training.predict import predict
from lenshunt.training.pretrain import pretrain
from lenshunt.training.train import train

__all__ = ["load_checkpoint", "predict", "pretrain", "train"]
