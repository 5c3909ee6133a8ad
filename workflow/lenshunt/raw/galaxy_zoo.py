"""Galaxy Zoo: FITS cutouts with the votes of a table. Weak labels of shape, pretraining only."""

import math
from collections.abc import Iterator
from pathlib import Path

from lenshunt.config import GalaxyZooDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import existing
from lenshunt.raw.cutouts import all_files, observation, read_bands
from lenshunt.raw.fits_image import Keywords, celestial_wcs, centre_of
from lenshunt.raw.galaxy_zoo_table import GalaxyRow, position_of_name, read_rows
from lenshunt.raw.reader import attempt, join_paths, raw_digest
from lenshunt.records import Cutout, Metadata, Rejected

#: Colour composites: stretched, clipped and compressed.
_COMPOSITES = (".jpg", ".jpeg", ".png", ".gif")


def count(dataset: GalaxyZooDataset) -> int:
    """Number of galaxies in the table; with only_present, of those with an image."""
    return len(read_rows(dataset))


def named_files(dataset: GalaxyZooDataset) -> list[str]:
    """Images that the table names, with variance and PSF files, of those that are there."""
    images = [path for row in read_rows(dataset) for path in row.paths.values()]
    return existing({*images, *dataset.companions(images)})


def read(
    name: str, dataset: GalaxyZooDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) in the order of the table; one without its image is rejected."""
    rows = read_rows(dataset)
    yield from attempt(
        [
            (k, join_paths(list(rows[k].paths.values())) or dataset.table)
            for k in range(start, stop)
        ],
        lambda k: _cutout(name, dataset, k, rows[k], manifest),
    )


def _cutout(
    name: str,
    dataset: GalaxyZooDataset,
    index: int,
    row: GalaxyRow,
    manifest: Manifest,
) -> Cutout:
    if row.fault:
        raise ValueError(row.fault)
    paths = list(row.paths.values())
    for path in paths:
        if Path(path).suffix.lower() in _COMPOSITES:
            raise ValueError(
                f"{path}: a colour composite has no flux scale, so its pixels are no measurement; "
                f"give FITS cutouts of {row.identity} in {', '.join(dataset.bands)} (with the key "
                "`images`), for example from the cutout service of the survey"
            )
    arrays, fields, header, survey = read_bands(dataset, row.paths, row.where)
    ra, dec = _position(row, header, arrays["image"].shape)
    metadata = Metadata(
        sample_id=f"{name}-{row.identity}",
        system_id=f"{name}-{row.identity}",
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(all_files(dataset, paths), manifest),
        label=-1,
        label_source="weak:gzoo",
        label_confidence=dataset.label_confidence,
        ra=ra,
        dec=dec,
        featured_fraction=row.featured,
        spiral_fraction=row.spiral,
        ring_fraction=row.ring,
        **observation(dataset, header, survey),
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _position(row: GalaxyRow, header: Keywords, shape: tuple[int, ...]) -> tuple[float, float]:
    """ICRS degrees: the table's, else of the image's middle by its WCS, else of a J name.

    Without one nothing could keep a galaxy from lying in two splits.
    """
    if math.isfinite(row.ra):
        return row.ra, row.dec
    ra, dec = centre_of(celestial_wcs(header), (shape[1], shape[2]))
    return (ra, dec) if math.isfinite(ra) else position_of_name(row.identity)
