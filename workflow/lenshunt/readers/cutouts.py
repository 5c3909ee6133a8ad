"""Any FITS cutouts: bands as extensions or planes of one file, or one file per band."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.config import CutoutsDataset, GalaxyZooDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import existing
from lenshunt.readers.fits_image import (
    Keywords,
    celestial_wcs,
    centre_of,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
    pixels,
    seeing_of,
)
from lenshunt.readers.planes import fill_slots, plane
from lenshunt.readers.psfs import shipped_psf
from lenshunt.readers.reader import attempt, join_paths, raw_digest
from lenshunt.readers.zero_points import njy_per_pixel_unit, unusable_counts
from lenshunt.schema import Cutout, Metadata, Rejected, Survey, survey_of

#: Data sets whose bands, variance and PSF lie in FITS files by the same keys of the config.
FitsDataset = CutoutsDataset | GalaxyZooDataset

#: Metadata that a catalogue may give; what belongs to the pixels or the pipeline it may not.
CATALOGUE_FIELDS = (
    "system_id",
    "official_split",
    "label",
    "label_source",
    "label_confidence",
    "z_phot",
    "z_spec",
    "z_err",
    "z_source",
    "seeing",
    "ra",
    "dec",
    "sersic_index",
    "half_light_radius",
    "axis_ratio",
    "position_angle",
    "einstein_radius",
    "flux_ratio",
    "arc_snr",
)
_TEXT = ("system_id", "official_split", "label_source", "z_source")


def count(dataset: CutoutsDataset) -> int:
    """Number of objects that have an image file."""
    return len(cutout_groups(dataset))


def read(
    name: str, dataset: CutoutsDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop) in the order of their names; rows without a file are unused."""
    catalogue = None if dataset.catalogue is None else read_catalogue(dataset.catalogue)
    objects = list(cutout_groups(dataset).items())
    yield from attempt(
        [(k, join_paths(list(objects[k][1].values()))) for k in range(start, stop)],
        lambda k: _cutout(name, dataset, k, objects[k], catalogue, manifest),
        [key.partition("\0")[0] for key, _ in objects],
    )


def cutout_groups(dataset: CutoutsDataset) -> dict[str, dict[str, str]]:
    """Image files by object name and band; the band is "" where one file holds all bands.

    Raises FileNotFoundError where a pattern matches nothing.
    """
    groups: dict[str, dict[str, str]] = {}
    for (pattern, band), paths in dataset.image_files():
        for path in paths:
            name = object_name(path, pattern, band) if band else Path(path).stem
            _add(groups, name, band, path)
    return dict(sorted(groups.items())) if dataset.layout == "files" else groups


def _add(groups: dict[str, dict[str, str]], name: str, band: str, path: str) -> None:
    """Add a file to its object; two files of one name and band (in two folders) are two objects.

    The second is called NAME NUL PATH, so that the reader can tell and refuse it.
    """
    taken = band in groups.get(name, {})
    groups.setdefault(f"{name}\0{path}" if taken else name, {})[band] = path


def object_name(path: str, pattern: str, band: str) -> str:
    """Stem of `path` without its band and one separator; of a name that is the band, the folder.

    The band is taken out where `pattern` has {band}: other parts of a name may look like it.
    """
    stem = Path(path).stem
    before, found, after = Path(pattern).stem.partition("{band}")
    if not found:
        return stem
    for start in range(len(stem) - len(band), -1, -1):
        head, tail = stem[:start], stem[start + len(band) :]
        here = stem[start:].startswith(band)
        if here and fnmatch.fnmatchcase(head, before) and fnmatch.fnmatchcase(tail, after):
            if head.endswith(("_", "-")):
                return head[:-1] + tail
            return head + tail.removeprefix(tail[:1] if tail[:1] in ("_", "-") else "") or (
                Path(path).parent.name
            )
    return stem


