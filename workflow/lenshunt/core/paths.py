"""Where the library and its resources lie."""

from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]
#: Root of the checkout; the library is installed in place (`pip install -e .`).
ROOT = LIBRARY.parents[1]
RESOURCES = ROOT / "resources"
