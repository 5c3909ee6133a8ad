"""PSF jitter: images made broader, and what that does to their noise, masks and metadata."""

import math

import torch

from lenshunt.models import CONDITIONS
from lenshunt.models.conditions import SEEING_CONDITIONS

#: FWHM of a Gaussian in units of its sigma.
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
#: A pixel of which less than this fraction was drawn from usable pixels is unusable.
USABLE_WEIGHT_MIN = 0.999
_SEEING = [CONDITIONS.index(name) for name in SEEING_CONDITIONS]
#: Three reach the precision of float32 for every noise_corr from 1 to 100,000.
_NEWTON_STEPS = 4


def discrete_gaussian(variance_px2: torch.Tensor, size: int) -> torch.Tensor:
    """T(n, t) = e^-t I_n(t) at n = 0 .. size - 1, [..., size], of variance t [...] px^2.

    The discrete analogue of the Gaussian (Lindeberg 1990, IEEE PAMI 12, 234), of unit sum over all
    n: unlike samples of a Gaussian, it has its variance however narrow it is, and two of them
    convolved are a third one. By way of its Fourier transform, exp(t (cos w - 1)).
    """
    angle = torch.arange(size + 1, device=variance_px2.device) * (math.pi / size)
    spectrum = torch.exp(variance_px2[..., None] * (angle.cos() - 1.0))
    return torch.fft.irfft(spectrum, n=2 * size)[..., :size]


def smoothing_of(noise_corr: torch.Tensor) -> torch.Tensor:
    """2 s^2 [px^2] of white noise that a `discrete_gaussian` of variance s^2 smoothed in x and y.

    Its autocorrelation is T(n, 2 s^2) / T(0, 2 s^2) along each, and the sum of that over all n is
    sqrt(noise_corr). 0, white noise, where noise_corr is 1 or less.
    """
    corr = noise_corr.clamp(min=1.0)
    x = (corr - 1.0) / (2.0 * math.pi)
    for _ in range(_NEWTON_STEPS):
        # -ln T(0, x) is concave: from below, Newton's steps come near its value and never pass it
        at_zero = torch.special.i0e(x)
        x = x + (0.5 * corr.log() + at_zero.log()) / (1.0 - torch.special.i1e(x) / at_zero)
    return x.clamp(min=0.0)


def broadened(
    image: torch.Tensor, variance: torch.Tensor, noise_corr: torch.Tensor, added_px2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Square images [b, band, y, x] convolved with round Gaussians, their variance and noise_corr.

    added_px2 : [b], variance of the Gaussian along each axis; noise_corr : [b, band]
    With k the Gaussian and r the autocorrelation of the noise, which noise_corr tells if white
    noise was smoothed by a Gaussian, as matching roughly does,
        new variance = sum over pixels of variance x h, h = k (k * r):
    for white noise the convolution with k^2 that images.convolution makes, for smoother noise
    less is averaged away. After kernels that take Moffats of 0.5 to 0.9 arcsec to 1.0 that is 6 %
    too little to 15 % too much. The noise of wide sums stays what it was: noise_corr grows by as
    much as the variance falls. A pixel that draws on an unusable one, or on the outside, is
    unusable.
    """
    size = image.shape[-1]
    smoothing, added = smoothing_of(noise_corr), added_px2[:, None]
    kernel = discrete_gaussian(added, size)
    # k * r, of two such Gaussians, is one itself, over T(0, 2 s^2)
    share = kernel * discrete_gaussian(smoothing + added, size)
    share = share / torch.special.i0e(smoothing)[..., None]
    good = torch.isfinite(variance)
    seen = torch.where(good, image, 0.0)
    usable = _convolved(good.to(image.dtype), kernel) > USABLE_WEIGHT_MIN
    new_image = torch.where(usable, _convolved(seen, kernel), 0.0)
    noise = _convolved(torch.where(good, variance, 0.0), share)
    # the sum of h over all pixels, of both axes
    kept = torch.special.i0e(smoothing + 2.0 * added) / torch.special.i0e(smoothing)
    return new_image, torch.where(usable, noise, torch.inf), noise_corr / kept.square()


def _convolved(planes: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """planes [b, band, n, n] with the symmetric kernel [b, 1 or band, n] along x and along y.

    As products of matrices: exact in float32 on a GPU too, where convolutions may be rounded, and
    nothing wraps around.
    """
    place = torch.arange(kernel.shape[-1], device=kernel.device)
    matrix = kernel[..., (place[:, None] - place).abs()]
    return matrix @ planes @ matrix


def broadened_conditions(
    metadata: torch.Tensor, psf_matched: torch.Tensor, fwhm_arcsec: torch.Tensor
) -> torch.Tensor:
    """Conditions [b, m] of images that a Gaussian of `fwhm_arcsec` [b] made broader.

    Where the PSF is kept, seeing and PSF FWHM grow in quadrature: right for Gaussians, 1 to 6 % too
    little for Moffats of beta 3. Where it was matched, psf_matched [b], both tell of the image
    before that, and stay.
    """
    before = metadata[:, _SEEING]
    after = 0.5 * torch.log10(10.0 ** (2.0 * before) + fwhm_arcsec[:, None].square())
    new = metadata.clone()
    new[:, _SEEING] = torch.where(psf_matched[:, None], before, after)
    return new
