"""Every fault of a raw file, in every format: named, listed, and the other objects untouched."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from raw_samples import read_all, truncate
from raw_sets import MAKERS, RawSet

from lenshunt.core import raw_manifest
from lenshunt.readers import raw_files, reader_of
from lenshunt.schema import Cutout, Rejected

Fault = Callable[[Path], None]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("<html><body>404 Not Found</body></html>\n" * 200)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def no_permission(path: Path) -> None:
    path.chmod(0)


def change_pixels(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace every image of a file by `change` of it."""
    match path.suffix:
        case ".fits":
            with fits.open(path, memmap=False) as hdus:
                for hdu in hdus:
                    if hdu.data is not None:
                        hdu.data = change(hdu.data)
                hdus.writeto(path, overwrite=True)
        case ".npz":
            with np.load(path) as file:
                arrays = dict(file)
            np.savez(path, **{**arrays, "images": change(arrays["images"])})
        case _:
            with h5py.File(path, "r+") as file:
                key = "image" if "image" in file else "image_data"
                changed = change(file[key][()])
                del file[key]
                file[key] = changed


def all_nan(path: Path) -> None:
    change_pixels(path, lambda image: np.full_like(image, np.nan))


def one_axis(path: Path) -> None:
    change_pixels(path, lambda image: image.reshape(-1))


def headers(path: Path, change: Callable[[fits.Header], None]) -> None:
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            change(hdu.header)
        hdus.writeto(path, overwrite=True)


def without_keys(*keys: str) -> Fault:
    def fault(path: Path) -> None:
        headers(path, lambda header: [header.remove(key, ignore_missing=True) for key in keys])

    return fault


def with_key(key: str, value: object) -> Fault:
    return lambda path: headers(path, lambda header: header.set(key, value))


def without_arrays(*keys: str) -> Fault:
    def fault(path: Path) -> None:
        if path.suffix == ".npz":
            with np.load(path) as file:
                np.savez(path, **{key: file[key] for key in file if key not in keys})
            return
        with h5py.File(path, "r+") as file:
            for key in keys:
                del file[key]

    return fault


def without_columns(*columns: str) -> Fault:
    def fault(path: Path) -> None:
        with fits.open(path, memmap=False) as hdus:
            kept = [column for column in hdus[1].columns if column.name not in columns]
            fits.BinTableHDU.from_columns(kept).writeto(path, overwrite=True)

    return fault


def without_text(pattern: str, replacement: str = "") -> Fault:
    return lambda path: path.write_text(re.sub(pattern, replacement, path.read_text()))


def without_last_extension(path: Path) -> None:
    with fits.open(path, memmap=False) as hdus:
        hdus[:-1].writeto(path, overwrite=True)


#: Faults that every file can have, and what the reason must say beside the name of the file.
ANY_FILE = {
    truncate: r"truncated|no whole NPZ file",
    empty: r"Empty|signature not found|no whole NPZ file",
    text: r"SIMPLE|signature not found|no whole NPZ file",
    folder: r"[Ii]s a directory",
    dangling: r"No such file or directory",
    all_nan: r"(no usable pixel|without usable pixels)",
    one_axis: r"shape|axes|no image|2-D",
}

#: (format, fault, file or "" for the image, what the reason says)
PARTICULAR = [
    ("cutouts", without_last_extension, "", r"2 image planes for 3 bands"),
    ("cutouts", without_text("b,1.*\n"), "catalogue.csv", r"no row named b in .*catalogue"),
    ("stamps", without_arrays("variance"), "", r"no array 'variance'"),
    ("stamps", without_arrays("psfs"), "", r"no array 'psfs'"),
    ("bologna", Path.unlink, "", r"[Nn]o such file"),
    (
        "bologna",
        without_text(r"101,1,2e-11,", "101,1,,"),
        "labels.csv",
        r"ID 101: Einstein_area is '', not a number",
    ),
    (
        "bologna",
        without_text(r"101,1", "101,maybe"),
        "labels.csv",
        r"ID 101: is_lens is 'maybe', not a number",
    ),
    ("castles", without_keys("FILTER1", "FILTER2"), "", r"no FILTER, FILTER1 .* this data set"),
    ("castles", with_key("FILTER2", "F999X"), "", r"F999X.*filters\.yaml"),
    ("castles", without_keys("PHOTFLAM"), "", r"no PHOTFLAM in the header"),
    ("castles", without_keys("BUNIT"), "", r"no BUNIT in the header, so no unit .* in the config"),
    ("castles", with_key("BUNIT", "MAGNITUDES"), "", r"BUNIT 'MAGNITUDES' is neither"),
    (
        "castles",
        without_keys("CTYPE1", "CTYPE2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"),
        "",
        r"no WCS, CD matrix or D001SCAL; give D001SCAL under `header`",
    ),
    ("hst_lenses", without_arrays("background_rms"), "", r"no data set 'background_rms'"),
    ("hst_lenses", without_arrays("exposure_time"), "", r"no data set 'exposure_time'"),
    ("hst_lenses", without_arrays("transform_pix2angle"), "", r"no data set 'transform_pix2angle'"),
    ("hst_lenses", all_nan, "", r"no usable pixel"),
    ("galaxiesml", without_arrays("ra"), "", r"no data set 'ra'"),
    ("galaxiesml", without_arrays("image"), "", r"no data set 'image'"),
    ("hst_galaxies", Path.unlink, "", r"[Nn]o such file"),
    ("hst_galaxies", truncate, "catalogue_F814W.fits", r"catalogue_F814W\.fits"),
    ("hst_galaxies", empty, "catalogue_F814W.fits", r"[Ee]mpty"),
    ("hst_galaxies", text, "catalogue_F814W.fits", r"SIMPLE"),
    (
        "hst_galaxies",
        without_columns("PIXEL_SCALE"),
        "catalogue_F814W.fits",
        r"no column PIXEL_SCALE; is this a GalSim catalogue",
    ),
    ("relics", without_keys("CTYPE1", "CTYPE2"), "", r"no celestial WCS"),
    ("relics", without_keys("PHOTPLAM"), "", r"no PHOTPLAM in the header"),
    ("relics", without_keys("BUNIT"), "", r"no BUNIT in the header, so no unit"),
    (
        "relics",
        without_text("# 2 RA\n"),
        "hlsp_relics_hst_acs-wfc3ir_b_multi_v1_cat.txt",
        r"no column 'ra' in the header",
    ),
    (
        "relics",
        Path.unlink,
        "hlsp_relics_hst_acs-60mas_b_f814w_v1_wht.fits",
        r"[Nn]o such file",
    ),
]


