"""Section `grids`: what every cutout of a training looks like."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.schema import AUTO, survey_named


class Grid(Strict):
    """A common grid: what every cutout of a training looks like."""

    psf_fwhm_arcsec: float = Field(gt=0)
    """FWHM of the Moffat target PSF."""
    moffat_beta: float = Field(3.0, gt=1)
    """Moffat exponent of the target PSF."""
    pixel_scale_arcsec: float = Field(gt=0)
    """Size of a pixel."""
    size_px: int = Field(64, ge=16)
    """Side of the cutouts."""
    psf_residual_max: float = Field(0.01, gt=0)
    """Gate on the growth-curve difference between matched and target PSF."""
    unmatched: Literal["error", "keep", "drop"] = "error"
    """Cutouts whose PSF cannot be matched to the target within `psf_residual_max`, mostly as it is
    broader: stop (before any job where a survey's PSF is broader, else when the kernels are made,
    naming the cutouts), keep them (psf_matched is false), or keep them out of the shards."""


def check_grids(grids: Mapping[str, Grid], datasets: Mapping[str, DatasetSection]) -> list[str]:
    """Surveys that are unknown, or whose images are too broad for a grid that keeps none such."""
    problems = []
    for name, dataset in datasets.items():
        # headers tell this survey; a PSF broader than the target is then found when matching
        if dataset.survey == AUTO:
            continue
        try:
            fwhm = survey_named(dataset.survey, f"datasets.{name}.survey").psf_fwhm_arcsec
        except KeyError as error:
            problems.append(str(error.args[0]))
            continue
        for grid_name in dataset.grids:
            grid = grids.get(grid_name)
            if grid and grid.unmatched == "error" and min(fwhm.values()) > grid.psf_fwhm_arcsec:
                problems.append(
                    f"grids.{grid_name}.psf_fwhm_arcsec: the target of {grid.psf_fwhm_arcsec} "
                    f"arcsec is sharper than the PSF of {name} ({min(fwhm.values())} arcsec); "
                    "raise it, or set unmatched to keep or drop"
                )
    return problems


def keeps_broader(grid: Grid, survey: str) -> bool:
    """Whether images of a survey are kept with a PSF that is broader than the target of `grid`."""
    if survey == AUTO or grid.unmatched != "keep":
        return False
    try:
        fwhm = survey_named(survey).psf_fwhm_arcsec
    except KeyError:
        return False  # told by `check_grids`
    return min(fwhm.values()) > grid.psf_fwhm_arcsec
