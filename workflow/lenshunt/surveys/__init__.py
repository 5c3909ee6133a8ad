"""What is known of each survey: pixel scale, zero points, saturation, PSF."""

from lenshunt.surveys.facts import Survey, load_surveys, survey_named
from lenshunt.surveys.psf import moffat_psf, survey_psf

__all__ = ["Survey", "load_surveys", "moffat_psf", "survey_named", "survey_psf"]
