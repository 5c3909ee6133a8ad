"""Lenses made while training: section `online` of an experiment."""

from typing import Self

from pydantic import Field, model_validator

from lenshunt.config.base import Strict


class Online(Strict):
    """A share of every training batch is painted while it is loaded: arcs of new lenses on the
    galaxies of `hosts`, and other such galaxies without arcs as their negatives.

    Only the training split of the hosts is used, without objects whose twin is validated, tested
    or searched, and without known lenses. Validation and test never see online samples. Their
    labels are of sim:injection and obs:matched; `training.source_weights` shares out the rest of
    the batch.
    """

    hosts: list[str] = Field(min_length=1)
    """Data sets of role pretrain, negatives or labelled (its negatives), on the experiment's
    grid. Cutouts whose PSF is not matched to the grid carry no arcs."""
    share: float = Field(0.5, gt=0, lt=1)
    """Fraction of each training batch that is made online."""
    lens_fraction: float = Field(0.5, gt=0, lt=1)
    """Fraction of lenses among the samples made online."""
    snr_min: float = Field(20.0, gt=0)
    """Least S/N of the arcs over the noise and 5 per cent of the host's light."""
    sources: list[str] = []
    """Data sets of HST galaxies whose light is lensed; clumpy Sersic galaxies where none."""
    sources_max: int = Field(2000, ge=1)
    """HST galaxies that are held in memory."""
    population_size: int = Field(5000, ge=100)
    """Lenses drawn for the seeing and depth of the hosts, of which each host gets one that its
    galaxy could be."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for key in ("hosts", "sources"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: an entry is listed twice in {values}")
        return self
