"""HST galaxies in GalSim's format: catalogue, image and PSF files. No lens labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from lenshunt.config import HstGalaxiesDataset
from lenshunt.provenance import Manifest
from lenshunt.raw.fits_image import open_fits, pixels
from lenshunt.raw.planes import Plane, fill_slots, plane
from lenshunt.raw.psfs import shipped_psf
from lenshunt.raw.reader import UNREADABLE, attempt, join_paths, no_star_field, raw_digest
from lenshunt.records import (
    SLOTS,
    Cutout,
    Metadata,
    Rejected,
    filter_named,
    njy_per_count,
    slot_index,
)

star_field = no_star_field

_COLUMNS = (
    "IDENT",
    "RA",
    "DEC",
    "MAG",
    "BAND",
    "GAL_FILENAME",
    "PSF_FILENAME",
    "GAL_HDU",
    "PSF_HDU",
    "PIXEL_SCALE",
    "NOISE_VARIANCE",
)


@dataclass(frozen=True)
class _Stamp:
    """One catalogue row: one galaxy in one filter."""

    catalogue: str
    identity: int
    filter_name: str
    gal_path: str
    gal_hdu: int
    psf_path: str
    psf_hdu: int
    values: dict[str, float]


def _stamps(catalogue: str) -> list[_Stamp]:
    """Rows of one catalogue; file names are relative to its folder."""
    with open_fits(catalogue) as hdus:
        table = hdus[1].data
        missing = [column for column in _COLUMNS if column not in table.names]
        if missing:
            raise ValueError(f"{catalogue}: no column {missing[0]}; is this a GalSim catalogue?")
        rows = [{column: row[column] for column in _COLUMNS} for row in table]
    folder = Path(catalogue).parent
    return [
        _Stamp(
            catalogue=catalogue,
            identity=int(row["IDENT"]),
            filter_name=str(row["BAND"]).strip(),
            gal_path=str(folder / str(row["GAL_FILENAME"]).strip()),
            gal_hdu=int(row["GAL_HDU"]),
            psf_path=str(folder / str(row["PSF_FILENAME"]).strip()),
            psf_hdu=int(row["PSF_HDU"]),
            values={
                key: float(row[key])
                for key in ("RA", "DEC", "MAG", "PIXEL_SCALE", "NOISE_VARIANCE")
            },
        )
        for row in rows
    ]


def named_files(dataset: HstGalaxiesDataset) -> list[str]:
    """Image and PSF files that the catalogues name, sorted and unique."""
    stamps = [stamp for path in dataset.catalogues for stamp in _stamps(path)]
    return sorted({path for stamp in stamps for path in (stamp.gal_path, stamp.psf_path)})


def _shape(stamp: _Stamp) -> tuple[int, ...] | None:
    """Shape of a stamp's image, or None where it cannot be read."""
    try:
        return tuple(fits.getheader(stamp.gal_path, stamp.gal_hdu)[f"NAXIS{k}"] for k in (2, 1))
    except UNREADABLE:
        return None


def _objects(dataset: HstGalaxiesDataset) -> list[list[_Stamp]]:
    """Stamps per galaxy: the filters of one IDENT with equal shape and scale together."""
    objects: list[list[_Stamp]] = []
    by_galaxy: dict[tuple[Any, ...], list[_Stamp]] = {}
    for stamp in (stamp for path in dataset.catalogues for stamp in _stamps(path)):
        shape = _shape(stamp)
        key = (stamp.identity, shape, round(stamp.values["PIXEL_SCALE"], 4))
        known = by_galaxy.get(key)
        if shape and known and stamp.filter_name not in [one.filter_name for one in known]:
            known.append(stamp)
            continue
        objects.append([stamp])
        by_galaxy[key] = objects[-1]
    return objects


def count(dataset: HstGalaxiesDataset) -> int:
    """Number of galaxies."""
    return len(_objects(dataset))


def read(
    name: str, dataset: HstGalaxiesDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) in the order of the catalogues."""
    objects = _objects(dataset)
    identities = [stamps[0].identity for stamps in objects]
    yield from attempt(
        [(index, join_paths(_images(objects[index]))) for index in range(start, stop)],
        lambda index: _cutout(name, dataset, index, objects[index], identities, manifest),
    )


def _images(stamps: list[_Stamp]) -> list[str]:
    return list(dict.fromkeys(stamp.gal_path for stamp in stamps))


def _cutout(
    name: str,
    dataset: HstGalaxiesDataset,
    index: int,
    stamps: list[_Stamp],
    identities: list[int],
    manifest: Manifest,
) -> Cutout:
    first = stamps[0]
    arrays, fields = fill_slots(
        [_plane(stamp, dataset) for stamp in stamps], f"{first.catalogue}: IDENT {first.identity}"
    )
    magnitude = [float("nan")] * len(SLOTS)
    for stamp in stamps:
        # of two filters on one slot the magnitude is that of the image
        if filter_named(stamp.filter_name).name in fields["bands"]:
            magnitude[slot_index(stamp.filter_name)] = stamp.values["MAG"]
    several = identities.count(first.identity) > 1
    suffix = "-" + "-".join(stamp.filter_name for stamp in stamps) if several else ""
    files = list(dict.fromkeys([*_images(stamps), *(stamp.psf_path for stamp in stamps)]))
    files = [path for path in files if Path(path).is_file()]
    metadata = Metadata(
        sample_id=f"{name}-{first.identity}{suffix}",
        system_id=f"{name}-{first.identity}",
        dataset=name,
        raw_file=join_paths(_images(stamps)),
        raw_index=index,
        raw_sha256=raw_digest(files, manifest),
        label=dataset.label,
        label_source=dataset.label_source,
        label_confidence=dataset.label_confidence if dataset.label == 0 else 0.0,
        pixel_scale=first.values["PIXEL_SCALE"],
        instrument="ACS",
        survey=dataset.survey,
        ra=first.values["RA"],
        dec=first.values["DEC"],
        magnitude=tuple(magnitude),
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _plane(stamp: _Stamp, dataset: HstGalaxiesDataset) -> Plane:
    """One filter in nJy, with the catalogue's variance of the (correlated) sky noise."""
    if stamp.filter_name not in dataset.zero_point_ab:
        raise KeyError(
            f"{stamp.catalogue}: no zero point for {stamp.filter_name}; name it under "
            "zero_point_ab of this data set in the config"
        )
    counts = _image(stamp.gal_path, stamp.gal_hdu)
    has_psf = Path(stamp.psf_path).is_file()
    psf = shipped_psf(_image(stamp.psf_path, stamp.psf_hdu), stamp.psf_path) if has_psf else None
    sky_variance = stamp.values["NOISE_VARIANCE"]
    if not sky_variance > 0:
        raise ValueError(
            f"{stamp.catalogue}: IDENT {stamp.identity} has NOISE_VARIANCE {sky_variance}"
        )
    return plane(
        stamp.filter_name,
        counts,
        njy_per_count(dataset.zero_point_ab[stamp.filter_name]),
        variance=np.full(counts.shape, sky_variance),
        psf=psf,
        psf_missing=not has_psf,
    )


def _image(path: str, hdu: int) -> np.ndarray:
    with open_fits(path) as hdus:
        image = pixels(hdus[hdu], path)
    if image.ndim != 2:
        raise ValueError(f"{path}[{hdu}]: image has {image.ndim} axes, expected 2")
    return image
