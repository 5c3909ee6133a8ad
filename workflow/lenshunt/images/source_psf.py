"""The PSF of a cutout: shipped, else from stars of its field, else the survey's."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lenshunt.images.psf import centred_stamp, fwhm
from lenshunt.images.stars import psf_from_stars
from lenshunt.schema import SLOTS, Cutout, Metadata, survey_named, survey_psf

#: (raw_file, filter) -> image [y, x] of the whole field, NaN where unusable, and its pixel scale in
#: arcsec; None where there is no field in which stars may be found.
StarField = Callable[[str, str], tuple[np.ndarray, float] | None]


class PsfFinder:
    """Finds the PSFs of the cutouts of one data set; keeps one star PSF per field and filter."""

    def __init__(self, star_field: StarField) -> None:
        self._star_field = star_field
        self._from_stars: dict[tuple[str, str], tuple[np.ndarray, float] | None] = {}
        self._last_found: dict[int, np.ndarray] = {}
        self._last_stack = np.zeros((len(SLOTS), 1, 1), np.float32)

    def psf_of(self, cutout: Cutout) -> tuple[np.ndarray, str]:
        """PSFs float32 [band, h, w] (zeros in absent bands) and where they came from.

        The source is shipped, stars or survey; of several, joined by ";" in the order of bands.
        """
        if cutout.psf is not None:
            return cutout.psf, cutout.metadata.psf_source or "shipped"
        found: dict[int, np.ndarray] = {}
        sources: dict[str, None] = {}
        for band, flag in enumerate(cutout.metadata.band_flags):
            if flag:
                found[band], source = self._band_psf(cutout.metadata, band)
                sources[source] = None
        return self._stacked(found), ";".join(sources)

    def _stacked(self, found: dict[int, np.ndarray]) -> np.ndarray:
        """PSFs float32 [band, h, w]; the same array again for the same PSFs as the last time."""
        last = self._last_found
        if found.keys() == last.keys() and all(found[band] is last[band] for band in found):
            return self._last_stack
        size = max(psf.shape[0] for psf in found.values())
        stack = np.zeros((len(SLOTS), size, size), np.float32)
        for band, psf in found.items():
            stack[band] = centred_stamp(psf, size)
        self._last_found, self._last_stack = found, stack
        return stack

    def _band_psf(self, metadata: Metadata, band: int) -> tuple[np.ndarray, str]:
        filter_name, scale = metadata.bands[band], round(metadata.pixel_scale, 6)
        stars = self._stars(metadata.raw_file, filter_name, metadata.survey)
        if stars is not None and abs(stars[1] / metadata.pixel_scale - 1) < 1e-3:
            return stars[0], "stars"
        seeing = metadata.seeing if np.isfinite(metadata.seeing) else None
        return _survey_psf(metadata.survey, filter_name, scale, seeing), "survey"

    def _stars(
        self, raw_file: str, filter_name: str, survey: str
    ) -> tuple[np.ndarray, float] | None:
        key = (raw_file, filter_name)
        if key not in self._from_stars:
            field = self._star_field(raw_file, filter_name)
            result = None
            if field is not None:
                image, scale = field
                guess_px = survey_named(survey).psf_fwhm(filter_name, raw_file) / scale
                psf = psf_from_stars(image, guess_px)
                result = None if psf is None else (psf, scale)
            self._from_stars[key] = result
        return self._from_stars[key]


@lru_cache(maxsize=256)
def _survey_psf(survey: str, filter_name: str, scale: float, seeing: float | None) -> np.ndarray:
    return survey_psf(survey_named(survey), filter_name, scale, seeing)


@lru_cache(maxsize=1024)
def _fwhm_of_bytes(data: bytes, side: int, scale: float) -> float:
    return fwhm(np.frombuffer(data, np.float32).reshape(-1, side), scale)


def fwhm_of(psf: np.ndarray, pixel_scale_arcsec: float) -> float:
    """FWHM in arcsec, remembered: many cutouts of a survey share one PSF."""
    array = np.ascontiguousarray(psf, np.float32)
    return _fwhm_of_bytes(array.tobytes(), array.shape[1], round(pixel_scale_arcsec, 6))
