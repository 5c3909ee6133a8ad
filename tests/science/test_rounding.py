"""16-bit files against float32: bounds of the specification, and what other schemes would do."""

import numpy as np
import pytest
from rounding import made, samples
from rounding_schemes import box_sums, rounding_table

OURS = "noise-scaled, wrapped (ours)"
#: Half of the largest step, 5 % of sigma; half of the 0.1 sigma by which a box may move.
PIXEL_MAX, BOX_MAX = 0.025, 0.1


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Made samples only."""
    return rounding_table(samples(tmp_path_factory.mktemp("empty")))


def test_our_errors_are_within_the_bounds_in_every_class_of_pixels(table):
    ours = table[table["scheme"] == OURS]
    assert set(ours["class"]) == {"sky", "arc", "galaxy", "core", "bright core"}
    assert (ours["max_error"] <= PIXEL_MAX).all()
    assert (ours["box_error"] < BOX_MAX).all()
    # the extra bytes of wrapped pages are no second page
    assert (ours["bytes_per_pixel"] < 2.1).all()


@pytest.mark.parametrize(
    "scheme",
    [
        "linear, min to max",
        "asinh, min to max",
        "sqrt (Anscombe), min to max",
        "noise-scaled, clipped",
        "noise-scaled, asinh beyond",
        "noise-scaled, dithered",
    ],
)
def test_no_other_scheme_keeps_every_class_of_pixels(table, scheme):
    rows = table[table["scheme"] == scheme]
    assert len(rows) > 0
    assert (rows["max_error"] > PIXEL_MAX).any()


def test_dithering_only_adds_noise(table):
    rms = table.set_index(["sample", "scheme", "class"])["rms_error"]["arcs of S/N 1-5"]
    for kind in ("sky", "arc"):
        assert rms["noise-scaled, dithered"][kind] > 1.3 * rms[OURS][kind]


@pytest.mark.real
def test_real_pixels_up_to_the_brightest_are_within_the_bounds(real_data):
    table = rounding_table(
        {name: planes for name, planes in samples(real_data).items() if "real" in name}
    )
    ours = table[table["scheme"] == OURS].set_index(["sample", "class"])
    assert ours["pixels"]["HSC stamps (real)", "bright core"] > 100
    assert (ours["max_error"] <= PIXEL_MAX).all()
    assert (ours["box_error"] < BOX_MAX).all()
    # what the pages held before they wrapped: beyond a page, asinh
    asinh = table[table["scheme"] == "noise-scaled, asinh beyond"]
    assert asinh["max_error"].max() > 1


def test_box_sums_are_sums_over_boxes():
    planes = np.random.default_rng(0).normal(size=(3, 9, 11))
    windows = np.lib.stride_tricks.sliding_window_view(planes, (5, 5), axis=(1, 2))
    np.testing.assert_allclose(box_sums(planes), windows.sum(axis=(-2, -1)), atol=1e-12)


def test_made_galaxies_have_the_peak_they_are_named_by():
    for poisson in (True, False):
        image, variance = made(500, poisson)
        peak = (image / np.sqrt(variance)).mean(axis=0).max()
        assert peak == pytest.approx(500, rel=0.2)
