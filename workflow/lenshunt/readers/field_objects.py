"""What every reader of whole fields does: choice of objects, cutouts, scans, stars."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.readers.crop import crop, first_pixel
from lenshunt.readers.field_images import FieldImage, FieldImages
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.reader import attempt, join_paths
from lenshunt.readers.zero_points import unusable_counts
from lenshunt.schema import SLOTS, Cutout, Rejected, Survey, filter_named, njy_from_magnitude

#: Side of the part of a field in which stars are looked for; it holds hundreds of them, and a
#: mosaic of a gigapixel does not fit into memory.
STAR_FIELD_PX = 4096


@dataclass
class Selection:
    """Sources that are still in, and how many each rule has taken out, in order."""

    keep: np.ndarray
    removed: dict[str, int]

    def require(self, rule: str, fulfilled: np.ndarray) -> None:
        """Take out the sources that do not fulfil a rule; each counts for the first it fails."""
        self.removed[rule] = int((self.keep & ~fulfilled).sum())
        self.keep &= fulfilled

    def text(self) -> str:
        """One line for the log."""
        parts = [f"{count} {rule}" for rule, count in self.removed.items()] or ["none"]
        return f"{len(self.keep)} sources; left out: {', '.join(parts)}; {self.keep.sum()} taken"


@dataclass(frozen=True)
class FieldObjects:
    """Objects of one field in a stable order: `targets`, then the broken rows of its catalogue.

    targets : name, ra, dec, x, y (0-based) and the catalogue's values where it has them
    broken : (line, reason)
    text : the choice in one line, for the log
    """

    catalogue: str
    targets: pd.DataFrame
    broken: list[tuple[int, str]]
    survey: Survey
    text: str

    def __len__(self) -> int:
        return len(self.targets) + len(self.broken)

    def read(
        self, images: FieldImages, wanted: range, read_one: Callable[[int], Cutout]
    ) -> Iterator[Cutout | Rejected]:
        """The `wanted` objects: cutouts by `read_one`, broken rows as rejections."""
        raw_file = join_paths([image.path for image in images.images])
        good = [index for index in wanted if index < len(self.targets)]
        yield from attempt([(index, raw_file) for index in good], read_one)
        for index in wanted[len(good) :]:
            line, reason = self.broken[index - len(self.targets)]
            yield Rejected(self.catalogue, index, f"{self.catalogue}:{line}: {reason}")


def scan_grid(images: FieldImages, step_px: float) -> pd.DataFrame:
    """Regular grid of observed positions on the image: name, ra, dec, x, y (0-based)."""
    height, width = images.shape
    rows = np.arange(step_px / 2, height, step_px)
    columns = np.arange(step_px / 2, width, step_px)
    y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    row, column = np.divmod(np.arange(len(x)), len(columns))
    ra, dec = images.sky(x, y)
    names = [f"grid-{j}-{i}" for j, i in zip(row, column, strict=True)]
    grid = pd.DataFrame({"name": names, "ra": ra, "dec": dec, "x": x, "y": y})
    return grid[images.observed(x, y)]


def cut_around(
    images: FieldImages,
    x: float,
    y: float,
    size_px: int,
    survey: Survey,
    where: str,
    psfs: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata fields of the cutout around pixel (x, y), 0-based, in nJy.

    psfs : effective PSF by filter, where the field ships them
    Pixels beyond the image are unusable and flagged partly_outside.
    """
    planes = [_plane(one, x, y, size_px, survey, (psfs or {})) for one in images.images]
    arrays, fields = fill_slots(planes, where)
    height, width = images.shape
    left, bottom = first_pixel(x, size_px), first_pixel(y, size_px)
    if left < 0 or bottom < 0 or left + size_px > width or bottom + size_px > height:
        fields["flags"] = ";".join(filter(None, (fields["flags"], "partly_outside")))
    return arrays, fields


def _plane(
    image: FieldImage, x: float, y: float, size_px: int, survey: Survey, psfs: Mapping[str, Any]
) -> Plane:
    counts, outside = crop(image.pixels, x, y, size_px)
    bad = unusable_counts(counts, image.header, survey) | outside
    weight = None if image.weight is None else crop(image.weight, x, y, size_px)[0]
    bad |= ~image.exposed(counts, weight)
    variance = None if weight is None else image.variance(weight)
    psf = psfs.get(image.filter_name)
    return plane(image.filter_name, counts, image.njy, variance=variance, unusable=bad, psf=psf)


def photometry(magnitudes: Mapping[str, float], bands: tuple[str, ...]) -> dict[str, Any]:
    """Metadata fields magnitude and flux from AB magnitudes by filter (NaN where unknown).

    bands : filter whose image fills each slot; where it is "", any filter of the slot will do
    """
    by_slot = [np.nan] * len(SLOTS)
    for name, value in magnitudes.items():
        known = filter_named(name)
        slot = SLOTS.index(known.slot)
        if np.isnan(by_slot[slot]) and bands[slot] in ("", known.name):
            by_slot[slot] = float(value)
    flux = [float(njy_from_magnitude(value)) for value in by_slot]
    return {"magnitude": tuple(by_slot), "flux": tuple(flux)}


def stars_of(images: FieldImages, filter_name: str) -> np.ndarray | None:
    """The middle of a field in one filter, [y, x] nJy with NaN where unobserved; None without it.

    At most STAR_FIELD_PX on a side.
    """
    for image in images.images:
        if image.filter_name.upper() == filter_name.upper():
            height, width = images.shape
            y, x = (max((side - STAR_FIELD_PX) // 2, 0) for side in (height, width))
            part = np.s_[y : min(y + STAR_FIELD_PX, height), x : min(x + STAR_FIELD_PX, width)]
            counts = np.asarray(image.pixels[part], dtype=np.float64)
            weight = None if image.weight is None else np.asarray(image.weight[part])
            return np.where(image.exposed(counts, weight), counts * image.njy, np.nan)
    return None
