"""Where the variance and the PSF of an image lie, by the rules of the config."""

import re
from pathlib import Path

from lenshunt.config import CutoutsDataset, GalaxyZooDataset


def variance_path(dataset: CutoutsDataset | GalaxyZooDataset, image: str) -> str | None:
    """Path of the variance of `image`: its stem with the suffix of the config, or None."""
    if dataset.variance_suffix is None:
        return None
    path = Path(image)
    return str(path.with_name(path.stem + dataset.variance_suffix + path.suffix))


def psf_path(dataset: CutoutsDataset | GalaxyZooDataset, image: str) -> str | None:
    """Path of the PSF of `image` by the expression of the config, or None.

    Raises ValueError where the expression does not match, so that an image never is its own PSF.
    """
    if dataset.psf_pattern is None:
        return None
    pattern, replacement = dataset.psf_pattern
    path, changed = re.subn(pattern, replacement, image, count=1)
    if not changed or path == image:
        raise ValueError(
            f"{image}: psf_pattern {pattern!r} does not turn this name into that of a PSF file"
        )
    return path


def psf_beside(image: str) -> str:
    """Path of the PSF file beside an image_SYSTEM_FILTER.h5."""
    path = Path(image)
    return str(path.with_name("psf_" + path.name.removeprefix("image_")))
