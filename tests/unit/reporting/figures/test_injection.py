"""The figure of injected lenses: colours and ratios from the truth table, drawn beside Collett."""

import numpy as np
import pytest
from injection_samples import POPULATION, host

from lenshunt.reporting.figures.injection import INJECTED_PANELS, draw_injected, painted_columns
from lenshunt.scenes.inject import inject
from lenshunt.scenes.truth import read_truth, truth_row, write_truth


def red_host(number):
    """As red as early types at its redshift."""
    return host(number).with_metadata(z_phot=0.4)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(truth table of three lenses, population)."""
    folder = tmp_path_factory.mktemp("figure")
    made = [
        inject(np.random.default_rng(k), red_host(k), POPULATION, "painted", snr_min=10.0)
        for k in range(3)
    ]
    write_truth([truth_row(one) for one in made if one], folder / "truth.parquet")
    POPULATION.to_parquet(folder / "population.parquet")
    return str(folder / "truth.parquet"), str(folder / "population.parquet")


def test_the_panels_show_what_the_truth_table_holds(files):
    truth = read_truth([files[0]])
    columns = painted_columns(truth)
    assert {name for name, _, _ in INJECTED_PANELS} <= set(columns)
    assert columns["source_g_minus_i"].to_numpy() == pytest.approx(
        2.5 * np.log10(truth["arc_flux_i"] / truth["arc_flux_g"]).to_numpy()
    )
    assert (10 ** columns["flux_ratio"]).to_numpy() == pytest.approx(truth["flux_ratio"].to_numpy())


@pytest.mark.slow
def test_the_figure_is_drawn_and_the_same_again(files, tmp_path):
    truth, population = files
    for name in ("one", "two"):
        draw_injected(truth=[truth], population=population, out=str(tmp_path / f"{name}.pdf"))
    one, two = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert len(one) > 20000
    assert one == two


def test_no_lens_at_all_is_said(files, tmp_path):
    write_truth([], tmp_path / "none.parquet")
    assert read_truth([tmp_path / "none.parquet"]).empty
    with pytest.raises(ValueError, match="no lens was made; look at the skipped hosts"):
        draw_injected(
            truth=[str(tmp_path / "none.parquet")], population=files[1],
            out=str(tmp_path / "none.pdf"),
        )  # fmt: skip
