"""Look-alikes in an injected data set: beside lenses, in the configured kinds, never alone."""

import numpy as np
import pandas as pd
import pytest
from injection_runs import Injection, hosts_of, section
from pyarrow import parquet

from lenshunt.scenes.truth import LOOK_ALIKE_COLUMNS
from lenshunt.schema import read_metadata
from lenshunt.training.balance import balance_groups, sampling_weights

RINGS = section(hard_negatives=1.0, hard_negative_kinds={"ring": 0.5, "tangential": 0.5})


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Metadata of the records of ten hosts, and the table of their look-alikes."""
    made = Injection(tmp_path_factory.mktemp("injection"), [hosts_of(10)], dataset=RINGS)
    out = made.paint(0)
    return read_metadata(out["metadata"]), pd.read_parquet(out["hard_negatives"]), out


def test_a_look_alike_stands_beside_a_lens_and_its_host(painted):
    table, look_alikes, _ = painted
    assert len(look_alikes) >= 3
    assert set(look_alikes["kind"]) <= {"ring", "tangential"}
    rows = table.set_index("sample_id").loc[look_alikes["sample_id"]]
    assert (rows["label"] == 0).all()
    assert (rows["label_source"] == "sim:injection").all()
    lenses = table[table["label"] == 1]
    assert set(rows["system_id"]) <= set(lenses["system_id"])
    assert rows["system_id"].tolist() == look_alikes["system_id"].tolist()
    assert np.isnan(rows["einstein_radius"]).all()


def test_the_table_says_units_and_meaning(painted):
    schema = parquet.read_schema(painted[2]["hard_negatives"])
    assert schema.names == list(LOOK_ALIKE_COLUMNS)
    assert schema.field("light_flux_i").metadata[b"unit"] == b"nJy"
    assert schema.field("replaced_theta_e").metadata[b"unit"] == b"arcsec"


def test_without_them_the_lenses_are_the_same(painted, tmp_path):
    plain = Injection(tmp_path, [hosts_of(10)]).paint(0)
    with_them, without = painted[0], read_metadata(plain["metadata"])
    lenses = with_them[with_them["label"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(lenses, without[without["label"] == 1].reset_index(drop=True))
    assert len(pd.read_parquet(plain["hard_negatives"])) == 0


def test_hosts_and_look_alikes_together_weigh_as_much_as_the_lenses(painted):
    table = painted[0]
    assert balance_groups(table).nunique() == 1
    weights = sampling_weights(table, {})
    assert weights[(table["label"] == 1).to_numpy()].sum() == pytest.approx(0.5)


def test_an_injected_data_set_counts_as_one_source():
    sources = ["sim:injection"] * 3 + ["obs:matched"] * 2 + ["sim:bologna"] * 4
    table = pd.DataFrame({"label": [1, 1, 0, 0, 0, 1, 0, 0, 0], "label_source": sources})
    weights = sampling_weights(table.assign(survey="hsc"), {})
    assert weights[:5].sum() == pytest.approx(0.5)
    assert weights[:2].sum() == pytest.approx(0.25)
    more = sampling_weights(table.assign(survey="hsc"), {"sim:injection": 3.0})
    assert more[:5].sum() == pytest.approx(0.75)
