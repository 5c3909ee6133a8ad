"""Images: preparation, PSF matching, resampling, photometry, quality, 16-bit files."""

from lenshunt.images.background import remove_background
from lenshunt.images.convolution import convolve_batch, transform_kernels
from lenshunt.images.homogenise import homogenise_chunk
from lenshunt.images.kernels import kernel_for, make_kernels
from lenshunt.images.matching import Match, matching_kernel, noise_correlation
from lenshunt.images.photometry import aperture_photometry
from lenshunt.images.prepare import prepare_chunk
from lenshunt.images.psf import fwhm, growth_curve, psf_residual, target_psf
from lenshunt.images.quality import assess
from lenshunt.images.rejected import merge_rejected
from lenshunt.images.resampling import resampling
from lenshunt.images.stars import psf_from_stars
from lenshunt.images.tiff16 import CutoutFile, read_cutouts

__all__ = [
    "CutoutFile",
    "Match",
    "aperture_photometry",
    "assess",
    "convolve_batch",
    "fwhm",
    "growth_curve",
    "homogenise_chunk",
    "kernel_for",
    "make_kernels",
    "matching_kernel",
    "merge_rejected",
    "noise_correlation",
    "prepare_chunk",
    "psf_from_stars",
    "psf_residual",
    "read_cutouts",
    "remove_background",
    "resampling",
    "target_psf",
    "transform_kernels",
]
