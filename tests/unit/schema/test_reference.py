"""What stands for an object: its best redshift, its reference band and magnitude."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenshunt.schema import (
    REFERENCE_BANDS,
    SLOTS,
    best_redshift,
    reference_band,
    reference_magnitude,
)

NAN = float("nan")


def test_a_spectrum_comes_before_colours_and_the_unknown_is_nan():
    z = best_redshift([0.5, -1.0, NAN, -1.0, NAN, 0.0], [0.4, 0.4, 0.4, -1.0, NAN, 0.3])
    np.testing.assert_array_equal(z, [0.5, 0.4, 0.4, NAN, NAN, 0.0])


def test_a_single_object_has_one_redshift():
    assert float(best_redshift(0.43, -1.0)) == 0.43
    assert np.isnan(best_redshift(-1.0, -1.0))


@given(st.lists(st.booleans(), min_size=5, max_size=5).filter(any))
def test_the_reference_band_is_the_slot_with_data_nearest_to_i(flags):
    band = int(reference_band(flags))
    assert flags[band]
    distance = [abs(slot - SLOTS.index("i")) for slot in range(5) if flags[slot]]
    assert abs(band - SLOTS.index("i")) == min(distance)


def test_of_two_bands_as_near_to_i_the_bluer_one_stands_for_the_object():
    assert SLOTS[int(reference_band((1, 1, 0, 1, 1)))] == "r"
    assert SLOTS[int(reference_band((1, 0, 0, 0, 1)))] == "g"


def test_reference_bands_of_a_table_are_those_of_its_rows():
    flags = np.random.default_rng(3).random((50, 5)) < 0.5
    flags[:, 3] |= ~flags.any(axis=1)
    assert reference_band(flags).tolist() == [int(reference_band(row)) for row in flags]


def test_an_object_without_data_in_any_band_has_no_reference_band():
    with pytest.raises(ValueError, match="no band has data"):
        reference_band([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])


def test_the_reference_magnitude_is_the_first_known_one():
    rows = {slot: [20.0 + k] * 6 for k, slot in enumerate(REFERENCE_BANDS)}
    for number, slot in enumerate(REFERENCE_BANDS):
        rows[slot] = [NAN if row > number else value for row, value in enumerate(rows[slot])]
    table = pd.DataFrame({f"magnitude_{slot}": rows[slot] for slot in SLOTS})
    np.testing.assert_array_equal(reference_magnitude(table), [20.0, 21.0, 22.0, 23.0, 24.0, NAN])
