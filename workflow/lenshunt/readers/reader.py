"""What a reader is, and the loop that turns unreadable objects into rejections."""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lenshunt.core import UNHASHED, Manifest
from lenshunt.schema import Cutout, Rejected

#: What broken files raise in astropy, h5py and numpy, besides errors of our own checks.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Reader(Protocol):
    """Module of one raw format: all that is known of it, beside its section of the config.

    Two functions more where they are needed: `named_files(dataset)`, the existing files that the
    key files name (section fact `tables_name_files`), and `star_field(dataset, raw_file,
    filter_name)`, see `lenshunt.readers.star_field`.
    """

    def count(self, dataset: Any) -> int:
        """Number of objects."""

    def read(
        self, name: str, dataset: Any, start: int, stop: int, manifest: Manifest
    ) -> Iterator[Cutout | Rejected]:
        """Cutout or Rejected for the objects [start, stop), in a stable order."""

    def named_files(self, dataset: Any) -> list[str]:
        """Of formats whose tables name files: those that exist."""


@dataclass(frozen=True)
class RawChunk:
    """Objects of one chunk, read one after the other as they are asked for.

    count : number of objects, rejected ones included
    star_field : (raw_file, filter) -> `lenshunt.readers.star_field` of the data set
    """

    objects: Iterator[Cutout | Rejected]
    count: int
    star_field: Callable[[str, str], tuple[np.ndarray, float] | None]


#: What differs between runs in messages of HDF5: times, addresses, numbers of open files.
_HDF5_STATE = re.compile(
    r",? ?\b(time|file descriptor|buf|total read size|bytes this sub-read|bytes actually read"
    r"|offset|flags|o_flags) = [^,)]*"
)


def attempt(
    objects: Iterable[tuple[int, str]],
    read_one: Callable[[int], Cutout],
    names: Sequence[str] = (),
) -> Iterator[Cutout | Rejected]:
    """Read objects one by one; (index, raw_file) of one that cannot be read becomes a Rejected.

    names : of all objects of the data set, by index; of two with one name the later is rejected
    """
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        first.setdefault(name, index)
    for index, raw_file in objects:
        if names and first[names[index]] != index:
            yield Rejected(
                raw_file,
                index,
                f"{raw_file}: a second object named {names[index]} (the first is number "
                f"{first[names[index]]}); rename it, or leave one out",
            )
            continue
        try:
            yield read_one(index)
        except UNREADABLE as error:
            yield Rejected(raw_file, index, reason_of(error, raw_file))


def reason_of(error: BaseException, raw_file: str) -> str:
    """The message of `error` in one line that names the file, the same in every run."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    if isinstance(error, OSError) and error.filename and error.strerror:
        message = f"{error.filename}: {error.strerror}"
    text = " ".join(str(message).split()) or type(error).__name__
    text = _HDF5_STATE.sub("", text)
    named = any(path and path in text for path in raw_file.split(";"))
    return text if named else f"{raw_file.split(';')[0]}: {text}"


def raw_digest(paths: list[str], manifest: Manifest) -> str:
    """sha256 of one file; of several, the sha256 of their concatenated hex digests."""
    missing = [path for path in paths if path not in manifest.sha256]
    if missing:
        raise KeyError(
            f"{missing[0]}: not in the manifest of its data set; was the file added while the "
            "workflow was running? start it again"
        )
    unread = [path for path in paths if manifest.sha256[path] == UNHASHED]
    if unread:
        raise OSError(
            f"{unread[0]}: could not be read when the manifest was made; look at its permissions "
            "and start again"
        )
    if len(paths) == 1:
        return manifest.sha256[paths[0]]
    joined = "".join(manifest.sha256[path] for path in paths)
    return hashlib.sha256(joined.encode()).hexdigest()


def join_paths(paths: list[str]) -> str:
    """Value of the metadata field raw_file for the files of one object."""
    return ";".join(paths)
