"""Raw files of a data set: those named in the config, and all of them with patterns resolved."""

import csv
import errno
import glob
from pathlib import Path

from lenshunt.config import (
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Dataset,
    GalaxiesMLDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    RelicsDataset,
    StampsDataset,
)
from lenshunt.raw.companions import psf_beside, psf_path, variance_path

#: Folder and file-name stem of each band of the Lens Finding Challenge, in the official order.
BOLOGNA_BANDS = {
    "ground": (
        ("Band1", "SDSS_R"),
        ("Band2", "SDSS_I"),
        ("Band3", "SDSS_G"),
        ("Band4", "SDSS_U"),
    ),
    "space": (("Band1", "EUC_VIS"),),
}


def key_files(dataset: Dataset) -> list[str]:
    """Files that the config names one by one: the inputs of the DAG, whether they exist or not."""
    match dataset:
        case GalaxiesMLDataset():
            return list(dataset.files)
        case BolognaDataset():
            return [dataset.labels]
        case CastlesDataset():
            return [dataset.table, *_plain(dataset.images)]
        case RelicsDataset():
            return _relics_files(dataset)
        case CutoutsDataset():
            catalogue = [dataset.catalogue] if dataset.catalogue else []
            return [*catalogue, *_plain(dataset.images)]
        case StampsDataset() | HstLensesDataset():
            return _plain(dataset.images)
        case HstGalaxiesDataset():
            return list(dataset.catalogues)


def raw_files(dataset: Dataset) -> list[str]:
    """All raw files, patterns resolved, sorted and unique.

    Raises FileNotFoundError (with `filename`) for a named file that is missing and for a pattern
    that matches nothing.
    """
    for path in key_files(dataset):
        if not Path(path).is_file():
            raise FileNotFoundError(errno.ENOENT, "raw file named in the config is missing", path)
    files = {*key_files(dataset)}
    match dataset:
        case BolognaDataset():
            present = present_by_band(dataset)
            files.update(path for band in present.values() for path in band.values())
        case CastlesDataset() | HstLensesDataset() | StampsDataset():
            files.update(resolve(dataset.images))
            if isinstance(dataset, HstLensesDataset):
                files.update(path for path in map(psf_beside, files.copy()) if Path(path).is_file())
        case CutoutsDataset():
            files.update(cutout_files(dataset))
        case HstGalaxiesDataset():
            files.update(_galsim_files(dataset))
    return sorted(files)


def resolve(patterns: list[str]) -> list[str]:
    """Files that match the glob patterns, sorted and unique."""
    found: set[str] = set()
    for pattern in patterns:
        matches = glob.glob(pattern, recursive=True)
        if not matches:
            raise FileNotFoundError(errno.ENOENT, "no raw file matches the pattern", pattern)
        found.update(matches)
    return sorted(found)


def _plain(patterns: list[str]) -> list[str]:
    """Those of `patterns` that are plain file names."""
    return [name for name in patterns if not glob.has_magic(name) and "{" not in name]


def _relics_files(dataset: RelicsDataset) -> list[str]:
    files: list[str] = []
    for field in dataset.fields.values():
        files += [field.catalogue, *field.images.values(), *field.weights.values()]
        files += [field.arcs] if field.arcs else []
    return files


def bologna_path(dataset: BolognaDataset, folder: str, stem: str, identity: str) -> str:
    """Official path of one band of one object."""
    return str(Path(dataset.images) / folder / f"image{stem}-{identity}.fits")


def present_by_band(dataset: BolognaDataset) -> dict[str, dict[str, str]]:
    """Files that lie in the band folders: filter -> object ID -> path."""
    present: dict[str, dict[str, str]] = {}
    for folder, stem in BOLOGNA_BANDS[dataset.variant]:
        prefix = f"image{stem}-"
        present[stem] = {
            path.stem.removeprefix(prefix): str(path)
            for path in sorted((Path(dataset.images) / folder).glob(f"{prefix}*.fits"))
        }
    return present


def cutout_groups(dataset: CutoutsDataset) -> dict[str, dict[str, str]]:
    """Image files by object name and band; the band is "" where one file holds all bands.

    Raises FileNotFoundError where a pattern matches nothing.
    """
    if dataset.layout != "files":
        return {Path(path).stem: {"": path} for path in _without_companions(dataset)}
    groups: dict[str, dict[str, str]] = {}
    for pattern in dataset.images:
        before, _, after = pattern.partition("{band}")
        for band in dataset.bands:
            for path in resolve([before + band + after]):
                name = object_name(path, before + "{band}" + after, band)
                groups.setdefault(name, {})[band] = path
    return dict(sorted(groups.items()))


def object_name(path: str, pattern: str, band: str) -> str:
    """Stem of `path` without its band: a folder, or part of the name with its separators."""
    stem, stem_pattern = Path(path).stem, Path(pattern).stem
    if "{band}" not in stem_pattern:
        return stem
    for part in (f"_{band}", f"-{band}", f"{band}_", f"{band}-", band):
        if part in stem:
            return stem.replace(part, "", 1)
    return stem


def _without_companions(dataset: CutoutsDataset) -> list[str]:
    """Image files, without the variance and PSF files that a wide pattern also matches."""
    files = resolve(dataset.images)
    return [path for path in files if path not in _companions(dataset, files)]


def _companions(dataset: CutoutsDataset, images: list[str]) -> set[str]:
    found = {variance_path(dataset, path) for path in images}
    found |= {psf_path(dataset, path) for path in images}
    return {path for path in found if path}


def cutout_files(dataset: CutoutsDataset) -> list[str]:
    """Image files of all objects with their variance and PSF files."""
    images = [path for group in cutout_groups(dataset).values() for path in group.values()]
    companions = {path for path in _companions(dataset, images) if Path(path).is_file()}
    return sorted({*images, *companions})


def _galsim_files(dataset: HstGalaxiesDataset) -> list[str]:
    """Image and PSF files that the catalogues name, beside the catalogues."""
    from lenshunt.raw.hst_galaxies import named_files

    return [path for path in named_files(dataset) if Path(path).is_file()]


def read_csv_rows(path: str) -> list[dict[str, str]]:
    """Rows of a CSV, keys stripped of spaces and quotes (both header styles exist)."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        return [{(key or "").strip().strip('"'): value for key, value in r.items()} for r in rows]
