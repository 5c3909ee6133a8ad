"""One reader per public format: raw file -> iterator of Cutout. Cheap to import."""

from importlib import import_module
from typing import Any

from lenshunt.config import Dataset
from lenshunt.raw.files import key_files, raw_files
from lenshunt.raw.reader import Reader


def _reader(module: str) -> Reader:
    """Reader whose module is imported at first use: astropy is slow to start."""

    def call(function: str) -> Any:
        return getattr(import_module(f"lenshunt.raw.{module}"), function)

    return Reader(
        key_files=key_files,
        raw_files=raw_files,
        count=lambda dataset: call("count")(dataset),
        read=lambda *args: call("read")(*args),
        star_field=lambda *args: call("star_field")(*args),
    )


#: Reader by the config's key `reader`; each is the module of that name.
READERS: dict[str, Reader] = {
    "galaxiesml": _reader("galaxiesml"),
    "bologna": _reader("bologna"),
    "bologna2": _reader("bologna2"),
    "castles": _reader("castles"),
    "relics": _reader("relics"),
    "field": _reader("field"),
    "cutouts": _reader("cutouts"),
    "galaxy_zoo": _reader("galaxy_zoo"),
    "stamps": _reader("stamps"),
    "hst_lenses": _reader("hst_lenses"),
    "hst_galaxies": _reader("hst_galaxies"),
}


def reader_of(dataset: Dataset) -> Reader:
    """The reader of a data set."""
    return READERS[dataset.reader]


__all__ = ["READERS", "Reader", "key_files", "raw_files", "reader_of"]
