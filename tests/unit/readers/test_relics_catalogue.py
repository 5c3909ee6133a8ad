"""RELICS catalogues as they differ: columns, order, case, sentinels, repeated filters, bad rows."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lenshunt.readers.relics_catalogue import ALIASES, REQUIRED, read_catalogue

#: Optional columns by the name that our table gives them.
OPTIONAL = {
    "stel": "stellarity", "ell": "ellipticity", "bright_mag": "bright_mag", "zb": "z_phot",
    "zbmin": "z_min", "zbmax": "z_max", "f606w_mag": "F606W_mag", "F814W_MAG": "F814W_mag",
    "f160w_mag": "F160W_mag",
}  # fmt: skip
UNUSED = ("x", "y", "fwhm", "nf5sig", "f814w_sig", "irac1_mag", "odds", "M0")


def write(path, names, rows, numbered=True, remarks=("## a RELICS catalogue",)):
    lines = list(remarks)
    if numbered:
        lines += [f"# {k:2d} {name:10s} text" for k, name in enumerate(names, 1)]
    lines += ["##", "##  " + "  ".join(names)]
    lines += ["  " + "   ".join(f"{cell}" for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


BASE = ("id", "RA", "Dec", "f814w_mag", "zb")
ROWS = ((1, 10.0, -5.0, 20.0, 0.4), (2, 10.1, -5.1, 99.0, -99.0), (3, 10.2, -5.2, -99.0, 0.5))


@pytest.mark.real
def test_the_real_catalogue_is_read_by_its_header_lines(real_data):
    path = next((real_data / "relics").glob("hlsp_*.txt"))
    catalogue = read_catalogue(str(path))
    table = catalogue.table
    assert not catalogue.broken
    assert table["id"].tolist() == [39, 57, 3514, 3517, 3527, 3532, 3534, 3540, 3548, 3549]
    assert catalogue.columns["stellarity"] == "stel"
    filters = ("F435W", "F606W", "F814W", "F105W", "F125W", "F140W", "F160W")
    assert {f"{name}_mag" for name in filters} <= set(table)
    assert table["F814W_mag"].tolist()[0] == 24.6365
    # the brightest source of the excerpt, a star by its stellarity
    assert table.loc[table["bright_mag"].idxmin(), "id"] == 3514
    assert table.loc[2, "stellarity"] == 0.81
    assert (table["z_phot"] > 0).all()
    # what the catalogue has no observation of is no magnitude
    least = table[[f"{name}_mag" for name in filters]].min(axis=1)
    assert (least - table["bright_mag"] < 0.3).all()
    assert table["F160W_mag"].isna().sum() == 2


cells = st.floats(-50, 50).map(lambda value: round(value, 4))


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    data=st.data(),
    optional=st.sets(st.sampled_from([*OPTIONAL, *UNUSED])),
    numbered=st.booleans(),
    n=st.integers(1, 5),
)
def test_any_order_and_subset_of_columns_gives_the_same_values(
    tmp_path, data, optional, numbered, n
):
    required = [data.draw(st.sampled_from(ALIASES[name])).upper() for name in REQUIRED]
    names = data.draw(st.permutations([*required, *sorted(optional)]))
    sentinels = st.sampled_from([99.0, -99.0])
    values = {name: data.draw(st.lists(cells | sentinels, min_size=n, max_size=n))
              for name in optional}  # fmt: skip
    values |= {required[0]: list(range(1, n + 1))}
    values |= {required[1]: [data.draw(st.floats(0, 359).map(lambda v: round(v, 7)))] * n}
    values |= {required[2]: [data.draw(st.floats(-89, 89).map(lambda v: round(v, 7)))] * n}
    rows = list(zip(*(values[name] for name in names), strict=True))
    catalogue = read_catalogue(write(tmp_path / "cat.txt", names, rows, numbered))
    table = catalogue.table
    assert not catalogue.broken
    assert table["id"].tolist() == values[required[0]]
    np.testing.assert_allclose(table["ra"], values[required[1]])
    np.testing.assert_allclose(table["dec"], values[required[2]])
    for name, ours in OPTIONAL.items():
        column = np.array(values.get(name, [math.nan] * n), dtype=float)
        if ours.endswith("_mag") and ours != "bright_mag":
            if name not in values:
                assert ours not in table
                continue
            column[np.abs(column) >= 98] = math.nan
        elif ours == "z_phot":
            column = np.where((column >= 0) & (column <= 90), column, -1.0)
        elif ours == "stellarity":
            column[~((column >= 0) & (column <= 1))] = math.nan
        elif ours == "bright_mag":
            continue
        np.testing.assert_allclose(table[ours], column, err_msg=name)
    assert (table["bright_mag"].abs() < 98).sum() == table["bright_mag"].notna().sum()


def test_the_brightest_magnitude_is_the_least_where_the_catalogue_names_none(tmp_path):
    names = ("id", "RA", "Dec", "f606w_mag", "f814w_mag")
    rows = [(1, 1, 1, 22.0, 21.0), (2, 1, 1, 99.0, 23.0), (3, 1, 1, 99.0, -99.0)]
    table = read_catalogue(write(tmp_path / "cat.txt", names, rows)).table
    assert table["bright_mag"].tolist()[:2] == [21.0, 23.0]
    assert math.isnan(table["bright_mag"][2])


def test_of_a_repeated_filter_the_best_measured_magnitude_counts(tmp_path):
    names = ("id", "RA", "Dec", *("f160w_mag", "f160w_magerr") * 3)
    rows = [(1, 1, 1, 22.0, 0.3, 21.0, 0.1, -99.0, 0.0), (2, 1, 1, 99.0, 27.0, -99.0, 0, 23.0, 1.0)]
    table = read_catalogue(write(tmp_path / "cat.txt", names, rows)).table
    assert table["F160W_mag"].tolist() == [21.0, 23.0]


def test_fluxes_serve_where_no_magnitude_is_listed(tmp_path):
    rows = [(1, 1, 1, 1000.0), (2, 1, 1, -5.0), (3, 1, 1, -1e31)]
    path = write(tmp_path / "cat.txt", ("id", "RA", "Dec", "f814w_fluxnJy"), rows)
    table = read_catalogue(path).table
    # AB zero point 31.4 of nJy
    assert table["F814W_mag"][0] == pytest.approx(31.4 - 7.5)
    assert table["F814W_mag"].isna().tolist() == [False, True, True]


def test_broken_rows_are_named_and_the_others_kept(tmp_path):
    rows = [
        *ROWS,
        (4, 10.0, "1O.5", 20.0, 0.4),
        (5, 400.0, 0.0, 20.0, 0.4),
        (6, 10.0, 0.0, 20.0),
        (1, 10.3, 0.0, 20.0, 0.4),
        (8, 10.0, 0.0, "********", 0.4),
        (9, 10.0, 0.0, "--", "inf"),
        ("nan", 10.0, 0.0, 20.0, 0.4),
    ]
    catalogue = read_catalogue(write(tmp_path / "cat.txt", BASE, rows))
    assert catalogue.table["id"].tolist() == [1, 2, 3, 9]
    assert catalogue.table["z_phot"].tolist() == [0.4, -1.0, 0.5, -1.0]
    first = 1 + len(BASE) + 2 + 1
    assert dict(catalogue.broken) == {
        first + 3: "Dec is '1O.5', not a number",
        first + 4: "RA 400.0, Dec 0.0 is not a position in degrees",
        first + 5: "4 values, the other rows have 5",
        first + 6: f"id 1 occurred before, in line {first}",
        first + 7: "f814w_mag is '********', not a number",
        first + 9: "id nan is not an integer",
    }


def test_a_broken_number_in_a_column_that_nobody_needs_costs_nothing(tmp_path):
    path = write(tmp_path / "cat.txt", (*BASE, "odds"), [(*row, "bad") for row in ROWS])
    assert len(read_catalogue(path).table) == 3


def test_values_beyond_the_named_columns_blank_lines_and_remarks_are_passed_over(tmp_path):
    remarks = ("# 1 orbit in each filter", "# 2 visits", "", "## 3 remarks", "\u00e9tude")
    path = tmp_path / "cat.txt"
    write(path, BASE, [(*row, 7, 8) for row in ROWS], remarks=remarks[:4])
    text = path.read_text().replace("\n  2 ", "\n\n\t2\t")
    path.write_bytes(text.replace("a RELICS", "\u00e9").encode("latin-1") + b"\n\n")
    table = read_catalogue(str(path)).table
    assert table["id"].tolist() == [1, 2, 3]
    assert table["F814W_mag"].tolist()[0] == 20.0


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_column_is_named_with_what_was_looked_for(tmp_path, missing):
    keep = [k for k, name in enumerate(BASE) if name.lower() != missing]
    rows = [[row[k] for k in keep] for row in ROWS]
    path = write(tmp_path / "cat.txt", [BASE[k] for k in keep], rows)
    with pytest.raises(
        ValueError, match=rf"cat\.txt: no column '{missing}'.*looked for: {missing}"
    ):
        read_catalogue(path)


def test_a_header_that_does_not_fit_the_rows_is_refused(tmp_path):
    path = write(tmp_path / "cat.txt", (*BASE, "odds"), ROWS)
    with pytest.raises(
        ValueError, match=r"rows hold 5 values, but the header names column 6 .odds"
    ):
        read_catalogue(path)
    path = write(tmp_path / "cat.txt", (*BASE, "odds"), ROWS, numbered=False)
    with pytest.raises(ValueError, match="its columns have no names"):
        read_catalogue(path)
