"""The five band slots g r i z y and the one table that maps every filter onto them."""

from dataclasses import dataclass
from functools import cache

import yaml

from lenshunt.core import RESOURCES

#: Slot order of every [band, y, x] array in the project.
SLOTS = ("g", "r", "i", "z", "y")


@dataclass(frozen=True)
class Filter:
    """One filter of the table `resources/filters.yaml`.

    wavelength_um : effective wavelength in micrometres
    slot : one of SLOTS
    fallback : True where the filter takes its slot only when nothing better does (u on g)
    """

    name: str
    wavelength_um: float
    slot: str
    fallback: bool
    source: str


@cache
def load_filters() -> dict[str, Filter]:
    """All known filters by name, aliases included (upper case)."""
    path = RESOURCES / "filters.yaml"
    table = yaml.safe_load(path.read_text())
    filters: dict[str, Filter] = {}
    for entry in table["filters"]:
        for name in (entry["name"], *entry.get("aliases", [])):
            key = name.upper()
            if key in filters:
                raise ValueError(f"{path}: filter {name} is listed twice")
            filters[key] = Filter(
                name=entry["name"],
                wavelength_um=float(entry["wavelength_um"]),
                slot=entry["slot"],
                fallback=bool(entry.get("fallback", False)),
                source=entry["source"],
            )
    return filters


def filter_named(name: str, where: str = "") -> Filter:
    """The filter called `name` (any case). Raises KeyError naming `where` and the remedy."""
    try:
        return load_filters()[name.strip().upper()]
    except KeyError:
        raise KeyError(
            f"{where + ': ' if where else ''}unknown filter {name!r}; "
            "add it with its effective wavelength to resources/filters.yaml"
        ) from None


def slot_index(filter_name: str, where: str = "") -> int:
    """Index 0..4 of the band slot that `filter_name` takes."""
    return SLOTS.index(filter_named(filter_name, where).slot)
