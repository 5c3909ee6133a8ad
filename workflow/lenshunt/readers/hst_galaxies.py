"""HST galaxies in GalSim's format: catalogue, image and PSF files. No lens labels."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from lenshunt.config import HstGalaxiesDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import existing
from lenshunt.readers.field_images import separation_arcsec
from lenshunt.readers.fits_image import open_fits, pixels
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.psfs import shipped_psf
from lenshunt.readers.reader import (
    UNREADABLE,
    attempt,
    join_paths,
    raw_digest,
    reason_of,
)
from lenshunt.schema import (
    SLOTS,
    WHOLE_FILE,
    Cutout,
    Metadata,
    Rejected,
    filter_named,
    njy_per_count,
    slot_index,
)

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
#: Farther apart, two stamps of one IDENT show different galaxies.
_SAME_PLACE_ARCSEC = 1.0


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
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
        if not tables:
            raise ValueError(f"{catalogue}: no table in the file; is it whole?")
        table = tables[0].data
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


def _catalogues(dataset: HstGalaxiesDataset) -> list[tuple[str, list[_Stamp], str]]:
    """(path, rows, "") per catalogue; (path, [], reason) of one that cannot be read."""
    found: list[tuple[str, list[_Stamp], str]] = []
    for path in dataset.catalogues:
        try:
            found.append((path, _stamps(path), ""))
        except UNREADABLE as error:
            found.append((path, [], reason_of(error, path)))
    return found


def named_files(dataset: HstGalaxiesDataset) -> list[str]:
    """Image and PSF files that the readable catalogues name and that are there."""
    stamps = [stamp for _, rows, _ in _catalogues(dataset) for stamp in rows]
    return existing({path for stamp in stamps for path in (stamp.gal_path, stamp.psf_path)})


def _shape(stamp: _Stamp) -> tuple[int, ...] | None:
    """Shape of a stamp's image, or None where it cannot be read."""
    try:
        with open_fits(stamp.gal_path) as hdus:
            header = hdus[stamp.gal_hdu].header
            return header["NAXIS2"], header["NAXIS1"]
    except UNREADABLE:
        return None


def _objects(stamps: Iterable[_Stamp]) -> list[list[_Stamp]]:
    """Stamps per galaxy: filters of one IDENT at one place with equal shape and scale together.

    Catalogues that were numbered on their own give one IDENT to different galaxies.
    """
    objects: list[list[_Stamp]] = []
    by_galaxy: dict[tuple[Any, ...], list[_Stamp]] = {}
    for stamp in stamps:
        shape = _shape(stamp)
        key = (stamp.identity, shape, round(stamp.values["PIXEL_SCALE"], 4))
        known = by_galaxy.get(key)
        new_filter = known and stamp.filter_name not in [one.filter_name for one in known]
        if shape and known and new_filter and _same_place(known[0], stamp):
            known.append(stamp)
            continue
        objects.append([stamp])
        by_galaxy[key] = objects[-1]
    return objects


def _same_place(one: _Stamp, other: _Stamp) -> bool:
    """Whether two stamps lie within _SAME_PLACE_ARCSEC; unknown positions count as one place."""
    (ra1, dec1), (ra2, dec2) = ((s.values["RA"], s.values["DEC"]) for s in (one, other))
    distance = separation_arcsec(np.array(ra1), np.array(dec1), ra2, dec2)
    return not distance > _SAME_PLACE_ARCSEC


def _read_catalogues(
    dataset: HstGalaxiesDataset,
) -> tuple[list[list[_Stamp]], list[tuple[str, str]]]:
    """Stamps per galaxy of the readable catalogues; (path, reason) of the others."""
    catalogues = _catalogues(dataset)
    objects = _objects(stamp for _, stamps, _ in catalogues for stamp in stamps)
    return objects, [(path, reason) for path, _, reason in catalogues if reason]


def count(dataset: HstGalaxiesDataset) -> int:
    """Number of galaxies; a catalogue that cannot be read counts as one (rejected) object."""
    objects, broken = _read_catalogues(dataset)
    return len(objects) + len(broken)


def read(
    name: str, dataset: HstGalaxiesDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) in the order of the catalogues, then catalogues without any."""
    objects, broken = _read_catalogues(dataset)
    names = _names(objects)
    yield from attempt(
        [
            (index, join_paths(_images(objects[index])))
            for index in range(start, min(stop, len(objects)))
        ],
        lambda index: _cutout(name, dataset, index, objects[index], names[index], manifest),
        names,
    )
    for path, reason in broken[max(start - len(objects), 0) : max(stop - len(objects), 0)]:
        yield Rejected(path, WHOLE_FILE, reason)


def _names(objects: list[list[_Stamp]]) -> list[str]:
    """IDENT of each galaxy, with its filters where one IDENT has several cutouts."""
    several = Counter(stamps[0].identity for stamps in objects)
    return [
        str(stamps[0].identity)
        + ("-" + "-".join(s.filter_name for s in stamps) if several[stamps[0].identity] > 1 else "")
        for stamps in objects
    ]


def _images(stamps: list[_Stamp]) -> list[str]:
    return list(dict.fromkeys(stamp.gal_path for stamp in stamps))


def _cutout(
    name: str,
    dataset: HstGalaxiesDataset,
    index: int,
    stamps: list[_Stamp],
    object_name: str,
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
    files = list(dict.fromkeys([*_images(stamps), *(stamp.psf_path for stamp in stamps)]))
    files = [path for path in files if Path(path).is_file()]
    metadata = Metadata(
        sample_id=f"{name}-{object_name}",
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
        if not 0 <= hdu < len(hdus):
            raise ValueError(f"{path}: no extension {hdu}, {len(hdus)} in all; is it truncated?")
        image = pixels(hdus[hdu], path)
    if image.ndim != 2:
        raise ValueError(f"{path}[{hdu}]: image has {image.ndim} axes, expected 2")
    return image
