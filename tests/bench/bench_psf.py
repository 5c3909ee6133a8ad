"""PSF matching of 5-band 64 px cutouts, image and variance, against astropy's convolve_fft."""

import numpy as np
from astropy.convolution import convolve_fft
from harness import Row, best_of

from lenshunt.config import Grid
from lenshunt.images import convolve_batch, matching_kernel, target_psf, transform_kernels
from lenshunt.schema import survey_named, survey_psf

PIXEL_SCALE = 0.168
BANDS = "grizy"


def _cutouts(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(n * len(BANDS), 64, 64)).astype(np.float32)
    variance = rng.uniform(0.5, 2, image.shape).astype(np.float32)
    # A masked patch in every tenth plane, as in survey images.
    variance[::10, 5:12, 40:50] = np.inf
    return image, variance


def _kernels() -> list[np.ndarray]:
    grid = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=PIXEL_SCALE)
    target = target_psf(grid)
    survey = survey_named("hsc")
    sources = [survey_psf(survey, band, PIXEL_SCALE) for band in BANDS]
    size = target.shape[0]
    return [matching_kernel(psf, target, 1.0 / PIXEL_SCALE, size).kernel for psf in sources]


def bench() -> list[Row]:
    """Same planes, same kernels; the peer too treats the mask, one convolve_fft each.

    Ours interpolates the masked pixels besides, the peer leaves zeros: its time is a lower bound.
    """
    ours_n, peer_n = 128, 8
    kernels = _kernels()
    image, variance = _cutouts(ours_n)
    which = np.tile(np.arange(len(BANDS)), ours_n)

    def ours() -> None:
        convolve_batch(image, variance, transform_kernels(kernels, (64, 64)), which)

    def peer() -> None:
        for plane in range(peer_n * len(BANDS)):
            kernel = kernels[plane % len(BANDS)]
            bad = ~np.isfinite(variance[plane])
            options = {"normalize_kernel": False, "nan_treatment": "fill", "boundary": "fill"}
            convolve_fft(np.where(bad, 0, image[plane]), kernel, **options)
            convolve_fft(np.where(bad, 0, variance[plane]), kernel**2, **options)
            if bad.any():
                convolve_fft(bad.astype(float), np.abs(kernel), **options)

    return [
        Row(
            what="PSF matching, 5 bands of 64 px, image + variance (s per cutout)",
            ours=best_of(ours) / ours_n,
            peer=best_of(peer) / peer_n,
            bar=6.0,
        )
    ]
