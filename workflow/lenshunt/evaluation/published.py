"""The published scores of the Lens Finding Challenge, for comparison beside our own."""

import pandas as pd
from astropy.table import Table

from lenshunt.core import RESOURCES

PUBLISHED = RESOURCES / "published" / "lens_finding_challenge.ecsv"


def published_scores(variant: str) -> pd.DataFrame:
    """Entries of one half of the challenge, in the published order.

    variant : `ground` or `space`. Columns name, variant, auroc, tpr_at_0fp, tpr_at_10fp, method.
    A score on other data is not comparable; see the table's own meta data.
    """
    table = Table.read(PUBLISHED, format="ascii.ecsv").to_pandas()
    chosen = table[table["variant"] == variant]
    if chosen.empty:
        known = ", ".join(sorted(table["variant"].unique()))
        raise ValueError(f"{PUBLISHED}: no entries for {variant!r}; it has {known}")
    return chosen.reset_index(drop=True)
