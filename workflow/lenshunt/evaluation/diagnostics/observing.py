"""How the test images were taken, so that simulated ones can be taken alike."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from lenshunt.config import Grid
from lenshunt.evaluation.diagnostics.common import Trained, test_batches
from lenshunt.models import CONDITIONS
from lenshunt.models.conditions import OBSERVING_CONDITIONS
from lenshunt.models.inputs import background_sigma, usable_pixels
from lenshunt.schema import SLOTS
from lenshunt.training.loading import Loader

#: Pixels of this many sigma tell how much photon noise a nJy brings.
_BRIGHT_SIGMA = 10.0


@dataclass(frozen=True)
class Observing:
    """Grid, bands, noise and metadata of the commonest kind of test image.

    bands : int [k], slots that have data; filters : their filters, as observed
    sigma_njy, noise_corr : [k], of the background
    photon_njy : [k], variance per nJy of light, from its photon noise
    metadata : float32 [m], columns CONDITIONS; NaN but for how the image was taken
    """

    grid: Grid
    bands: np.ndarray
    filters: tuple[str, ...]
    sigma_njy: np.ndarray
    noise_corr: np.ndarray
    photon_njy: np.ndarray
    metadata: np.ndarray

    def noise(self, rng: np.random.Generator, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Noise of `light` [k, y, x] and its variance, nJy and nJy^2; correlated as in the test."""
        variance = self.sigma_njy[:, None, None] ** 2
        variance = variance + self.photon_njy[:, None, None] * np.maximum(light, 0.0)
        planes = []
        for correlation, plane in zip(self.noise_corr, variance, strict=True):
            white = rng.standard_normal(plane.shape)
            width = correlation_width_px(float(correlation))
            planes.append(np.sqrt(plane) * unit_noise(white, width))
        return np.stack(planes), variance


def correlation_width_px(noise_corr: float) -> float:
    """Sigma of the Gaussian that gives white noise this `noise_corr`, 1 / sum of its squares.

    4 pi sigma^2, but for Gaussians narrower than 0.6 pixels, which their sampling changes.
    """
    narrow, widths = (1.0, 1.03, 1.39, 2.43, 4.07), (0.0, 0.3, 0.4, 0.5, 0.6)
    if noise_corr < narrow[-1]:
        return float(np.interp(noise_corr, narrow, widths))
    return float(np.sqrt(noise_corr / (4 * np.pi)))


def unit_noise(white: np.ndarray, width_px: float) -> np.ndarray:
    """White noise [y, x] of unit variance smoothed, of unit variance again."""
    impulse = np.zeros(white.shape)
    impulse[white.shape[0] // 2, white.shape[1] // 2] = 1.0
    kernel = gaussian_filter(impulse, width_px, mode="wrap")
    return gaussian_filter(white, width_px, mode="wrap") / np.sqrt((kernel**2).sum())


def observing_of(subject: Trained, test: Loader) -> Observing:
    """The commonest bands and filters of the test set, and medians over the images that have them.

    Raises ValueError for a test set without images, or of networks that know no PSF.
    """
    normalisation = subject.normalisation
    if not normalisation.psf_fwhm_arcsec > 0:
        raise ValueError(
            f"{subject.name}: the PSF of its images is unknown (psf_fwhm_arcsec is 0), so that "
            "none can be simulated; train it on a grid of the config, which names its PSF"
        )
    names = test.table[[f"bands_{slot}" for slot in SLOTS]].fillna("").astype(str)
    (commonest, _), *_ = Counter(names.itertuples(index=False, name=None)).most_common(1)
    alike = torch.tensor((names == list(commonest)).all(axis=1).to_numpy())
    bands = np.flatnonzero([bool(name) for name in commonest])
    sigma, correlation, photons, metadata = [], [], [], []
    for batch in test_batches(test, torch.device("cpu")):
        kept = alike[batch["row"]]
        image, variance = batch["image"][kept][:, bands], batch["variance"][kept][:, bands]
        good = usable_pixels(variance, torch.ones(len(image), len(bands)))
        own = background_sigma(variance, good)
        sigma.append(own)
        correlation.append(batch["noise_corr"][kept][:, bands])
        metadata.append(batch["metadata"][kept])
        photons.append(_photon_variance(image, variance, good, own))
    told = torch.cat(metadata).nanmedian(dim=0).values.numpy()
    told[[name not in OBSERVING_CONDITIONS for name in CONDITIONS]] = np.nan
    return Observing(
        grid=Grid(
            psf_fwhm_arcsec=normalisation.psf_fwhm_arcsec,
            moffat_beta=normalisation.psf_moffat_beta,
            pixel_scale_arcsec=normalisation.pixel_scale_arcsec,
            size_px=normalisation.size_px,
        ),
        bands=bands,
        filters=tuple(commonest[band] for band in bands),
        sigma_njy=torch.cat(sigma).nanmedian(dim=0).values.numpy(),
        noise_corr=torch.cat(correlation).nanmedian(dim=0).values.numpy(),
        photon_njy=torch.cat(photons).nanmedian(dim=0).values.nan_to_num(0.0).numpy(),
        metadata=told,
    )


def _photon_variance(
    image: torch.Tensor, variance: torch.Tensor, good: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """Median variance per nJy in the bright pixels of each image, [b, k]; NaN without any."""
    background = sigma[:, :, None, None]
    bright = good & (image > _BRIGHT_SIGMA * background)
    more = (variance - background**2) / torch.where(bright, image, 1.0)
    flat = torch.where(bright, more, torch.nan).flatten(2)
    return flat.nanmedian(dim=2).values.clamp(min=0.0)
