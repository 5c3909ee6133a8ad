"""How alike negatives and lens hosts are, before and after matching."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp


def standardised_difference(hosts: np.ndarray, negatives: np.ndarray, sigma: float) -> float:
    """Difference of the means, hosts - negatives, in units of `sigma`; NaN where undefined."""
    if not len(hosts) or not len(negatives) or not sigma > 0:
        return float("nan")
    return float((hosts.mean() - negatives.mean()) / sigma)


def pooled_sigma(hosts: np.ndarray, negatives: np.ndarray) -> float:
    """sqrt of the mean of both variances (Stuart 2010, Stat. Sci. 25, 1); NaN for single objects.

    Taken before matching and kept for after it, so that a change of the difference is not a
    change of its unit.
    """
    if len(hosts) < 2 or len(negatives) < 2:
        return float("nan")
    return float(np.sqrt((hosts.var(ddof=1) + negatives.var(ddof=1)) / 2))


def match_quality(systems: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """One row per split (and `all`) and covariate.

    systems : columns split, role (host, negative), kept, match (index of a negative's host, or
        -1) and the covariates, NaN where not known
    Columns: split, covariate; numbers of hosts, hosts_matched, hosts_unmatched, negatives, kept,
    dropped; hosts_known, kept_known, pairs_compared (the covariate is known to both of the pair);
    smd_before, smd_after (standardised mean difference of all hosts and all / the kept
    negatives), ks_before, ks_after (largest distance of their cumulated distributions).
    """
    order = ["all", *sorted(systems["split"].unique())]
    rows = []
    for split in order:
        here = systems if split == "all" else systems[systems["split"] == split]
        hosts = here[here["role"] == "host"]
        negatives = here[here["role"] == "negative"]
        kept = negatives[negatives["kept"]]
        counts = {
            "hosts": len(hosts),
            "hosts_matched": int(hosts["kept"].sum()),
            "hosts_unmatched": int((~hosts["kept"]).sum()),
            "negatives": len(negatives),
            "kept": len(kept),
            "dropped": len(negatives) - len(kept),
        }
        partners = systems.loc[kept["match"]]
        for name in covariates:
            both = kept[name].notna().to_numpy() & partners[name].notna().to_numpy()
            rows.append(
                {
                    "split": split,
                    "covariate": name,
                    **counts,
                    "hosts_known": int(hosts[name].notna().sum()),
                    "kept_known": int(kept[name].notna().sum()),
                    "pairs_compared": int(both.sum()),
                    **_alike(hosts[name], negatives[name], kept[name]),
                }
            )
    return pd.DataFrame(rows)


def _alike(hosts: pd.Series, negatives: pd.Series, kept: pd.Series) -> dict[str, float]:
    """Differences of one covariate, before and after."""
    here, before, after = (values.dropna().to_numpy(float) for values in (hosts, negatives, kept))
    sigma = pooled_sigma(here, before)
    return {
        "smd_before": standardised_difference(here, before, sigma),
        "smd_after": standardised_difference(here, after, sigma),
        "ks_before": _largest_distance(here, before),
        "ks_after": _largest_distance(here, after),
    }


def _largest_distance(left: np.ndarray, right: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic; NaN where one side is empty."""
    if not len(left) or not len(right):
        return float("nan")
    return float(ks_2samp(left, right, method="asymp").statistic)
