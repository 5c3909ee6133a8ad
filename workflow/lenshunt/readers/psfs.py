"""Shipped PSFs brought to the form of the record: odd square sides, centred, unit sum."""

import numpy as np

#: Offsets from the middle pixel below this are left alone: they move a matched image by as little.
_CENTRED_PX = 0.05
#: Zeros around a PSF while it is moved, against wrapping.
_MARGIN_PX = 8


def shipped_psf(psf: np.ndarray, where: str) -> np.ndarray:
    """A shipped PSF image as float32 [n, n], n odd, unit sum, its core on the middle pixel.

    Files hold PSFs of even sides and PSFs up to a pixel off their middle. Homogenisation wants
    the shape alone (an offset would move every image that is matched with it), so the core is
    moved to the middle with a Fourier shift: PSFs are band limited, a spline would broaden them.
    Raises ValueError where the image is not 2-D, not finite or has no positive sum.
    """
    psf = np.asarray(psf, dtype=np.float64)
    if psf.ndim != 2 or not np.isfinite(psf).all() or psf.sum() <= 0:
        raise ValueError(f"{where}: PSF of shape {psf.shape} is not a finite 2-D image of flux > 0")
    side = max(psf.shape) + 1 - max(psf.shape) % 2
    framed = np.zeros((side + 2 * _MARGIN_PX,) * 2)
    # the brightest pixel goes to the middle, then the remaining fraction of a pixel is moved
    peak = np.unravel_index(int(psf.argmax()), psf.shape)
    middle = len(framed) // 2
    y0, x0 = (middle - int(p) for p in peak)
    ends = (y0 + psf.shape[0], x0 + psf.shape[1])
    if min(y0, x0) < 0 or max(ends) > len(framed):
        raise ValueError(f"{where}: PSF peaks at {peak} of {psf.shape}, too far from its middle")
    framed[y0 : ends[0], x0 : ends[1]] = psf
    offset = np.array([core_offset(framed.sum(axis=1)), core_offset(framed.sum(axis=0))])
    if np.abs(offset).max() > _CENTRED_PX:
        framed = _moved(framed, -offset)
    centred = framed[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    return (centred / centred.sum()).astype(np.float32)


def core_offset(marginal: np.ndarray) -> float:
    """Offset in pixels of the core of a marginal profile [n], n odd, from its middle pixel.

    The point about which the profile is balanced under a Gaussian window of 2 pixels sigma that
    moves with it (SExtractor's windowed centroid in one dimension).
    """
    x = np.arange(len(marginal)) - len(marginal) // 2
    centre = 0.0
    for _ in range(30):
        window = marginal * np.exp(-0.5 * ((x - centre) / 2.0) ** 2)
        # twice the step: the window halves the response where it is as wide as the core
        step = 2.0 * float((window * (x - centre)).sum()) / float(window.sum())
        centre = float(np.clip(centre + step, -1.0, 1.0))
        if abs(step) < 1e-4:
            break
    return centre


def _moved(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """`image` moved by `shift` (y, x) pixels, up to one pixel, with a Fourier phase."""
    ky = np.fft.fftfreq(image.shape[0])[:, None]
    kx = np.fft.rfftfreq(image.shape[1])[None, :]
    phase = np.exp(-2j * np.pi * (ky * shift[0] + kx * shift[1]))
    return np.fft.irfft2(np.fft.rfft2(image) * phase, image.shape)


def common_size(psfs: list[np.ndarray]) -> list[np.ndarray]:
    """Odd square PSFs padded with zeros to the largest side among them."""
    side = max(psf.shape[0] for psf in psfs)
    margins = [(side - psf.shape[0]) // 2 for psf in psfs]
    return [np.pad(psf, margin) for psf, margin in zip(psfs, margins, strict=True)]
