"""Lenses that are known to be on the sky are read from their tables and found among negatives."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Table

from lenshunt.config import KnownLensRadii
from lenshunt.dataset import find_exclusions, read_known_lenses
from lenshunt.dataset.known_lenses import nearest_known_lens
from lenshunt.readers.download import source_of

SECOND = 1 / 3600
RADII = KnownLensRadii().model_dump()
HEADER = "name,RA [deg],DEC [deg],zlens,type,grading,ref\n"
#: Rows of the layout of lenscat: several names and redshifts in one cell, text for no redshift.
LENSCAT = (
    HEADER
    + "J0011-0845,2.83435,-8.7643,-,galaxy,confident,https://example.org/quasars\n"
    + "J0100+01 | A-1 | a1,15.0,1.0,0.4 | nan | 0.41,group,probable,X (2020) | Y (2021)\n"
    + "A 2744,3.58,-30.4,0.308,cluster,confident,not measured\n"
)


def samples(*places, label=0, source="obs:matched"):
    """A table of samples at (ra, dec), all in the test split of data set `field`."""
    names = [f"n{k}" for k in range(len(places))]
    return pd.DataFrame(
        {
            "dataset": "field",
            "sample_id": names,
            "system_id": names,
            "split": "test",
            "label": label,
            "label_source": source,
            "ra": [float(ra) for ra, _ in places],
            "dec": [float(dec) for _, dec in places],
        }
    )


def written(tmp_path, text, name="lenses.csv"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_the_layout_of_lenscat_is_read(tmp_path):
    table = read_known_lenses(written(tmp_path, LENSCAT))
    assert table["name"].tolist() == ["J0011-0845", "J0100+01 | A-1 | a1", "A 2744"]
    assert table["type"].tolist() == ["galaxy", "group", "cluster"]
    assert table[["ra", "dec"]].iloc[0].tolist() == [2.83435, -8.7643]


def test_the_real_castles_table_is_read(real_data):
    table = read_known_lenses(str(real_data / "castles" / "castles_table.csv"))
    assert len(table) == 101
    assert set(table["type"]) == {"galaxy"}
    first = table.set_index("name").loc["Q0047-2808"]
    # 00:49:41.89 -27:52:25.7
    assert first["ra"] == pytest.approx(15 * (49 / 60 + 41.89 / 3600))
    assert first["dec"] == pytest.approx(-(27 + 52 / 60 + 25.7 / 3600))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ecsv"])
def test_plain_tables_of_positions_are_read_in_every_format(tmp_path, suffix):
    path = str(tmp_path / f"own.{suffix}")
    table = pd.DataFrame({"ra": [10.0, 359.9], "dec": [-5.0, 89.0]})
    if suffix == "csv":
        table.to_csv(path, index=False)
    elif suffix == "parquet":
        table.to_parquet(path)
    else:
        radians = {name: np.radians(table[name].to_numpy()) * u.rad for name in table}
        Table(radians).write(path, format="ascii.ecsv")
    found = read_known_lenses(path)
    assert found["ra"].tolist() == pytest.approx([10.0, 359.9])
    assert found["name"].tolist() == ["row 1", "row 2"]
    assert set(found["type"]) == {"galaxy"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ra\nA,1.0\n", "no column DEC .deg. or dec or DEC"),
        ("name,RA [deg]\nA,1.0\n", r"lenses\.csv: no column"),
        (HEADER + "B,,3.0,-,galaxy,probable,x\nC,2,3,-,galaxy,probable,x\n", r"1 known .*\(B\)"),
        ("ra,dec\n1.0,95.0\n", r"no position on the sky \(row 1\)"),
        ("ra,dec,type\n1.0,5.0,quasar\n", "unknown type of lens 'quasar'; the types are galaxy"),
        ("ra,dec\n10:20:30,5.0\n", "column 'ra' is not in decimal degrees"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_known_lenses(written(tmp_path, text))


def test_negatives_are_found_within_the_radius_of_each_type(tmp_path):
    path = written(tmp_path, LENSCAT)
    table = samples(
        (2.83435, -8.7643 + 9.9 * SECOND),
        (2.83435, -8.7643 + 10.1 * SECOND),
        (15.0, 1.0 - 14.9 * SECOND),
        (15.0, 1.0 - 15.1 * SECOND),
        (3.58, -30.4 + 29.9 * SECOND),
        (3.58, -30.4 + 30.1 * SECOND),
        (float("nan"), float("nan")),
    )
    found = nearest_known_lens(table, [path], RADII)["name"].tolist()
    assert found == ["J0011-0845", "", "J0100+01 | A-1 | a1", "", "A 2744", "", ""]


def test_cluster_cores_stay_negatives_where_their_arcs_were_avoided(tmp_path):
    path = written(tmp_path, LENSCAT)
    near_cluster, near_galaxy = (3.58, -30.4), (2.83435, -8.7643)
    table = samples(near_cluster, near_galaxy, source="obs:relics")
    assert nearest_known_lens(table, [path], RADII)["name"].tolist() == ["", "J0011-0845"]


def test_lenses_are_found_across_ra_zero_and_at_the_pole(tmp_path):
    path = written(tmp_path, f"name,ra,dec\nA,{360 - SECOND},0\nP,10,{90 - SECOND}\n")
    table = samples((SECOND, 0.0), (190.0, 90 - SECOND), (SECOND, 1.0))
    assert nearest_known_lens(table, [path], RADII)["name"].tolist() == ["A", "P", ""]


def test_a_known_lens_is_excluded_in_every_split_with_its_name_and_table(tmp_path):
    path = written(tmp_path, LENSCAT)
    for split in ("train", "val_select", "val_calibrate", "test"):
        table = samples((2.83435, -8.7643), (100.0, 0.0)).assign(split=split)
        found = find_exclusions(table, 2.0, [path], RADII)
        assert found["sample_id"].tolist() == ["n0"]
        assert found[["split", "reason", "other_dataset", "other_sample_id"]].iloc[0].tolist() == [
            split,
            "known lens among the negatives",
            "lenses.csv",
            "J0011-0845",
        ]


def test_lenses_of_the_data_sets_themselves_stay(tmp_path):
    table = samples((2.83435, -8.7643), label=1, source="obs:lens")
    assert find_exclusions(table, 2.0, [written(tmp_path, LENSCAT)], RADII).empty


def test_the_public_table_has_an_address_and_a_checksum():
    source = source_of("data/lenscat/catalog.csv")
    assert source.url.endswith("/lenscat/data/catalog.csv")
    assert source.checksum.startswith("sha256:")
    assert source.licence == "MIT"
