"""Real sources on disk: made once of HST records, read by every job that paints."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from lenshunt.core import whole_file
from lenshunt.scenes.real_sources import RealSource


def write_sources(sources: Sequence[RealSource], path: Path | str) -> None:
    """HDF5 with one group per source; it appears whole or not at all."""
    with whole_file(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        for number, source in enumerate(sources):
            light = file.create_dataset(f"{number:06d}", data=source.light)
            light.attrs["name"] = source.name
            light.attrs["pixel_scale_arcsec"] = source.pixel_scale_arcsec
            light.attrs["half_light_radius_arcsec"] = source.half_light_radius
            light.attrs["centre_px"] = source.centre


def read_sources(path: Path | str) -> list[RealSource]:
    """Inverse of `write_sources`."""
    with h5py.File(path) as file:
        return [_source(file[name]) for name in sorted(file)]


def _source(light: h5py.Dataset) -> RealSource:
    x, y = (float(value) for value in light.attrs["centre_px"])
    return RealSource(
        str(light.attrs["name"]),
        light[()].astype(np.float32),
        float(light.attrs["pixel_scale_arcsec"]),
        float(light.attrs["half_light_radius_arcsec"]),
        (x, y),
    )
