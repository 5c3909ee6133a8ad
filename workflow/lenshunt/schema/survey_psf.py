"""The PSF of a survey where none is shipped: a Moffat profile of its seeing."""

import numpy as np

from lenshunt.core.moffat import moffat_psf
from lenshunt.schema.surveys import Survey


def survey_psf(
    survey: Survey,
    filter_name: str,
    pixel_scale_arcsec: float,
    fwhm_arcsec: float | None = None,
) -> np.ndarray:
    """PSF of `survey` in `filter_name`, float32 [h, w], unit sum, 99.9 % of the flux inside.

    fwhm_arcsec : seeing of this image where its header tells; the survey's typical one where None
    """
    fwhm = survey.psf_fwhm(filter_name) if fwhm_arcsec is None else fwhm_arcsec
    return moffat_psf(fwhm, survey.moffat_beta, pixel_scale_arcsec)
