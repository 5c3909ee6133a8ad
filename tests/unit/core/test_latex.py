"""Tables for a paper."""

import math

import pytest

from lenshunt.core import latex_interval, latex_table, tex_text


def test_a_table_has_its_header_between_rules_and_a_line_per_row():
    assert latex_table("lr", ["Model", "$N$"], [["a", "1"], ["b", "2"]]) == (
        "\\begin{tabular}{lr}\n"
        "\\toprule\n"
        "Model & $N$ \\\\\n"
        "\\midrule\n"
        "a & 1 \\\\\n"
        "b & 2 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_a_table_without_rows_is_its_header():
    lines = latex_table("l", ["Model"], []).splitlines()
    assert lines[2:5] == ["Model \\\\", "\\midrule", "\\bottomrule"]


@pytest.mark.parametrize("rows", [[["a"]], [["a", "1"], ["b", "2", "3"]]])
def test_a_line_of_too_few_or_too_many_cells_is_refused(rows):
    with pytest.raises(ValueError, match="cells in 2 columns"):
        latex_table("lr", ["Model", "$N$"], rows)


def test_characters_of_latex_in_names_are_escaped():
    assert tex_text("a_b & 5 % of #1 for $2") == r"a\_b \& 5 \% of \#1 for \$2"


def test_an_interval_is_told_as_steps_from_the_value_and_never_negative():
    assert latex_interval(0.5, 0.4, 0.75) == "$0.500^{+0.250}_{-0.100}$"
    assert latex_interval(0.5, 0.51, 0.49) == "$0.500^{+0.000}_{-0.000}$"


def test_without_interval_the_value_stands_alone_and_without_value_two_dashes():
    assert latex_interval(0.5, math.nan, math.nan) == "$0.500$"
    assert latex_interval(math.nan, math.nan, math.nan) == "--"
