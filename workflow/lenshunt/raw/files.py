"""Raw files of a data set: those named in the config, and all of them with patterns resolved."""

import csv
import errno
import fnmatch
import glob
from pathlib import Path

from lenshunt.config import (
    Bologna2Dataset,
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Dataset,
    FieldDataset,
    GalaxiesMLDataset,
    GalaxyZooDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    InjectionDataset,
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
        case Bologna2Dataset():
            return [dataset.catalogue]
        case CastlesDataset():
            return [dataset.table, *_plain(dataset.images)]
        case RelicsDataset():
            return _relics_files(dataset)
        case FieldDataset():
            catalogue = [dataset.catalogue] if dataset.catalogue else []
            parts = (dataset.images, dataset.weights, dataset.psfs)
            return list(dict.fromkeys(catalogue + [f for part in parts for f in part.values()]))
        case CutoutsDataset():
            catalogue = [dataset.catalogue] if dataset.catalogue else []
            return [*catalogue, *_plain(dataset.images)]
        case StampsDataset() | HstLensesDataset():
            return _plain(dataset.images)
        case GalaxyZooDataset():
            return [dataset.table]
        case HstGalaxiesDataset():
            return list(dataset.catalogues)
        case InjectionDataset():
            # made of the records of its hosts, whose raw files their own manifest lists
            return []


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
        case Bologna2Dataset():
            found = bologna2_present(dataset)
            files.update(path for band in found.values() for path in band.values())
        case CastlesDataset() | HstLensesDataset() | StampsDataset():
            files.update(resolve(dataset.images))
            if isinstance(dataset, HstLensesDataset):
                files.update(path for path in map(psf_beside, files.copy()) if Path(path).is_file())
        case CutoutsDataset():
            files.update(cutout_files(dataset))
        case GalaxyZooDataset():
            files.update(_galaxy_zoo_files(dataset))
        case HstGalaxiesDataset():
            files.update(_galsim_files(dataset))
    return sorted(files)


def files_of_many(dataset: Dataset) -> list[str]:
    """Files that hold many objects each; none for formats with files of their own per object."""
    match dataset:
        case GalaxiesMLDataset():
            return list(dataset.files)
        case RelicsDataset():
            return [field.catalogue for field in dataset.fields.values()]
        case HstGalaxiesDataset():
            return list(dataset.catalogues)
    return []


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
        maps = (field.deflection_x, field.deflection_y, field.kappa)
        files += [path for path in (field.arcs, *maps) if path]
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


def bologna2_path(dataset: Bologna2Dataset, band: str, identity: str) -> str:
    """Path of one band of one object of Challenge 2.0."""
    name = dataset.pattern.replace("{band}", band).replace("{id}", identity)
    return str(Path(dataset.images) / name)


def bologna2_present(dataset: Bologna2Dataset) -> dict[str, dict[str, str]]:
    """Files of Challenge 2.0 that are there: band -> object ID -> path."""
    present: dict[str, dict[str, str]] = {}
    for band in dataset.bands:
        before, _, after = bologna2_path(dataset, band, "{id}").partition("{id}")
        found = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
        present[band] = {path[len(before) : len(path) - len(after)]: path for path in found}
    return present


def cutout_groups(dataset: CutoutsDataset) -> dict[str, dict[str, str]]:
    """Image files by object name and band; the band is "" where one file holds all bands.

    Raises FileNotFoundError where a pattern matches nothing.
    """
    groups: dict[str, dict[str, str]] = {}
    if dataset.layout != "files":
        for path in _without_companions(dataset):
            _add(groups, Path(path).stem, "", path)
        return groups
    for pattern in dataset.images:
        for band in dataset.bands:
            for path in resolve([pattern.replace("{band}", band)]):
                _add(groups, object_name(path, pattern, band), band, path)
    return dict(sorted(groups.items()))


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


def _without_companions(dataset: CutoutsDataset) -> list[str]:
    """Image files, without the variance and PSF files that a wide pattern also matches."""
    files = resolve(dataset.images)
    return [path for path in files if path not in _companions(dataset, files)]


def _companions(dataset: CutoutsDataset | GalaxyZooDataset, images: list[str]) -> set[str]:
    found = {variance_path(dataset, path) for path in images}
    found |= {psf_path(dataset, path) for path in images}
    return {path for path in found if path}


def cutout_files(dataset: CutoutsDataset) -> list[str]:
    """Image files of all objects with their variance and PSF files."""
    images = [path for group in cutout_groups(dataset).values() for path in group.values()]
    companions = {path for path in _companions(dataset, images) if Path(path).is_file()}
    return sorted({*images, *companions})


def _galaxy_zoo_files(dataset: GalaxyZooDataset) -> list[str]:
    """Images that the table names and that are there, with variance and PSF files."""
    from lenshunt.raw.galaxy_zoo_table import read_rows

    images = [path for row in read_rows(dataset) for path in row.paths.values()]
    named = {*images, *_companions(dataset, images)}
    return [path for path in named if Path(path).is_file()]


def _galsim_files(dataset: HstGalaxiesDataset) -> list[str]:
    """Image and PSF files that the catalogues name, beside the catalogues."""
    from lenshunt.raw.hst_galaxies import named_files

    return [path for path in named_files(dataset) if Path(path).is_file()]


def read_csv_rows(path: str) -> list[dict[str, str]]:
    """Rows of a CSV, keys stripped of spaces and quotes (both header styles exist)."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        return [{(key or "").strip().strip('"'): value for key, value in r.items()} for r in rows]