def same(one: Cutout, other: Cutout, same_bytes: bool) -> bool:
    """Equal pixels and metadata; the sha256 of a file that was broken elsewhere may differ."""
    left, right = one.metadata.to_row(), other.metadata.to_row()
    if not same_bytes:
        left["raw_sha256"] = right["raw_sha256"]
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.variance, other.variance, equal_nan=True)
        and repr(left) == repr(right)
    )


def read_broken(
    reader: str, fault: Fault, name: str, tmp_path: Path
) -> tuple[RawSet, Path, list[Rejected]]:
    """Break one file of a data set; what was rejected, after checks that hold for every fault."""
    raw = MAKERS[reader](tmp_path)
    whole = {cutout.metadata.sample_id: cutout for cutout in read_all(raw.dataset, tmp_path)[0]}
    broken = tmp_path / name if name else raw.broken
    fault(broken)
    read, rejected = read_with_missing(raw, tmp_path)
    assert len(read) + len(rejected) == reader_of(raw.dataset).count(raw.dataset)
    assert rejected
    found = {cutout.metadata.sample_id: cutout for cutout in read}
    assert raw.spared <= set(found) <= set(whole)
    for sample, cutout in found.items():
        assert same(cutout, whole[sample], sample in raw.spared), sample
        assert np.isfinite(cutout.variance).any() or np.isnan(cutout.variance).any()
        assert cutout.image[cutout.image != 0].size > 100
    return raw, broken, rejected


def read_with_missing(raw: RawSet, tmp_path: Path) -> tuple[list[Cutout], list[Rejected]]:
    """Read the set; a file that the config names may be gone since the workflow was planned."""
    try:
        return read_all(raw.dataset, tmp_path)
    except FileNotFoundError as error:
        gone = Path(error.filename)
        gone.touch()
        manifest = raw_manifest(raw_files(raw.dataset), tmp_path / "gone.json")
        gone.unlink()
        reader = reader_of(raw.dataset)
        items = list(reader.read("set", raw.dataset, 0, reader.count(raw.dataset), manifest))
        return (
            [item for item in items if isinstance(item, Cutout)],
            [item for item in items if isinstance(item, Rejected)],
        )


def check_reasons(rejected: list[Rejected], broken: Path, says: str) -> None:
    for item in rejected:
        print(item.raw_index, item.reason)
        assert re.search(says, item.reason), item.reason
        assert broken.name in item.reason or broken.name in item.raw_file
        assert len(item.reason) > 20
        assert "\n" not in item.reason


#: A file that the config names and that is none stops the run before it starts, by its name.
NAMED_IN_CONFIG = ("galaxiesml", "relics")


@pytest.mark.parametrize("reader", MAKERS)
@pytest.mark.parametrize("fault", ANY_FILE, ids=lambda f: f.__name__)
def test_a_broken_file_costs_its_objects_and_no_other(reader, fault, tmp_path):
    if fault is folder and reader in NAMED_IN_CONFIG:
        raw = MAKERS[reader](tmp_path)
        folder(raw.broken)
        with pytest.raises(FileNotFoundError, match=re.escape(str(raw.broken))):
            read_all(raw.dataset, tmp_path)
        return
    _, broken, rejected = read_broken(reader, fault, "", tmp_path)
    check_reasons(rejected, broken, ANY_FILE[fault])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("reader", MAKERS)
def test_a_file_without_permission_costs_its_objects_and_no_other(reader, tmp_path):
    _, broken, rejected = read_broken(reader, no_permission, "", tmp_path)
    check_reasons(rejected, broken, r"[Pp]ermission|manifest")


@pytest.mark.parametrize(
    ("reader", "fault", "name", "says"),
    PARTICULAR,
    ids=lambda v: getattr(v, "__name__", str(v))[:30],
)
def test_a_fault_of_one_format_is_named_with_what_is_wrong(reader, fault, name, says, tmp_path):
    _, broken, rejected = read_broken(reader, fault, name, tmp_path)
    check_reasons(rejected, broken, says)


def test_of_two_objects_with_one_name_the_second_is_rejected(tmp_path):
    for reader, pattern in (("cutouts", "*.fits"), ("stamps", "*.npz")):
        here = tmp_path / reader
        (here / "more").mkdir(parents=True)
        raw = MAKERS[reader](here)
        shutil.copy(raw.broken, here / "more")
        patterns = [*raw.dataset.images, f"{here}/more/{pattern}"]
        dataset = raw.dataset.model_copy(update={"images": patterns})
        read, rejected = read_all(dataset, here)
        assert len(read) == 3, reader
        assert len(rejected) == 1
        assert re.search(r"more/.*: a second object named b", rejected[0].reason)
