"""Small networks of every architecture, what normalises their input, and batches to feed them."""

import torch
from segment_samples import random_segments

from lenshunt.config import ModelConfig
from lenshunt.models import CONDITIONS, Normalisation

SMALL_RESNET = {"widths": [8, 16, 16, 24], "depths": [1, 1, 1, 1]}
SMALL_VIT = {"width": 24, "layers": 2, "heads": 2, "patch_px": 8}
SMALL = {
    "resnet": {"backbone": SMALL_RESNET},
    "film_resnet": {"backbone": SMALL_RESNET, "condition_dropout": 0.0},
    "bayesian_ensemble": {
        "resnet": SMALL_RESNET,
        "vit": SMALL_VIT,
        "sampled_layers": 1,
        "samples": 4,
    },
    "equivariant_resnet": {"backbone": {"fields": [2, 3, 3, 4], "depths": [1, 1, 1, 1]}},
    "pinn_lens": {"backbone": SMALL_RESNET, "fit": {"supersampling": 1}},
    "enhanced_vit": {
        "backbone": SMALL_VIT,
        "condition_width": 16,
        "condition_dropout": 0.0,
        "sky_position": True,
    },
    "vit": {"backbone": SMALL_VIT},
    "gat_lens": {
        "backbone": {"widths": [8, 16], "blocks": 1},
        "width": 16,
        "layers": 2,
        "heads": 2,
    },
    "color_aware_lens": {"backbone": SMALL_RESNET, "group_width": 16},
}
#: Every image of the toys is in units of its noise, with a stretch that turns at one sigma.
GREY = Normalisation(softening=1.0, band_sigma_njy=(1.0,) * 5, size_px=32, pixel_scale_arcsec=0.168)


def conditioned(**changes) -> Normalisation:
    count = len(CONDITIONS)
    values = {
        "band_sigma_njy": (1.0,) * 5,
        "size_px": 32,
        "pixel_scale_arcsec": 0.168,
        "conditions": CONDITIONS,
        "condition_mean": (0.0,) * count,
        "condition_std": (1.0,) * count,
        "psf_fwhm_arcsec": 0.8,
        "psf_moffat_beta": 3.0,
    }
    return Normalisation(**{**values, **changes})


def small(architecture: str, **changes) -> ModelConfig:
    """A model of few parameters; changes of a group (`backbone={"depths": ...}`) are laid over."""
    parameters = dict(SMALL[architecture])
    for name, value in changes.items():
        group = isinstance(value, dict) and name in parameters
        parameters[name] = {**parameters[name], **value} if group else value
    return ModelConfig(architecture=architecture, backbone="small", parameters=parameters)


def toy_batch(count: int = 6, size: int = 32, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    metadata = torch.randn(count, len(CONDITIONS), generator=generator)
    metadata[:, ::2][::2] = torch.nan
    metadata[:, 1::2][1::2] = torch.nan
    return {
        "image": torch.randn(count, 5, size, size, generator=generator),
        "variance": torch.ones(count, 5, size, size),
        "band_flags": torch.ones(count, 5),
        "metadata": metadata,
        "segments": random_segments(count, seed=seed),
    }
