"""Adversarial training: images moved within their noise so as to raise the loss."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from lenshunt.config import Adversarial
from lenshunt.models import Batch, LensNetwork, Prediction
from lenshunt.models.inputs import usable_pixels

Losses = Callable[[Prediction, Batch], torch.Tensor]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; at the end each part is back in the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def attacked(model: LensNetwork, losses: Losses, batch: Batch, config: Adversarial) -> Batch:
    """`batch` with the images of a random `share` of its samples changed to raise their loss.

    The change of a pixel is at most epsilon_sigma of its own sigma: FGSM (Goodfellow et al. 2015,
    arXiv:1412.6572, section 4) or PGD from a random start (Madry et al. 2018, arXiv:1706.06083,
    eq. 1). Which samples is drawn anew: a batch holds its online samples behind the others. The
    model is attacked in evaluation mode: its batch statistics and dropout are not part of the
    attack.
    """
    count = round(config.share * len(batch["image"]))
    if count == 0:
        return batch
    chosen = torch.randperm(len(batch["image"]), device=batch["image"].device)[:count]
    part: Batch = {name: values[chosen] for name, values in batch.items()}  # type: ignore
    image = batch["image"].clone()
    image[chosen] = perturbed(model, losses, part, config)
    return {**batch, "image": image}


def perturbed(
    model: LensNetwork, losses: Losses, batch: Batch, config: Adversarial
) -> torch.Tensor:
    """Images [b, band, y, x] of `batch` after the attack; unusable pixels stay what they are.

    losses : of each sample, [b]; only the sign of their gradients matters. No gradient reaches
        the weights. Random starts are torch's global random numbers.
    """
    image, variance = batch["image"].detach(), batch["variance"]
    usable = usable_pixels(variance, batch["band_flags"])
    bound = config.epsilon_sigma * torch.where(usable, variance, 0.0).sqrt()
    steps = config.steps if config.method == "pgd" else 1
    # 2.5 epsilon / steps lets every pixel reach its bound from anywhere within it
    step = bound * (min(2.5 / steps, 1.0) if config.method == "pgd" else 1.0)
    change = torch.zeros_like(image)
    if config.method == "pgd":
        change = (torch.rand_like(image) * 2 - 1) * bound
    with evaluating(model):
        for _ in range(steps):
            moved = (image + change).requires_grad_(True)
            with torch.enable_grad():
                loss = losses(model({**batch, "image": moved}), batch).sum()
            (gradient,) = torch.autograd.grad(loss, moved)
            change = (change + step * gradient.sign()).clamp(-bound, bound)
    return image + change
