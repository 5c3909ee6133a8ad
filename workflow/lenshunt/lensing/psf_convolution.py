"""Fourier transforms of PSFs, made once, and the convolution of model images with them."""

from dataclasses import dataclass, replace

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from lenshunt.core.fourier import fourier_box, kernel_reach


@dataclass(frozen=True)
class PsfTransform:
    """Fourier transform of PSFs for images of one size, without wrap-around.

    spectrum : complex [batch or 1, band or 1, fy, fx // 2 + 1]; box : (fy, fx)
    size_px : of the images; None leaves it unchecked
    """

    spectrum: torch.Tensor
    box: tuple[int, int]
    size_px: int | None = None

    def block(self, part: slice) -> "PsfTransform":
        """The transforms of some samples of the batch."""
        return self if len(self.spectrum) == 1 else replace(self, spectrum=self.spectrum[part])

    def to(self, dtype: torch.dtype) -> "PsfTransform":
        """For images of the real type `dtype`."""
        wanted = dtype.to_complex()
        if self.spectrum.dtype == wanted:
            return self
        return replace(self, spectrum=self.spectrum.to(wanted))


def psf_transform(
    psf: torch.Tensor, size_px: int, dtype: torch.dtype | None = None
) -> PsfTransform:
    """Transform of `psf` [h, w], [band, h, w] or [batch, band, h, w] for images of `size_px`.

    psf : odd sides, centred on the middle pixel, unit sum; no bands means one PSF for all
    dtype : of the images; where none, float64 for a float64 PSF, else float32
    Raises ValueError for an even side: such a PSF would shift the image by half a pixel.
    """
    if psf.dim() not in (2, 3, 4) or not all(side % 2 for side in psf.shape[-2:]):
        raise ValueError(
            f"PSF of shape {tuple(psf.shape)}: expected [h, w], [band, h, w] or "
            "[batch, band, h, w] with odd h and w, the centre on the middle pixel"
        )
    half = kernel_reach(psf.shape[-2:], (size_px, size_px))
    window = [
        slice(side // 2 - h, side // 2 + h + 1)
        for side, h in zip(psf.shape[-2:], half, strict=True)
    ]
    near = psf[..., window[0], window[1]]
    near = near.to(dtype or torch.promote_types(near.dtype, torch.float32))
    box = fourier_box((size_px, size_px), half)
    padded = torch.nn.functional.pad(near, (0, box[1] - near.shape[-1], 0, box[0] - near.shape[-2]))
    spectrum = torch.fft.rfft2(torch.roll(padded, (-half[0], -half[1]), dims=(-2, -1)))
    spectrum = spectrum.reshape((1,) * (4 - psf.dim()) + spectrum.shape)
    return PsfTransform(spectrum, box, size_px)


_transforms: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def cached_psf_transform(
    psf: torch.Tensor, size_px: int, dtype: torch.dtype | None = None
) -> PsfTransform:
    """The same, kept as long as `psf` lives and is not written to.

    The PSF of an experiment is one tensor that comes with every batch; a new tensor, as for
    per-sample PSFs, is transformed anew. A PSF that needs a gradient is never kept, nor is one
    made in inference mode, whose changes cannot be seen.
    """
    if psf.requires_grad or psf.is_inference():
        return psf_transform(psf, size_px, dtype)
    known = _transforms.setdefault(psf, {})
    key = (size_px, dtype, psf._version)
    if key not in known:
        for stale in [old for old in known if old[-1] != psf._version]:
            del known[stale]
        with torch.inference_mode(False), torch.no_grad():
            known[key] = psf_transform(psf, size_px, dtype)
    return known[key]


def convolve(image: torch.Tensor, psf: PsfTransform) -> torch.Tensor:
    """`image` [batch, part, y, x] convolved with the PSF of every band: [batch, band, part, y, x].

    Light outside the image is taken as none.
    """
    if not len(image):  # which MKL refuses to transform
        return image[:, None].expand(-1, psf.spectrum.shape[1], -1, -1, -1)
    spectrum = torch.fft.rfft2(image, s=psf.box)
    return _inverse(spectrum[:, None] * psf.spectrum[:, :, None], psf.box, image)


def convolve_sum(image: torch.Tensor, fluxes: torch.Tensor, psf: PsfTransform) -> torch.Tensor:
    """Parts of an image, weighted by band, added and convolved: [batch, band, y, x].

    image : [batch, part, y, x]; fluxes : [batch, band, part]
    The sum is taken before the transform back: one per band, whatever the number of parts.
    """
    if not len(image):
        return image[:, :1].expand(-1, fluxes.shape[1], -1, -1)
    spectrum = torch.fft.rfft2(image, s=psf.box)
    total = torch.einsum("bcyx,bkc->bkyx", spectrum, fluxes.to(spectrum.dtype))
    return _inverse(total * psf.spectrum, psf.box, image)


def _inverse(spectrum: torch.Tensor, box: tuple[int, int], image: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft2(spectrum, s=box)[..., : image.shape[-2], : image.shape[-1]]
