"""Checks of networks that render images: some image must have the PSF that they render with."""

from collections.abc import Mapping

from lenshunt.config.models import ModelConfig
from lenshunt.config.root import Config, Grid
from lenshunt.surveys import AUTO, survey_named


def check_renders(config: Config, models: Mapping[str, ModelConfig]) -> list[str]:
    """Experiments whose training images are all of surveys too broad for the PSF of their grid.

    Where `unmatched: keep` leaves them as they are, a network that renders fits none of them: it
    would be trained as a plain one.
    """
    problems: list[str] = []
    for name, experiment in config.experiments.items():
        grid = config.grids.get(experiment.grid)
        known = [config.datasets[d].survey for d in experiment.train if d in config.datasets]
        if grid is None or not known or not all(_broader(survey, grid) for survey in known):
            continue
        problems += [
            f"experiments.{name}.models: {model} (architecture {models[model].architecture}) "
            f"renders images with the PSF of grid {experiment.grid}, which is sharper than all "
            f"that it would be trained on ({', '.join(experiment.train)}); raise "
            f"grids.{experiment.grid}.psf_fwhm_arcsec, or remove {model}"
            for model in experiment.models
            if model in models and models[model].facts.renders
        ]
    return problems


def _broader(survey: str, grid: Grid) -> bool:
    """Whether images of a survey are kept with a PSF that is broader than the target."""
    if survey == AUTO or grid.unmatched != "keep":
        return False
    try:
        fwhm = survey_named(survey).psf_fwhm_arcsec
    except KeyError:
        return False  # told where surveys are checked
    return min(fwhm.values()) > grid.psf_fwhm_arcsec
