"""What a run was made with is written down anew when a package or the commit changes."""

import csv
import shutil
import subprocess

import pytest
import yaml
from small_survey import configuration, write_objects

RUN = ("--configfile", "recorded.yaml", "--cores", "1")
VERSIONS = "results/recorded/provenance/versions.csv"


@pytest.fixture(scope="module")
def recorded(checkout):
    """The checkout after a run up to the provenance of a data set of six files."""
    write_objects(checkout.root / "raw" / "recorded", 6, 0)
    values = configuration({"recorded": 6}, chunks=1) | {"results": "results/recorded"}
    (checkout.root / "recorded.yaml").write_text(yaml.safe_dump(values))
    checkout.snakemake(*RUN, VERSIONS)
    return checkout


def planned(checkout) -> dict[str, int]:
    return checkout.dry_run(*RUN, VERSIONS).jobs


def test_a_run_with_the_same_packages_writes_nothing(recorded):
    with open(recorded.root / VERSIONS, newline="") as stream:
        rows = {row["package"]: row["version"] for row in csv.DictReader(stream)}
    assert rows["numpy"][0].isdigit()
    assert planned(recorded) == {}


def test_another_version_of_a_package_is_written_down(recorded):
    project = recorded.root / "pyproject.toml"
    kept = project.read_text()
    project.write_text(kept.replace('\nversion = "', '\nversion = "9.'))
    try:
        assert planned(recorded) == {"provenance": 1}
    finally:
        project.write_text(kept)
    assert planned(recorded) == {}


def test_another_commit_is_written_down(recorded):
    def git(*arguments: str) -> None:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *author, *arguments], cwd=recorded.root, check=True)

    git("init", "--quiet")
    git("add", "pyproject.toml")
    git("commit", "--quiet", "--message", "first")
    try:
        assert planned(recorded) == {"provenance": 1}
        recorded.snakemake(*RUN, VERSIONS)
        assert planned(recorded) == {}
        git("commit", "--quiet", "--allow-empty", "--message", "second")
        assert planned(recorded) == {"provenance": 1}
    finally:
        shutil.rmtree(recorded.root / ".git")
