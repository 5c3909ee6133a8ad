"""The limit on what could not be read, for objects and for files that hold many of them."""

import pytest
from astropy.table import Table

from lenshunt.images.rejected import merge_rejected, write_rejected
from lenshunt.reporting.summary import rejected_text
from lenshunt.schema import WHOLE_FILE, Rejected


def table_of(folder, items, n_objects) -> str:
    path = folder / "0.ecsv"
    write_rejected(items, n_objects, path)
    return str(path)


def merge(folder, items, n_objects, **options):
    merge_rejected(
        tables=[table_of(folder, items, n_objects)],
        out=str(folder / "demo.ecsv"),
        name="demo",
        **options,
    )


def test_one_unreadable_file_of_three_is_not_one_object_of_many(tmp_path):
    lost = [Rejected("validation.hdf5", WHOLE_FILE, "validation.hdf5: truncated file")]
    with pytest.raises(ValueError, match="1 of 3 files with many objects each could not be opened"):
        merge(tmp_path, lost, 245_000, fraction_max=0.01, files_of_many=3)
    assert not (tmp_path / "demo.ecsv").exists()
    merge(tmp_path, lost, 245_000, fraction_max=0.4, files_of_many=3)
    assert len(Table.read(tmp_path / "demo.ecsv")) == 1


def test_single_objects_of_a_large_file_are_held_against_all_objects(tmp_path):
    lost = [Rejected("a.hdf5", k, "a.hdf5: no usable pixel") for k in range(9)]
    merge(tmp_path, lost, 1000, fraction_max=0.01, files_of_many=3)
    with pytest.raises(ValueError, match="9 of 800 raw objects were rejected"):
        merge(tmp_path, lost, 800, fraction_max=0.01, files_of_many=3)


def test_rejections_are_told_on_the_terminal_and_on_the_summary_page(tmp_path, capsys):
    lost = [Rejected("b.fits", 1, "b.fits: File may have been truncated")]
    merge(tmp_path, lost, 100, fraction_max=0.01)
    assert "demo: 1 of 100 raw objects were rejected" in capsys.readouterr().err
    page = rejected_text({"demo": str(tmp_path / "demo.ecsv")})
    assert "**Not all raw objects of demo could be read" in page
    assert "| demo | 1 of 100 | 1.00 % | b.fits: File may have been truncated |" in page
    merge(tmp_path, [], 100, fraction_max=0.01)
    assert rejected_text({"demo": str(tmp_path / "demo.ecsv")}).startswith("None: every raw object")
