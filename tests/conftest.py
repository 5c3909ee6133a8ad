"""Fixtures that several test folders share."""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from lenshunt.provenance import ROOT

WORKFLOW = "tests/workflow"
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the public sample files; the test is skipped where it does not exist."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no public sample data at {SHARED_DATA}")
    return SHARED_DATA


class ByFile(LoadScopeScheduling):
    """Sends a file to one worker, for what its tests share; tests/workflow as if it were one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return WORKFLOW if path.startswith(f"{WORKFLOW}/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Called by pytest-xdist where there are several workers (`-n`)."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of tests/workflow share one checkout and go first: together they take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(f"{WORKFLOW}/"))
