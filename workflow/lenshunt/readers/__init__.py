"""One reader per public format: raw file -> iterator of Cutout. Cheap to import."""

import errno
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from lenshunt.config import Dataset
from lenshunt.core import Manifest
from lenshunt.readers.reader import RawChunk, Reader

#: Module of each reader by the config's key `reader`, imported at first use: astropy is slow to
#: start. What planning needs to know of a format stands in its section of the config.
READERS: dict[str, str] = {
    "galaxiesml": "lenshunt.readers.galaxiesml",
    "bologna": "lenshunt.readers.bologna",
    "bologna2": "lenshunt.readers.bologna2",
    "castles": "lenshunt.readers.castles",
    "relics": "lenshunt.readers.relics",
    "field": "lenshunt.readers.field",
    "cutouts": "lenshunt.readers.cutouts",
    "galaxy_zoo": "lenshunt.readers.galaxy_zoo",
    "stamps": "lenshunt.readers.stamps",
    "hst_lenses": "lenshunt.readers.hst_lenses",
    "hst_galaxies": "lenshunt.readers.hst_galaxies",
}


def reader_of(dataset: Dataset) -> Reader:
    """The reader of a data set."""
    return cast(Reader, import_module(READERS[dataset.reader]))


def raw_files(dataset: Dataset) -> list[str]:
    """All raw files, patterns and tables resolved, sorted and unique.

    Raises FileNotFoundError (with `filename`) for a named file that is missing and for a pattern
    that matches nothing.
    """
    keys = dataset.key_files()
    for path in keys:
        if not Path(path).is_file():
            raise FileNotFoundError(errno.ENOENT, "raw file named in the config is missing", path)
    files = {*keys, *dataset.found_files()}
    if dataset.tables_name_files:
        files.update(reader_of(dataset).named_files(dataset))
    return sorted(files)


def star_field(
    dataset: Dataset, raw_file: str, filter_name: str
) -> tuple[np.ndarray, float] | None:
    """(image [y, x] in nJy with NaN where unusable, pixel_scale_arcsec) of the whole field in which
    an object lies; None where the format ships single objects, or the field lacks the filter."""
    of_format = getattr(reader_of(dataset), "star_field", None)
    return None if of_format is None else of_format(dataset, raw_file, filter_name)


def read_chunk(
    name: str, dataset: Dataset, chunk: int, chunks: int, manifest: Manifest
) -> RawChunk:
    """The objects [chunk N // chunks, (chunk + 1) N // chunks) of data set `name`."""
    reader = reader_of(dataset)
    total = reader.count(dataset)
    start, stop = chunk * total // chunks, (chunk + 1) * total // chunks
    return RawChunk(
        objects=reader.read(name, dataset, start, stop, manifest),
        count=stop - start,
        star_field=lambda raw_file, filter_name: star_field(dataset, raw_file, filter_name),
    )


__all__ = ["READERS", "RawChunk", "Reader", "raw_files", "read_chunk", "reader_of", "star_field"]