def read_catalogue(path: str) -> dict[str, dict[str, Any]]:
    """Metadata fields by object name from CSV or ECSV; empty cells are left out.

    Columns that are not metadata fields are not used.
    Raises ValueError where the column `name` is missing or a name occurs twice.
    """
    if path.endswith(".ecsv"):
        table = Table.read(path, format="ascii.ecsv").to_pandas()
        table = table.astype({key: str for key in table if key == "name"})
    else:
        table = pd.read_csv(path, dtype={"name": str, **dict.fromkeys(_TEXT, str)})
    if "name" not in table:
        raise ValueError(f"{path}: no column 'name' with the stems of the image files")
    repeated = table["name"][table["name"].duplicated()]
    if len(repeated):
        raise ValueError(f"{path}: name {repeated.iloc[0]} occurs twice")
    fields = [key for key in CATALOGUE_FIELDS if key in table]
    rows: dict[str, dict[str, Any]] = {}
    for record in table.to_dict("records"):
        values = {key: record[key] for key in fields if not pd.isna(record[key])}
        if "label" in values:
            values["label"] = _label(values["label"], f"{path}: {record['name']}")
        rows[str(record["name"])] = values
    return rows


def _label(cell: Any, where: str) -> int:
    """A label; ValueError for what is none. A probability cut to an integer would be a 0."""
    try:
        label = float(cell)
    except (TypeError, ValueError):
        label = float("nan")
    if label not in (-1, 0, 1):
        raise ValueError(f"{where}: label {cell!r} is none of -1, 0, 1; correct the table")
    return int(label)


def _cutout(
    name: str,
    dataset: CutoutsDataset,
    index: int,
    named_files: tuple[str, dict[str, str]],
    catalogue: dict[str, dict[str, Any]] | None,
    manifest: Manifest,
) -> Cutout:
    object_name, files = named_files
    paths = list(files.values())
    if catalogue is not None and object_name not in catalogue:
        raise ValueError(f"{paths[0]}: no row named {object_name} in {dataset.catalogue}")
    missing = [band for band in dataset.bands if band not in files] if "" not in files else []
    if missing:
        raise FileNotFoundError(f"{paths[0]}: no file of {object_name} in band {missing[0]}")
    arrays, fields, header, survey = read_bands(dataset, files, object_name)
    known = {} if catalogue is None else catalogue[object_name]
    metadata = Metadata(
        **{
            "sample_id": f"{name}-{object_name}",
            "system_id": f"{name}-{object_name}",
            "dataset": name,
            "raw_file": join_paths(paths),
            "raw_index": index,
            "raw_sha256": raw_digest(all_files(dataset, paths), manifest),
            "label": dataset.label,
            "label_source": dataset.label_source,
            "label_confidence": 0.0 if known.get("label", dataset.label) == -1 else 1.0,
            **observation(dataset, header, survey),
            **_position(header, arrays["image"].shape, known, dataset.label_source),
            **known,
            **fields,
        }
    )
    return Cutout(metadata=metadata, **arrays)


def _position(
    header: Keywords, shape: tuple[int, ...], known: dict[str, Any], label_source: str
) -> dict[str, float]:
    """Sky position of the centre by the WCS; none for simulated skies, which match nothing."""
    if "ra" in known and "dec" in known:
        return {}
    if str(known.get("label_source", label_source)).startswith("sim:"):
        return {}
    ra, dec = centre_of(celestial_wcs(header), (shape[1], shape[2]))
    return {"ra": ra, "dec": dec}


def read_bands(
    dataset: FitsDataset, files: dict[str, str], where: str
) -> tuple[dict[str, np.ndarray], dict[str, Any], Keywords, Survey]:
    """One object from its image files by band ("" where one file holds all bands).

    Returns (arrays for Cutout, fields for Metadata, header of the first band, survey).
    """
    layers = _layers(dataset, files)
    surveys = [survey_of(dataset.survey, layer[1], layer[-1]) for layer in layers]
    if len({survey.name.split("_")[0] for survey in surveys}) > 1:
        names = " and ".join(dict.fromkeys(survey.name for survey in surveys))
        raise ValueError(f"{where}: its bands come from {names}; make a data set of each")
    planes = [_plane(dataset, layer, one) for layer, one in zip(layers, surveys, strict=True)]
    arrays, fields = fill_slots(planes, where)
    return arrays, fields, layers[0][1], surveys[0]


