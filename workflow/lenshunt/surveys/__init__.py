"""What is known of each survey: pixel scale, zero points, saturation, PSF, headers."""

from lenshunt.surveys.detect import AUTO, detect_survey, survey_of, surveys_matching
from lenshunt.surveys.facts import Survey, load_surveys, survey_named
from lenshunt.surveys.psf import survey_psf

__all__ = [
    "AUTO",
    "Survey",
    "detect_survey",
    "load_surveys",
    "survey_named",
    "survey_of",
    "survey_psf",
    "surveys_matching",
]
