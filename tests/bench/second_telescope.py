"""What the second survey's telescope makes of a scene: PSF, pixels, noise and masks."""

import numpy as np
from scipy import fft
from second_sky import FINE, PIXEL, SIZE

PADDED = 216  # fine pixels; a fast length that leaves 1.4 arcsec for the PSF to run over the edge
MASKED = 100.0  # what the challenge writes into masked pixels
SKY_SIGMA = np.array([1.5e-12, 3.2e-12, 1.25e-12, 2.0e-12])  # maggies per pixel
SKY_MAG = np.array([21.0, 19.8, 22.0, 22.4])  # per square arcsec, a dark site
SEEING = np.array([0.75, 0.70, 0.85, 1.00])  # median FWHM, arcsec

KX = fft.rfftfreq(PADDED // 2, PIXEL).astype(np.float32)[None]  # cycles per arcsec
KY = fft.fftfreq(PADDED // 2, PIXEL).astype(np.float32)[:, None]
# Transform of the sum over the 2x2 fine pixels of each pixel; 4 for the shorter inverse transform.
PIXEL_SUM = (1 + np.exp(2j * np.pi * FINE * KX)) * (1 + np.exp(2j * np.pi * FINE * KY)) / 4


def draw_psf(rng: np.random.Generator) -> np.ndarray:
    """Transforms (4, 108, 55) of the PSFs: two Gaussians and a weak wing, slightly elliptical."""
    fwhm = SEEING * np.exp(rng.normal(0, 0.06)) * np.exp(rng.normal(0, 0.08, 4))
    shape = rng.rayleigh(0.04) * np.exp(2j * rng.uniform(0, np.pi))
    e1, e2 = np.float32(shape.real), np.float32(shape.imag)
    k2 = KX**2 * (1 + e1) + KY**2 * (1 - e1) + 2 * e2 * KX * KY
    k = np.sqrt(k2)
    psf = np.empty((4, *k.shape), np.complex64)
    for transform, width in zip(psf, fwhm.astype(np.float32), strict=True):
        core = 2 * (np.float32(np.pi * 0.92 / 2.355) * width) ** 2
        # exp(-2 pi a k) is the transform of (1 + r^2/a^2)^(-3/2): light scattered far out.
        wing = np.exp(np.float32(-2 * np.pi * 1.2) * width * k)
        transform[:] = 0.75 * np.exp(-core * k2) + 0.21 * np.exp(-3 * core * k2) + 0.04 * wing
    return psf * PIXEL_SUM.astype(np.complex64)


def observe(scene: np.ndarray, psf: np.ndarray) -> np.ndarray:
    """Noiseless images (4, 101, 101) of a scene (4, 202, 202): blurred, summed into pixels."""
    spectrum = fft.rfft2(scene, s=(PADDED, PADDED))
    # The atmosphere leaves nothing finer than the pixels, so that the way back is at their scale.
    ny, nx = psf.shape[1:]
    coarse = np.concatenate([spectrum[:, : ny // 2, :nx], spectrum[:, -ny // 2 :, :nx]], axis=1)
    return fft.irfft2(coarse * psf, s=(ny, ny))[:, :SIZE, :SIZE]


def add_noise(images: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sky noise, the objects' own photon noise and a small error of the sky's subtraction."""
    # The sky's brightness and its noise together tell how many photons a maggie stands for. At
    # hundreds of sky photons per pixel the counts are Gaussian.
    sky = 10 ** (-0.4 * SKY_MAG) * PIXEL**2
    flux_per_photon = (SKY_SIGMA**2 / sky).astype(np.float32)[:, None, None]
    variance = (sigma**2).astype(np.float32)[:, None, None] + images.clip(0) * flux_per_photon
    noise = np.sqrt(variance) * rng.standard_normal(images.shape, np.float32)
    offset = rng.normal(0, 0.04 * sigma).astype(np.float32)[:, None, None]
    return images + noise + offset


def mask_something(images: np.ndarray, rng: np.random.Generator) -> None:
    """Mask the surroundings of a bright star, or a bleeding column, away from the middle."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    turn, distance = rng.uniform(0, 2 * np.pi), rng.uniform(25, 60)
    x, y = distance * np.cos(turn), distance * np.sin(turn)
    bad = np.hypot(columns - x, rows - y) < rng.uniform(4, min(16, distance - 18))
    if abs(x) > 18 and rng.random() < 0.5:
        bad |= np.abs(columns - x) < rng.uniform(1, 4)
    images[:, bad] = MASKED
