"""A data set in which three files of a hundred are broken: listed, limited, and repaired."""

import re
from pathlib import Path

import pytest
from astropy.table import Table
from small_survey import Survey

#: Files of data set `one` that are broken: 3 % of them.
BROKEN = ("0007.fits", "0031.fits", "0090.fits")


def break_files(survey: Survey) -> dict[str, bytes]:
    """Truncate one, empty one, overwrite one with text; the whole files by name."""
    folder = survey.root / "raw" / "one"
    whole = {name: (folder / name).read_bytes() for name in BROKEN}
    (folder / BROKEN[0]).write_bytes(whole[BROKEN[0]][:9000])
    (folder / BROKEN[1]).write_bytes(b"")
    (folder / BROKEN[2]).write_text("<html>404 Not Found</html>\n" * 99)
    return whole


@pytest.fixture(scope="module")
def whole(checkout, tmp_path_factory) -> Survey:
    """The survey, run without any fault."""
    survey = Survey(
        checkout.root, tmp_path_factory.mktemp("faults") / "whole", {"one": 100, "two": 30}, 2
    )
    status, printed = survey.run()
    assert status == 0, printed[-4000:]
    return survey


@pytest.fixture(scope="module")
def stopped(whole, tmp_path_factory) -> tuple[Survey, str, dict[str, bytes]]:
    """The survey with broken files under the default limit; what was printed; the whole files."""
    survey = whole.copy(tmp_path_factory.mktemp("broken") / "survey")
    content = break_files(survey)
    status, printed = survey.run()
    assert status != 0
    return survey, printed, content


def jobs_of(printed: str) -> list[str]:
    """Messages of the jobs that ran."""
    return re.findall(r"^Job \d+: (.*)$", printed, re.MULTILINE)


def test_too_many_broken_files_stop_their_data_set_and_no_other(stopped, whole):
    survey, printed, _ = stopped
    print(printed)
    sentence = re.search(r"ValueError: (one: .*)", printed).group(1)
    assert sentence.startswith("one: 3 of 100 raw objects were rejected, more than")
    assert "datasets.one.rejected_fraction_max = 0.01 allows" in sentence
    assert "results/rejected/one.too_many.ecsv" in sentence
    assert "raw/one/0007.fits: File may have been truncated" in sentence
    listed = Table.read(survey.root / "results/rejected/one.too_many.ecsv")
    assert [Path(name).name for name in listed["raw_file"]] == list(BROKEN)
    expected = whole.products()
    for name in ("splits/two.parquet", "shards/ground/two/index.json"):
        assert survey.products()[name] == expected[name]
    assert not (survey.root / "results/splits/one.parquet").exists()
    assert not (survey.root / "results/shards/ground/one/index.json").exists()
    assert survey.unfinished() == []


def test_within_the_limit_the_run_goes_through_and_says_so(stopped, whole):
    survey, _, _ = stopped
    survey.config["datasets"]["one"]["rejected_fraction_max"] = 0.05
    survey.write_config()
    status, printed = survey.run()
    print(printed)
    assert status == 0
    assert "one: 3 of 100 raw objects were rejected, see results/rejected/one.ecsv" in printed
    listed = Table.read(survey.root / "results/rejected/one.ecsv")
    assert [Path(name).name for name in listed["raw_file"]] == list(BROKEN)
    assert listed.meta["n_objects"] == 100
    assert not (survey.root / "results/rejected/one.too_many.ecsv").exists()
    products = survey.products()
    assert (
        products["shards/ground/two/index.json"] == whole.products()["shards/ground/two/index.json"]
    )


def test_repaired_files_run_their_data_set_again_to_the_bytes_of_a_run_never_broken(stopped, whole):
    survey, _, content = stopped
    for name, whole_file in content.items():
        (survey.root / "raw" / "one" / name).write_bytes(whole_file)
    survey.config["datasets"]["one"].pop("rejected_fraction_max", None)
    survey.write_config()
    status, printed = survey.run()
    assert status == 0, printed[-4000:]
    jobs = jobs_of(printed)
    assert len(jobs) == 9, jobs
    assert [job for job in jobs if re.search(r"\btwo\b", job)] == []
    assert survey.products() == whole.products()