def observation(dataset: FitsDataset, header: Keywords, survey: Survey) -> dict[str, Any]:
    """Metadata of the observation; the pixel scale is the config's, else the header's, else the
    survey's, arcsec per pixel."""
    scale = dataset.pixel_scale_arcsec or pixel_scale_of(header) or survey.pixel_scale_arcsec
    return {
        "pixel_scale": scale,
        "instrument": str(header.get("INSTRUME", "")).strip() or survey.name,
        "survey": survey.name,
        "seeing": seeing_of(header),
    }


def all_files(dataset: FitsDataset, paths: list[str]) -> list[str]:
    """Images with their variance and PSF files."""
    variances = [path for path in map(dataset.variance_path, paths) if path]
    return list(dict.fromkeys([*paths, *variances, *existing(map(dataset.psf_path, paths))]))


#: One band of one object: filter, header, counts, variance or None, PSF or None, path.
_Layer = tuple[str, Keywords, np.ndarray, np.ndarray | None, np.ndarray | None, str]


def _layers(dataset: FitsDataset, files: dict[str, str]) -> list[_Layer]:
    """All bands of one object."""
    layers: list[_Layer] = []
    for band, path in files.items():
        bands = [band] if band else dataset.bands
        images = _images(dataset, path, bands)
        variances = _optional(dataset, dataset.variance_path(path), bands)
        psf_file = next(iter(existing([dataset.psf_path(path)])), None)
        psfs = _optional(dataset, psf_file, bands)
        for k, filter_name in enumerate(bands):
            counts, header = images[k]
            psf = None if psfs is None else shipped_psf(psfs[k][0], str(psf_file))
            variance = None if variances is None else variances[k][0]
            layers.append((filter_name, header, counts, variance, psf, path))
    return layers


def _optional(
    dataset: FitsDataset, path: str | None, bands: list[str]
) -> list[tuple[np.ndarray, Keywords]] | None:
    return None if path is None else _images(dataset, path, bands)


def _images(dataset: FitsDataset, path: str, bands: list[str]) -> list[tuple[np.ndarray, Keywords]]:
    """Planes of one file with their headers, one per band in `bands`.

    Extensions are taken by name where every band names one, else in order.
    """
    with open_fits(path) as hdus:
        images = image_planes(hdus)
        if not images:
            raise ValueError(f"{path}: no image in the file")
        if dataset.layout == "cube":
            cube = pixels(images[0], path)
            cube = cube[None] if cube.ndim == 2 else cube
            planes = [(counts, keywords(hdus, images[0])) for counts in cube]
        else:
            by_name = {hdu.name.upper(): hdu for hdu in images}
            if all(band.upper() in by_name for band in bands):
                images = [by_name[band.upper()] for band in bands]
            planes = [(pixels(hdu, path), keywords(hdus, hdu)) for hdu in images]
    if len(planes) != len(bands):
        raise ValueError(
            f"{path}: {len(planes)} image planes for {len(bands)} bands ({', '.join(bands)})"
        )
    wrong = [counts.shape for counts, _ in planes if counts.ndim != 2]
    if wrong:
        raise ValueError(f"{path}: an image has shape {wrong[0]}, expected 2 axes")
    return planes


def _plane(dataset: FitsDataset, layer: _Layer, survey: Survey) -> Any:
    filter_name, header, counts, variance, psf, path = layer
    njy = njy_per_pixel_unit(header, survey, filter_name, path, dataset.zero_point_ab)
    if variance is not None and variance.shape != counts.shape:
        raise ValueError(f"{path}: variance of shape {variance.shape}, image {counts.shape}")
    bad = unusable_counts(counts, header, survey)
    return plane(
        filter_name,
        counts,
        njy,
        variance=variance,
        unusable=bad,
        psf=psf,
        psf_missing=psf is None and dataset.psf_pattern is not None,
    )
