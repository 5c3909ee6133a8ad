"""Section `pretraining`: what backbones learn from galaxies without labels."""

from collections.abc import Mapping

from pydantic import Field

from lenshunt.config.base import Strict, undefined
from lenshunt.config.dataset_section import DatasetSection, not_of_role, not_on_grid
from lenshunt.config.grids import Grid


class Contrastive(Strict):
    """Contrastive self-supervision (SimCLR, Chen et al. 2020) beside the regression.

    Two views of each galaxy are to lie closer together than those of different galaxies. The first
    is what the regression sees, augmented as `training` says. The second is changed as strongly as
    Hayat et al. 2021 (arXiv:2012.13083) found useful: any rotation, another centre, noise and dust
    of the Milky Way. Their blurring does not apply: all cutouts have been matched to one PSF.
    """

    weight: float = Field(0.1, gt=0)
    """Weight of the contrastive loss beside that of the regression, whose weight is 1."""
    temperature: float = Field(0.1, gt=0)
    """Divides the cosine similarities: lower ones look at the most similar other galaxies."""
    projection: int = Field(128, ge=2)
    """Outputs of the projection head that the loss is read from; it is not kept."""
    shift_px: float = Field(4.0, ge=0)
    """Largest shift of the second view, in pixels."""
    noise: float = Field(1.0, ge=0)
    """Most noise added to the second view, in units of each pixel's own sigma; drawn per image."""
    reddening_max: float = Field(0.3, ge=0)
    """Largest E(B-V) of dust put in front of the second view, in mag; drawn per image."""


class Pretraining(Strict):
    """Pretraining of backbones on unlabelled galaxies."""

    grid: str
    """Key of `grids`; experiments that use it are on the same grid."""
    datasets: list[str] = Field(min_length=1)
    """Data sets of role pretrain."""
    training: dict[str, int | float | str | bool | None] = {}
    """Keys of `training` that differ in pretraining."""
    contrastive: Contrastive | None = Contrastive()
    """Contrastive self-supervision beside the regression; null for the regression alone."""


def check_pretraining(
    pretraining: Mapping[str, Pretraining],
    grids: Mapping[str, Grid],
    datasets: Mapping[str, DatasetSection],
) -> list[str]:
    """What does not fit together, by key."""
    problems: list[str] = []
    for name, section in pretraining.items():
        key = f"pretraining.{name}"
        problems += undefined(f"{key}.grid", section.grid, grids)
        problems += not_on_grid(key, section.datasets, section.grid, datasets)
        problems += not_of_role(f"{key}.datasets", section.datasets, ("pretrain",), datasets)
    return problems
