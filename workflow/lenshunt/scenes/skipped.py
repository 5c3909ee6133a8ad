"""Hosts that carry no lens: listed with the reason, counted by kind."""

from collections import Counter
from collections.abc import Sequence

from astropy.table import Table

from lenshunt.core import write_ecsv

#: Beginning of the reason of hosts that lie near a known lens; the lens is named after it.
KNOWN_LENS = "known lens"


def counted(reasons: Sequence[str]) -> dict[str, int]:
    """Number of hosts by kind of reason, the most frequent first."""
    kinds = [KNOWN_LENS if reason.startswith(KNOWN_LENS) else reason for reason in reasons]
    return dict(sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0])))


def report(counts: dict[str, int]) -> str:
    """The counts as lines of a log; "" where nothing was skipped."""
    return "\n".join(f"  {number} hosts: {kind}" for kind, number in counts.items())


def write_skipped(skipped: Sequence[tuple[str, str]], n_lenses: int, out: str) -> None:
    """ECSV with sample_id and reason; the number of lenses made, and counts, in its meta."""
    table = Table(
        {"sample_id": [name for name, _ in skipped], "reason": [why for _, why in skipped]},
        dtype=(str, str),
        meta={"n_lenses": n_lenses, "n_skipped": counted([why for _, why in skipped])},
    )
    write_ecsv(table, out)
