"""The registry of readers; of every format, chunks together are the data set, each object once."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest
from bologna2_samples import EMPTY, LENS, challenge
from field_samples import catalogue, field
from galaxy_zoo_samples import write_image, write_table, zoo
from raw_samples import truncate
from raw_sets import MAKERS

from lenshunt.config.datasets import SECTIONS
from lenshunt.core import raw_manifest
from lenshunt.readers import READERS, raw_files, reader_of
from lenshunt.schema import Cutout


def of_maker(reader):
    def make(folder):
        raw = MAKERS[reader](folder)
        return raw.dataset, raw.broken

    return make


def of_bologna2(folder):
    sample = challenge(folder, [LENS, EMPTY, LENS], bands=["EUC_VIS"], only_present=True)
    sample = sample.model_copy(update={"bands": ["EUC_VIS"]})
    return sample, folder / "Public/EUC_VIS/imageEUC_VIS-200001.fits"


def of_galaxy_zoo(folder):
    rows = [[str(k), "10", "2", "", "0.5", "0.5", "0.5"] for k in range(5)]
    for k in (0, 1, 2, 4):
        write_image(folder / f"{k}.fits")
    table = write_table(folder / "t.csv", rows)
    return zoo(table, images=str(folder / "{id}.fits")), folder / "1.fits"


def of_field(folder):
    sample = field(folder, scan_step_arcsec=8.0, catalogue=catalogue(folder))
    return sample, folder / "g.fits"


SETS = {name: of_maker(name) for name in MAKERS} | {
    "bologna2": of_bologna2,
    "galaxy_zoo": of_galaxy_zoo,
    "field": of_field,
}


def test_every_reader_is_tested():
    assert set(SETS) == set(READERS)


def test_every_section_of_a_raw_format_has_its_reader():
    names = set(SECTIONS)
    assert names - {"injection"} == set(READERS)


@pytest.mark.parametrize("reader", SETS)
def test_the_raw_files_hold_the_key_files_and_those_of_many_are_among_them(reader, tmp_path):
    dataset, _ = SETS[reader](tmp_path)
    assert set(dataset.files_of_many()) <= set(dataset.key_files()) <= set(raw_files(dataset))


#: But for the formats whose tables name files.
PLANNED = sorted({*SETS} - {"galaxy_zoo", "hst_galaxies"})
#: What a planning process prints of the data sets in a JSON file: number of raw files, and which
#: of the libraries that readers need are there by then.
PLAN = """
import json, sys
from lenshunt.config import dataset_from
from lenshunt.readers import raw_files

found = {}
for name, values in json.load(open(sys.argv[1])).items():
    count = len(raw_files(dataset_from(values)))
    found[name] = [count, sorted({"astropy", "scipy"} & set(sys.modules))]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """(number of raw files, what a process that plans prints of the data set) by reader."""
    datasets = {name: SETS[name](tmp_path_factory.mktemp(name))[0] for name in PLANNED}
    path = tmp_path_factory.mktemp("plan") / "datasets.json"
    path.write_text(json.dumps({name: d.model_dump(mode="json") for name, d in datasets.items()}))
    command = [sys.executable, "-c", PLAN, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = json.loads(printed)
    return {name: (len(raw_files(dataset)), told[name]) for name, dataset in datasets.items()}


@pytest.mark.parametrize("reader", PLANNED)
def test_planning_opens_no_file_and_imports_no_reader(reader, planned):
    count, told = planned[reader]
    assert told == [count, []]


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken"])
@pytest.mark.parametrize("reader", SETS)
def test_chunks_together_are_the_data_set(reader, broken, tmp_path):
    dataset, file = SETS[reader](tmp_path)
    if broken:
        truncate(file, 0.3)
    manifest = raw_manifest(raw_files(dataset), tmp_path / "hashes.json")
    total = reader_of(dataset).count(dataset)

    def items(chunks):
        edges = [k * total // chunks for k in range(chunks + 1)]
        read = reader_of(dataset).read
        found = [
            one
            for start, stop in pairwise(edges)
            for one in read("set", dataset, start, stop, manifest)
        ]
        return [one.metadata.sample_id if isinstance(one, Cutout) else one for one in found]

    whole = items(1)
    assert len(whole) == total
    ids = [one for one in whole if isinstance(one, str)]
    assert len(set(ids)) == len(ids)
    assert (len(ids) < total) == (broken or reader == "galaxy_zoo")
    for chunks in (2, 3, 7):
        assert items(chunks) == whole
