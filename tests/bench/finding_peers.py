"""Two plain networks that any astronomer could write, on the raw pixels of challenge images.

Both are a ResNet-18 of width 32 on the bands at their own resolution, without this project's
homogenisation, input, augmentation or training; of the library nothing is used. The plain one is
trained for 12 epochs on turned and mirrored images. The strong one has what is known to help: the
image less itself turned by 180 degrees, rotations by any angle, averaged weights, label smoothing,
30 epochs, and the mean of eight views.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from torch import nn
from torch.nn import functional
from tqdm import tqdm

BANDS = {"Band1": "SDSS_R", "Band2": "SDSS_I", "Band3": "SDSS_G", "Band4": "SDSS_U"}
MASKED = 100.0
WIDTHS = (32, 64, 128, 256)
#: Flux, in sigma of a pixel's noise, at which the stretch turns from linear to logarithmic.
SOFTENING = 4.0
BATCH = 64
RATE = 2e-3
EMA = 0.995


@dataclass(frozen=True)
class Peer:
    """One recipe. strong : whether it has all that the plain one has not."""

    name: str
    epochs: int
    strong: bool


PEERS = (Peer("plain ResNet-18", 12, strong=False), Peer("strong ResNet-18", 30, strong=True))


def raw_images(public: Path, identities: Sequence[int], size_px: int) -> torch.Tensor:
    """The middle `size_px` pixels of challenge images, [n, band, y, x], stretched; 0 where masked.

    asinh(flux / (SOFTENING sigma)), sigma the scatter of each band's pixels over 200 images.
    """
    stack = np.empty((len(identities), len(BANDS), size_px, size_px), np.float32)
    for row, identity in enumerate(tqdm(identities, desc="raw images", disable=None)):
        for band, (folder, name) in enumerate(BANDS.items()):
            image = fits.getdata(public / folder / f"image{name}-{identity}.fits")
            first = (image.shape[0] - size_px) // 2
            stack[row, band] = image[first : first + size_px, first : first + size_px]
    stack[stack == MASKED] = 0.0
    few = stack[:200].transpose(1, 0, 2, 3).reshape(len(BANDS), -1)
    sigma = 1.4826 * np.median(np.abs(few - np.median(few, axis=1, keepdims=True)), axis=1)
    return torch.from_numpy(
        np.arcsinh(stack / (SOFTENING * sigma[:, None, None]), dtype=np.float32)
    )


class Block(nn.Module):
    """The basic block of He et al. 2016."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(x) + self.shortcut(x), inplace=True)


def resnet18(channels: int) -> nn.Sequential:
    """ResNet-18 of width 32 whose stem keeps resolution: kernel 3, stride 1, one pool of 2."""
    blocks: list[nn.Module] = []
    inputs = WIDTHS[0]
    for width in WIDTHS:
        blocks += [Block(inputs, width, 1 if width == inputs else 2), Block(width, width, 1)]
        inputs = width
    return nn.Sequential(
        nn.Conv2d(channels, WIDTHS[0], 3, 1, 1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTHS[-1], 1),
    )


def views(images: torch.Tensor) -> list[torch.Tensor]:
    """The eight rotations by 90 degrees and mirror images."""
    turned = [torch.rot90(images, quarter, (2, 3)) for quarter in range(4)]
    return [view for one in turned for view in (one, one.flip(3))]


def with_residual(images: torch.Tensor, strong: bool) -> torch.Tensor:
    """[b, channel, y, x]: the images, and for the strong peer what turning them leaves."""
    if not strong:
        return images
    return torch.cat([images, images - images.flip((2, 3))], dim=1)


def moved(images: torch.Tensor, strong: bool) -> torch.Tensor:
    """Each batch turned and mirrored at random; for the strong peer by any angle and 2 pixels."""
    if not strong:
        return views(images)[int(torch.randint(8, ()))]
    n, size = len(images), images.shape[-1]
    angle = 2 * math.pi * torch.rand(n)
    mirror = torch.where(torch.rand(n) < 0.5, 1.0, -1.0)
    shift = (2 * torch.rand(n, 2) - 1) * 2 * 2 / size
    rows = [angle.cos() * mirror, -angle.sin(), shift[:, 0]]
    rows += [angle.sin() * mirror, angle.cos(), shift[:, 1]]
    affine = torch.stack(rows, dim=1).view(n, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(images: torch.Tensor, labels: torch.Tensor, peer: Peer, seed: int) -> nn.Module:
    """The peer's network, trained on images [n, band, y, x] and labels [n] of 0 and 1."""
    torch.manual_seed(seed)
    network = resnet18(images.shape[1] * (2 if peer.strong else 1))
    network = network.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    steps = math.ceil(len(images) / BATCH) * peer.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    smoothing = 0.01 if peer.strong else 0.0
    for _ in tqdm(range(peer.epochs), desc=peer.name, unit="epoch", disable=None):
        for rows in torch.randperm(len(images)).split(BATCH):
            seen = with_residual(moved(images[rows], peer.strong), peer.strong)
            seen = seen.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(seen)[:, 0].float()
            wanted = labels[rows] * (1 - 2 * smoothing) + smoothing
            loss = functional.binary_cross_entropy_with_logits(logits, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                pairs = zip(
                    averaged.state_dict().values(), network.state_dict().values(), strict=True
                )
                for mean, value in pairs:
                    if peer.strong and mean.is_floating_point():
                        mean.lerp_(value, 1 - EMA)
                    else:
                        mean.copy_(value)
    return averaged.eval()


@torch.inference_mode()
def scores(network: nn.Module, images: torch.Tensor, peer: Peer) -> np.ndarray:
    """Logit of each image, [n]: the mean of eight views for the strong peer."""
    found = []
    for part in images.split(256):
        shown = views(part) if peer.strong else [part]
        logits = [network(with_residual(view, peer.strong))[:, 0] for view in shown]
        found.append(torch.stack(logits).mean(dim=0))
    return torch.cat(found).numpy()
