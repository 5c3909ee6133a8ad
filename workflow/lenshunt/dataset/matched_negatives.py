"""Matched negatives, most like lens hosts: nearest neighbours within calipers, split by split."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from lenshunt.config import Calipers, MatchNegatives
from lenshunt.core import write_csv, write_parquet
from lenshunt.core.robust import mad_sigma
from lenshunt.dataset.exclusions import excluded_rows
from lenshunt.dataset.match_quality import match_quality
from lenshunt.dataset.splits import read_chunks
from lenshunt.schema import REFERENCE_BANDS, SLOTS, best_redshift, reference_magnitude

MAGNITUDES = tuple(f"magnitude_{slot}" for slot in SLOTS)
COLOURS = tuple(f"{blue}-{red}" for blue, red in pairwise(SLOTS))
#: What the quality of a matching is measured in; the magnitude is in i or the first known band.
COVARIATES = ("magnitude", "log_half_light_radius", "redshift", *COLOURS)
MATCH_COLUMNS = (
    "dataset",
    "sample_id",
    "system_id",
    "split",
    "role",
    "kept",
    "host_dataset",
    "host_system",
    "distance",
    *COVARIATES,
)
#: Nearest negatives of a host that are considered. More cost memory and change no pair that is
#: near: a host needs them only when that many neighbours went to others.
CANDIDATES_PER_HOST = 200
HOSTS_AT_ONCE = 500


def match_negatives(
    *,
    samples: pd.DataFrame,
    exclusions: pd.DataFrame,
    metadata: Mapping[str, Sequence[str]],
    config: MatchNegatives,
    out: str,
    table: str,
) -> None:
    """Match negatives to lens hosts; write which are kept (Parquet) and how well they match (CSV).

    samples : splits of the data sets (`exclusions.split_tables`), as the experiment sees them
    exclusions : `find_exclusions` of the experiment; what is on it is neither host nor match
    metadata : the data sets' metadata tables (Parquet), by name
    out : MATCH_COLUMNS, one row per sample with role host (kept: it got a negative) or negative
    table : columns of `match_quality`
    Objects, not images, are matched: what one image of a system does not know another may. Raises
    ValueError where there are no hosts or no negatives, and where no negative of the training
    split lies within the calipers of a host.
    """
    members = _members(samples, exclusions, metadata, config)
    systems = _systems(members)
    systems["match"], systems["distance"] = -1, np.nan
    for _, of_split in systems.groupby("split"):
        hosts = of_split[of_split["role"] == "host"]
        pool = of_split[of_split["role"] == "negative"]
        pairs = _one_each(_candidates(hosts, pool, config.calipers), config.per_lens)
        systems.loc[pairs["negative"], "match"] = pairs["host"].to_numpy()
        systems.loc[pairs["negative"], "distance"] = pairs["distance"].to_numpy()
    matched = systems["match"] >= 0
    systems["kept"] = matched | systems.index.isin(systems.loc[matched, "match"])
    _refuse_empty_training(systems)
    partner = systems.reindex(systems["match"])
    systems["host_dataset"] = partner["dataset"].fillna("").to_numpy()
    systems["host_system"] = partner["system_id"].fillna("").to_numpy()
    write_csv(match_quality(systems, COVARIATES), table, "%.5f")
    keys = ["dataset", "system_id", "role"]
    rows = members[["sample_id", *keys]].merge(systems, on=keys, validate="many_to_one")
    write_parquet(rows[list(MATCH_COLUMNS)], out)


def _members(
    samples: pd.DataFrame,
    exclusions: pd.DataFrame,
    metadata: Mapping[str, Sequence[str]],
    config: MatchNegatives,
) -> pd.DataFrame:
    """Hosts and negatives: dataset, sample_id, system_id, split, role and what is known of them."""
    parts = []
    for name in dict.fromkeys([*config.negatives, *config.hosts]):
        of_set = read_chunks(metadata[name], ["half_light_radius"])
        known = of_set[["sample_id", "system_id", "label", *MAGNITUDES]].copy()
        known["half_light_radius"] = of_set["half_light_radius"]
        known["redshift"] = best_redshift(of_set["z_spec"], of_set["z_phot"])
        known["dataset"] = name
        is_host = (known["label"] == 1) & (name in config.hosts)
        is_negative = (known["label"] == 0) & (name in config.negatives)
        known["role"] = np.select([is_host, is_negative], ["host", "negative"], "")
        parts.append(known[known["role"] != ""])
    members = pd.concat(parts, ignore_index=True)
    members = members[~excluded_rows(members, exclusions)]
    split = samples[["dataset", "sample_id", "split"]]
    members = members.merge(split, on=["dataset", "sample_id"], validate="one_to_one")
    for role, named in (("host", config.hosts), ("negative", config.negatives)):
        if not (members["role"] == role).any():
            raise ValueError(f"match_negatives: no {role} among {', '.join(named)}")
    return members.sort_values(["dataset", "sample_id"], ignore_index=True)


def _systems(members: pd.DataFrame) -> pd.DataFrame:
    """One row per system and role: the first known value of everything, and COVARIATES.

    The index is the place in the order of data set and name, whatever the order of the input.
    """
    size = members["half_light_radius"].where(members["half_light_radius"] > 0)
    values = members.assign(log_half_light_radius=np.log10(size))
    keys = ["dataset", "system_id", "role"]
    columns = ["split", "log_half_light_radius", "redshift", *MAGNITUDES]
    systems = values.groupby(keys, sort=True)[columns].first().reset_index()
    systems["magnitude"] = reference_magnitude(systems)
    for name, (blue, red) in zip(COLOURS, pairwise(MAGNITUDES), strict=True):
        systems[name] = systems[blue] - systems[red]
    return systems


def compared(
    host_knows: frozenset[str], negative_knows: frozenset[str], calipers: Calipers
) -> dict[str, tuple[tuple[str, ...], float]]:
    """What a host and a negative are compared in: name -> (columns, caliper).

    One column is compared as it is, two as their difference (a colour). Empty where they share no
    band, or nothing but colours: the magnitude is always compared.
    """
    both = host_knows & negative_knows
    bands = [slot for slot in SLOTS if f"magnitude_{slot}" in both]
    reference = next((slot for slot in REFERENCE_BANDS if slot in bands), None)
    if reference is None:
        return {}
    found: dict[str, tuple[tuple[str, ...], float]] = {
        "magnitude": ((f"magnitude_{reference}",), calipers.magnitude)
    }
    if calipers.colour is not None:
        for blue, red in pairwise(bands):
            columns = (f"magnitude_{blue}", f"magnitude_{red}")
            found[f"{blue}-{red}"] = (columns, calipers.colour)
    if calipers.half_light_radius is not None and "log_half_light_radius" in both:
        found["log_half_light_radius"] = (("log_half_light_radius",), calipers.half_light_radius)
    if calipers.redshift is not None and "redshift" in both:
        found["redshift"] = (("redshift",), calipers.redshift)
    return found


def _values(systems: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    first = systems[columns[0]].to_numpy(float)
    return first if len(columns) == 1 else first - systems[columns[1]].to_numpy(float)


def _by_knowledge(systems: pd.DataFrame) -> Iterator[tuple[frozenset[str], pd.DataFrame]]:
    """Systems that know the same columns, with these columns."""
    columns = [*MAGNITUDES, "log_half_light_radius", "redshift"]
    known = np.isfinite(systems[columns].to_numpy(float))
    patterns, number = np.unique(known, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        names = frozenset(np.array(columns)[pattern].tolist())
        yield names, systems[number.ravel() == i]


def _candidates(hosts: pd.DataFrame, pool: pd.DataFrame, calipers: Calipers) -> pd.DataFrame:
    """Pairs within all calipers, nearest first: columns host, negative (index), distance."""
    parts = [pd.DataFrame({"host": [], "negative": [], "distance": []}).astype({"host": int})]
    for host_knows, some_hosts in _by_knowledge(hosts):
        for negative_knows, some in _by_knowledge(pool):
            wanted = compared(host_knows, negative_knows, calipers)
            if wanted:
                parts += _near(some_hosts, some, wanted, hosts)
    pairs = pd.concat(parts, ignore_index=True).astype({"host": int, "negative": int})
    return _nearest_first(pairs)


def _near(
    hosts: pd.DataFrame,
    pool: pd.DataFrame,
    wanted: Mapping[str, tuple[tuple[str, ...], float]],
    all_hosts: pd.DataFrame,
) -> Iterator[pd.DataFrame]:
    """Pairs within the calipers, for objects that all know the same.

    Distances are root mean squares over the covariates, each in units of its robust scatter
    (`mad_sigma`) among the hosts.
    """
    caliper = np.array([limit for _, limit in wanted.values()])
    here = np.column_stack([_values(hosts, columns) for columns, _ in wanted.values()])
    there = np.column_stack([_values(pool, columns) for columns, _ in wanted.values()])
    among = np.column_stack([_values(all_hosts, columns) for columns, _ in wanted.values()])
    spread = np.array([mad_sigma(known[~np.isnan(known)]) for known in among.T])
    scale = np.where(spread > 0, spread, caliper)
    # In units of the calipers all of them hold where the largest difference is at most 1; the
    # margin is for rounding, the differences themselves are compared below.
    search = NearestNeighbors(radius=1 + 1e-9, metric="chebyshev").fit(there / caliper)
    for start in range(0, len(here), HOSTS_AT_ONCE):
        some = slice(start, start + HOSTS_AT_ONCE)
        found = search.radius_neighbors(here[some] / caliper, return_distance=False)
        i = np.repeat(np.arange(len(here))[some], [len(near) for near in found])
        j = np.concatenate([*found, np.empty(0, int)]).astype(int)
        difference = here[i] - there[j]
        distance = np.sqrt(np.mean((difference / scale) ** 2, axis=1))
        inside = (np.abs(difference) <= caliper).all(axis=1)
        pairs = pd.DataFrame(
            {"host": hosts.index[i], "negative": pool.index[j], "distance": distance}
        )
        yield _nearest_first(pairs[inside])


def _nearest_first(pairs: pd.DataFrame) -> pd.DataFrame:
    """Sorted by distance; at most CANDIDATES_PER_HOST of each host."""
    pairs = pairs.sort_values(["distance", "host", "negative"], ignore_index=True)
    return pairs[pairs.groupby("host").cumcount() < CANDIDATES_PER_HOST]


def _one_each(pairs: pd.DataFrame, per_lens: int) -> pd.DataFrame:
    """The pairs that are made: rounds in which every host may take one negative, nearest first.

    A negative is used once; a host gets a second one only after every host had its turn.
    """
    hosts, negatives = pairs["host"].tolist(), pairs["negative"].tolist()
    used: set[int] = set()
    taken: list[int] = []
    for _ in range(per_lens):
        served: set[int] = set()
        for k, (host, negative) in enumerate(zip(hosts, negatives, strict=True)):
            if host not in served and negative not in used:
                served.add(host)
                used.add(negative)
                taken.append(k)
        if not served:
            break
    return pairs.iloc[taken]


def _refuse_empty_training(systems: pd.DataFrame) -> None:
    here = systems[systems["split"] == "train"]
    if not here.loc[here["role"] == "negative", "kept"].any():
        raise ValueError(
            f"match_negatives: of {(here['role'] == 'negative').sum()} negatives in training none "
            f"lies within the calipers of {(here['role'] == 'host').sum()} lens hosts; widen "
            "match_negatives.calipers or name other data sets"
        )
