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
