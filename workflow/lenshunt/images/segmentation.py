"""Arcs and companions of a galaxy as segments: where they are, and their fluxes in every band."""

import warnings

import numpy as np
from photutils.segmentation import deblend_sources, detect_sources
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import binary_dilation, gaussian_filter
from tqdm import tqdm

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.core.moffat import moffat_alpha, moffat_profile
from lenshunt.core.robust import lower_half_sigma
from lenshunt.images.lens_light import WithoutLens, light_centre, stack, subtract_lens_light
from lenshunt.images.segments import GEOMETRY, Segments, write_segments
from lenshunt.images.tiff16 import read_cutouts
from lenshunt.schema import SLOTS, count_rows

#: Pixels of a segment stand this many sigma above the sky of the smoothed image.
THRESHOLD_SIGMA = 2.5
#: Width of that smoothing in units of the PSF's: less than 1, so that neighbours stay apart.
SMOOTHING = 0.7
#: Fraction of a segment's flux that a part needs to be a segment of its own.
DEBLEND_CONTRAST = 0.02
DEBLEND_LEVELS = 16
#: Radius about the centre of the galaxy, in FWHM, where no residual is believed.
CORE_FWHM = 0.5
#: A band is missing in a segment when more than this fraction of its pixels is unusable there.
MASKED_FRACTION_MAX = 0.2
#: Arcs reach this far, in FWHM, beyond the pixels in which they are detected.
WINGS_FWHM = 0.5
#: Error of the lens light under a segment as a fraction of it: the same sign in all its pixels.
#: With it colours of simulated arcs of S/N 100 scatter as their errors say (tests/science).
LIGHT_ERROR = 0.03
#: Radius in FWHM of the stamp in which a segment is compared with the PSF.
PSF_STAMP_FWHM = 1.5


def find_segments(
    image: np.ndarray,
    variance: np.ndarray,
    noise_corr: np.ndarray,
    grid: Grid,
    config: SegmentsConfig,
    progress: tqdm | None = None,
) -> Segments:
    """Segments of homogenised cutouts, after their lens light is taken off.

    image, variance : [n, band, y, x], nJy and nJy^2; +inf on unusable pixels and in absent bands
    noise_corr : [n, band], variance of a sum over a large box / sum of the variances
    Deterministic; each cutout depends on itself alone.
    """
    found = Segments.empty(len(image), config.n_max, image.shape[1])
    for row in range(len(image)):
        table = _of_cutout(image[row], variance[row], noise_corr[row], grid, config)
        count = len(table["snr"])
        found.count[row] = count
        for name, values in table.items():
            getattr(found, name)[row, :count] = values
        if progress is not None:
            progress.update()
    return found


def _of_cutout(
    image: np.ndarray,
    variance: np.ndarray,
    noise_corr: np.ndarray,
    grid: Grid,
    config: SegmentsConfig,
) -> dict[str, np.ndarray]:
    """Columns of `Segments` of one cutout [band, y, x], at most n_max rows."""
    fwhm_px = grid.psf_fwhm_arcsec / grid.pixel_scale_arcsec
    present = np.isfinite(variance).any(axis=(1, 2))
    if not present.any():
        return {"snr": np.empty(0)}
    correlation = float(noise_corr[present].mean())
    without = subtract_lens_light(image, variance, config.method, fwhm_px)
    labels = _labels(image, variance, without, correlation, fwhm_px)
    if labels.any():
        # Arcs that are known take no part in the light of the lens, nor do their wings.
        foreign = binary_dilation(labels > 0, structure=_disc(WINGS_FWHM * fwhm_px))
        without = subtract_lens_light(image, variance, config.method, fwhm_px, foreign)
        labels = _labels(image, variance, without, correlation, fwhm_px)
    rows: list[dict] = []
    for label in range(1, labels.max() + 1):
        row = _measured(label, labels, without, noise_corr, fwhm_px)
        if row is not None and row["snr"] >= config.snr_min:
            rows.append(row)
    rows = sorted(rows, key=lambda row: -row["snr"])[: config.n_max]
    if not rows:
        return {"snr": np.empty(0)}
    table = {
        name: np.array([row[name] for row in rows]) for name in ("flux", "variance", *GEOMETRY)
    }
    middle = (np.array(labels.shape) - 1) / 2
    table["x"] = (table["x"] - middle[1]) * grid.pixel_scale_arcsec
    table["y"] = (table["y"] - middle[0]) * grid.pixel_scale_arcsec
    table["area"] = table["area"] * grid.pixel_scale_arcsec**2
    return table


