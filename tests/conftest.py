"""Fixtures that several test folders share."""

from pathlib import Path

import pytest

from lenshunt.provenance import ROOT

SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the public sample files; the test is skipped where it does not exist."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no public sample data at {SHARED_DATA}")
    return SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers (`-n`) a file stays on one of them, for what its tests share.

    The tests of tests/workflow share one checkout and go first: together they take longest.
    """
    workflow = ROOT / "tests" / "workflow"
    for item in items:
        whole = workflow if workflow in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(whole.relative_to(ROOT).as_posix()))
    items.sort(key=lambda item: workflow not in item.path.parents)
