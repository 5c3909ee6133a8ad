"""Small raw files in the official layouts, and the reading of a whole data set."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from lenshunt.config import Dataset
from lenshunt.core import raw_manifest, read_manifest
from lenshunt.images import prepare_chunk
from lenshunt.readers import raw_files, read_chunk, reader_of
from lenshunt.schema import Cutout, Rejected


def read_all(
    dataset: Dataset, tmp_path: Path, name: str = "set"
) -> tuple[list[Cutout], list[Rejected]]:
    """All objects of a data set: (read, rejected)."""
    reader = reader_of(dataset)
    manifest = raw_manifest(raw_files(dataset), tmp_path / "hashes.json")
    items = list(reader.read(name, dataset, 0, reader.count(dataset), manifest))
    read = [item for item in items if isinstance(item, Cutout)]
    return read, [item for item in items if isinstance(item, Rejected)]


def write_records(
    *,
    name: str,
    dataset: Dataset,
    manifest: str,
    pixels: str,
    metadata: str,
    rejected: str,
    chunk: int = 0,
    chunks: int = 1,
) -> None:
    """Records of one chunk, as the rule of that name makes them."""
    raw = read_chunk(name, dataset, chunk, chunks, read_manifest(manifest))
    prepare_chunk(
        name=name,
        objects=raw.objects,
        count=raw.count,
        star_field=raw.star_field,
        pixels=pixels,
        metadata=metadata,
        rejected=rejected,
    )


def common(survey: str, role: str = "labelled", **more: Any) -> dict[str, Any]:
    """Keys that every data set needs."""
    return {"survey": survey, "role": role, "grids": ["any"], **more}


def noise_image(shape: tuple[int, int], seed: int = 0, peak: float = 50.0) -> np.ndarray:
    """Unit noise with a round blob of the given peak in the middle, float32."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    radius2 = (y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2
    noise = np.random.default_rng(seed).normal(size=shape)
    return (noise + peak * np.exp(-radius2 / 18.0)).astype(np.float32)


def tan_header(
    shape: tuple[int, int], scale_arcsec: float, ra: float = 150.0, dec: float = 2.0
) -> fits.Header:
    """TAN projection with North up, East left and the given position in the middle."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CRPIX1"], header["CRPIX2"] = (shape[1] + 1) / 2, (shape[0] + 1) / 2
    header["CD1_1"], header["CD1_2"] = -scale_arcsec / 3600, 0.0
    header["CD2_1"], header["CD2_2"] = 0.0, scale_arcsec / 3600
    return header


def hst_header(shape: tuple[int, int], filter_name: str, **more: Any) -> fits.Header:
    """ACS header with F814W photometry; `more` replaces or (None) leaves out keys."""
    header = tan_header(shape, more.pop("scale_arcsec", 0.05))
    values: dict[str, Any] = {
        "TELESCOP": "HST",
        "INSTRUME": "ACS",
        "FILTER1": "CLEAR1L",
        "FILTER2": filter_name,
        "PHOTFLAM": 7.0331891e-20,
        "PHOTPLAM": 8045.529,
        "PHOTZPT": -21.1,
        "BUNIT": "ELECTRONS/S",
        "EXPTIME": 2000.0,
    }
    for key, value in {**values, **more}.items():
        if value is not None:
            header[key] = value
    return header


def truncate(path: Path, keep: float = 0.6) -> None:
    """Cut a file off, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