def _disc(radius: float) -> np.ndarray:
    """bool [y, x], pixels within `radius` of the middle one."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(np.hypot(y, x) <= radius)


def _labels(
    image: np.ndarray,
    variance: np.ndarray,
    without: WithoutLens,
    correlation: float,
    fwhm_px: float,
) -> np.ndarray:
    """Number of the segment that each pixel belongs to, int [y, x]; 0 for none."""
    detection = stack(without.image, without.variance)
    sigma_px = SMOOTHING * fwhm_px / 2.355
    smooth = gaussian_filter(detection, sigma_px, mode="constant")
    y, x = np.indices(smooth.shape)
    centre = light_centre(stack(image, variance), fwhm_px)
    core = np.hypot(y - centre[0], x - centre[1]) < CORE_FWHM * fwhm_px
    off = core | ~np.isfinite(without.variance).any(axis=0)
    if off.all():
        return np.zeros(smooth.shape, int)
    threshold = THRESHOLD_SIGMA * _sky_sigma(smooth[~off], sigma_px, correlation)
    least = max(5, round(0.5 * np.pi * (fwhm_px / 2) ** 2))
    with warnings.catch_warnings():
        # an empty cutout is no reason to warn
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = detect_sources(smooth, threshold, least, mask=off)
    if found is None:
        return np.zeros(smooth.shape, int)
    parts = deblend_sources(
        smooth,
        found,
        least,
        n_levels=DEBLEND_LEVELS,
        contrast=DEBLEND_CONTRAST,
        mode="linear",
        progress_bar=False,
    )
    return np.asarray(parts.data)


def _sky_sigma(smooth: np.ndarray, sigma_px: float, correlation: float) -> float:
    """Noise of the smoothed stack [pixels], measured, within what theory allows.

    White noise of unit variance leaves 1 / (2 sqrt(pi) sigma_px) of itself; noise that is
    correlated leaves more, at most all and at most sqrt(noise_corr) as much.
    """
    white = min(1 / (2 * np.sqrt(np.pi) * sigma_px), 1.0)
    # of the lower half alone: arcs are above
    measured = lower_half_sigma(smooth)
    return float(np.clip(measured, white, max(min(white * np.sqrt(correlation), 1.0), white)))


def _measured(
    label: int,
    labels: np.ndarray,
    without: WithoutLens,
    noise_corr: np.ndarray,
    fwhm_px: float,
) -> dict[str, np.ndarray | float] | None:
    """Fluxes and geometry of one segment, in pixels; None where no band is usable.

    All bands are summed over the same pixels, those that are usable in every band that counts:
    bands of one PSF then have colours without aperture errors.
    """
    y, x = np.nonzero(labels == label)
    usable = np.isfinite(without.variance[:, y, x])
    counts = (~usable).mean(axis=1) <= MASKED_FRACTION_MAX
    if not counts.any():
        return None
    pixels = usable[counts].all(axis=0)
    if not pixels.any():
        return None
    y, x = y[pixels], x[pixels]
    flux = np.where(counts, without.image[:, y, x].sum(axis=1), 0.0)
    correlation = segment_noise_correlation(noise_corr, len(y))
    noise = correlation * without.noise[:, y, x].sum(axis=1)
    light = LIGHT_ERROR * without.model[:, y, x].sum(axis=1)
    variance = np.where(counts, noise + light**2, np.inf)
    snr = stack(without.image[counts], without.variance[counts])
    weight = np.clip(snr[y, x], 0, None)
    if weight.sum() <= 0:
        return None
    # the sum of the bands' S/N, as in the stack: noise alone has none, whatever its sign
    total = float((flux[counts] / np.sqrt(variance[counts])).sum()) / np.sqrt(counts.sum())
    at_y, at_x = (float((weight * axis).sum() / weight.sum()) for axis in (y, x))
    return {
        "flux": flux,
        "variance": variance,
        "x": at_x,
        "y": at_y,
        "area": float(len(y)),
        "snr": total,
        "psf_likeness": _psf_likeness(snr, labels, label, (at_y, at_x), fwhm_px),
    }


def segment_noise_correlation(noise_corr: np.ndarray, pixels: int) -> np.ndarray:
    """Variance of a sum over `pixels` pixels / sum of their variances, given that of a large box.

    1 for one pixel, noise_corr for many; between them noise_corr A / (A + noise_corr - 1) for A
    pixels. For matched HSC images (noise_corr 40) that is 7.5 for 3 x 3 pixels, 16 for 5 x 5 and
    30 for a 2 arcsec aperture; the true numbers are 7, 13 and 25 (`aperture_noise_correlation`).
    """
    return noise_corr * pixels / (pixels + noise_corr - 1)


def _psf_likeness(
    snr: np.ndarray, labels: np.ndarray, label: int, at: tuple[float, float], fwhm_px: float
) -> float:
    """Squared cosine between segment and PSF, without the noise: 1 for a point source.

    Over the segment and the disc of PSF_STAMP_FWHM about it, without other segments.
    snr : [y, x], the stacked residual in units of its noise
    """
    pixels = np.indices(snr.shape, dtype=float)
    distance2 = ((pixels - np.array(at)[:, None, None]) ** 2).sum(axis=0)
    near = (labels == label) | (distance2 <= (PSF_STAMP_FWHM * fwhm_px) ** 2)
    near &= (labels == label) | (labels == 0)
    # the homogenised PSF is a Moffat of exponent 3
    psf = moffat_profile(distance2[near], moffat_alpha(fwhm_px, 3.0), 3.0)
    data = snr[near]
    power = float((data**2).sum() - near.sum())
    overlap = float((data * psf).sum() ** 2 / (psf**2).sum() - 1)
    return float(np.clip(overlap / power, 0.0, 1.0)) if power > 0 and overlap > 0 else 0.0


def segment_chunk(
    *, cutouts: str, metadata: str, grid: Grid, config: SegmentsConfig, out: str
) -> None:
    """Find the segments of every cutout of a chunk and write them to `out`, in the same order.

    cutouts, metadata : TIFF and Parquet of `homogenise_chunk`
    """
    parts: list[Segments] = [Segments.empty(0, config.n_max, len(SLOTS))]
    names: list[str] = []
    total = count_rows(metadata)
    with tqdm(total=total, desc="segments", unit="cutout", disable=None) as progress:
        for image, variance, rows in read_cutouts(cutouts, metadata):
            correlation = rows[[f"noise_corr_{slot}" for slot in SLOTS]].to_numpy(float)
            parts.append(find_segments(image, variance, correlation, grid, config, progress))
            names.extend(rows["sample_id"])
    write_segments(out, Segments.joined(parts), names)
