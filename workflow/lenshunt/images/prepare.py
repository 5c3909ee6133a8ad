"""Raw objects to records: sky removed, variance, PSF, photometry; what fails is listed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from lenshunt.core import pipeline_commit
from lenshunt.images.background import fill_variance, remove_background
from lenshunt.images.photometry import aperture_photometry
from lenshunt.images.rejected import write_rejected
from lenshunt.images.source_psf import PsfFinder, StarField, fwhm_of
from lenshunt.schema import (
    SLOTS,
    Cutout,
    RecordWriter,
    Rejected,
    magnitude_from_njy,
    njy_from_magnitude,
    reference_band,
)

#: Objects worked on together.
BATCH = 32


def prepare_chunk(
    *,
    name: str,
    objects: Iterable[Cutout | Rejected],
    count: int,
    star_field: StarField,
    pixels: str,
    metadata: str,
    rejected: str,
) -> None:
    """Write the records of one chunk of data set `name`; memory holds one batch of its objects.

    objects : as a reader yields them; their order is kept
    count : number of objects, rejected ones included
    star_field : of the data set, for cutouts that carry no PSF
    pixels, metadata : HDF5 and Parquet of the records
    rejected : ECSV of the objects that could not be read, with the reason
    """
    finder = PsfFinder(star_field)
    failures: list[Rejected] = []
    shown = tqdm(objects, total=count, desc=f"reading {name}", unit="object", disable=None)
    with RecordWriter(pixels, metadata) as writer:
        for batch in _batches(shown, failures):
            for outcome in prepare_batch(batch, finder):
                if isinstance(outcome, Rejected):
                    failures.append(outcome)
                else:
                    writer.add(outcome)
    write_rejected(failures, count, rejected)


def _batches(
    objects: Iterable[Cutout | Rejected], failures: list[Rejected]
) -> Iterator[list[Cutout]]:
    """Cutouts in the reader's order, BATCH at a time; rejections go to `failures`."""
    waiting: list[Cutout] = []
    for item in objects:
        if isinstance(item, Rejected):
            failures.append(item)
            continue
        waiting.append(item)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def prepare_batch(cutouts: list[Cutout], finder: PsfFinder) -> list[Cutout | Rejected]:
    """Cutouts without sky, with variance, PSF and photometry, in the same order."""
    outcomes: list[Cutout | Rejected | None] = [None] * len(cutouts)
    groups: dict[tuple, list[int]] = {}
    for index, cutout in enumerate(cutouts):
        key = (cutout.image.shape, round(cutout.metadata.pixel_scale, 6))
        groups.setdefault(key, []).append(index)
    for members in groups.values():
        prepared = _prepare_group([cutouts[index] for index in members], finder)
        for index, outcome in zip(members, prepared, strict=True):
            outcomes[index] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _prepare_group(cutouts: list[Cutout], finder: PsfFinder) -> list[Cutout | Rejected]:
    """`prepare_batch` for cutouts of one shape and pixel scale."""
    flags = np.array([cutout.metadata.band_flags for cutout in cutouts], dtype=bool)
    image = np.stack([cutout.image for cutout in cutouts])
    variance = np.stack([cutout.variance for cutout in cutouts])
    noise_corr = np.stack([cutout.noise_corr for cutout in cutouts])
    sigma = np.ones(flags.shape)
    image[flags], _, sigma[flags] = remove_background(image[flags], variance[flags])
    faults = [_sky_fault(cutout, row) for cutout, row in zip(cutouts, sigma, strict=True)]
    measured = np.where(sigma > 0, sigma, 1.0)
    variance[flags] = fill_variance(variance[flags], measured[flags])
    scale = cutouts[0].metadata.pixel_scale
    flux, error = aperture_photometry(image, variance, scale, noise_corr)
    flux[~flags] = np.nan
    outcomes: list[Cutout | Rejected] = []
    for row, cutout in enumerate(cutouts):
        if faults[row]:
            source = cutout.metadata
            outcomes.append(Rejected(source.raw_file, source.raw_index, faults[row]))
            continue
        bare = replace(cutout, image=image[row], variance=variance[row])
        outcomes.append(_described(bare, flux[row], error[row], finder))
    return outcomes


def _sky_fault(cutout: Cutout, sigma: np.ndarray) -> str:
    """Why the sky of this cutout cannot be used; "" where it can."""
    source = cutout.metadata
    for band, flag in enumerate(source.band_flags):
        if flag and not sigma[band] > 0:
            unknown = bool(np.isnan(cutout.variance[band]).any())
            if np.isnan(sigma[band]):
                return f"{source.raw_file}: band {source.bands[band]} has no usable sky pixels"
            if unknown:
                return (
                    f"{source.raw_file}: the sky of band {source.bands[band]} has no scatter, so "
                    "its noise cannot be estimated; give a variance image"
                )
    return ""


def _described(
    cutout: Cutout, flux: np.ndarray, error: np.ndarray, finder: PsfFinder
) -> Cutout | Rejected:
    """The cutout with its PSF, and the metadata that can be measured filled in.

    Rejected where the PSF of a band has no width: no kernel could be made of it.
    """
    before = cutout.metadata
    band = int(reference_band(before.band_flags))
    psf, psf_source = finder.psf_of(cutout)
    try:
        widths = {
            index: fwhm_of(psf[index], before.pixel_scale)
            for index, flag in enumerate(before.band_flags)
            if flag
        }
    except ValueError as fault:
        return Rejected(before.raw_file, before.raw_index, f"{before.raw_file}: {fault}")
    width = widths[band]
    magnitude, given_flux = np.array(before.magnitude), np.array(before.flux)
    from_catalogue = np.where(np.isnan(given_flux), njy_from_magnitude(magnitude), given_flux)
    final_flux = np.where(np.isnan(from_catalogue), flux, from_catalogue)
    final_magnitude = np.where(np.isnan(magnitude), magnitude_from_njy(final_flux), magnitude)
    snr = before.snr if np.isfinite(before.snr) else float(flux[band] / error[band])
    words = [before.flags] if before.flags else []
    if not before.variance_available:
        words.append("sky_variance")
    return replace(cutout, psf=psf).with_metadata(
        psf_source=psf_source,
        psf_fwhm=width,
        seeing=before.seeing if np.isfinite(before.seeing) else width,
        flux=tuple(map(float, final_flux)),
        magnitude=tuple(map(float, final_magnitude)),
        snr=snr,
        noise_corr=tuple(float(value) for value in cutout.noise_corr[: len(SLOTS)]),
        flags=";".join(words),
        pipeline_commit=pipeline_commit(),
    )
