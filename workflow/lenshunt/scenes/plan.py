"""What all chunks of an injected data set share: hosts, survey, population and sources."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet
from tqdm import tqdm

from lenshunt.config import InjectionDataset
from lenshunt.core import whole_file, write_parquet
from lenshunt.scenes.host_records import BEYOND, choose_hosts, cutouts_of, seed_of
from lenshunt.scenes.hosts import UnsuitableHostError, host_noise, survey_of
from lenshunt.scenes.population import draw_population
from lenshunt.scenes.selection import Band, Selection, Survey
from lenshunt.scenes.skipped import counted, report
from lenshunt.scenes.source_choice import choose_sources
from lenshunt.scenes.source_store import write_sources
from lenshunt.schema import Cutout

#: Hosts on which seeing and depth are measured.
SURVEY_HOSTS = 200
#: Seeing and depth are rounded to these, so that one host more leaves the population as it is.
_SEEING_STEP, _DEPTH_STEP = 0.01, 0.05
#: Pixels and metadata of each chunk.
Chunks = Sequence[tuple[str, str]]


def plan_injection(
    *,
    name: str,
    dataset: InjectionDataset,
    hosts: pd.DataFrame,
    near: pd.DataFrame,
    host_chunks: Chunks,
    source_chunks: Chunks,
    seed: int,
    out_hosts: str,
    out_population: str,
    out_sources: str,
) -> None:
    """Choose hosts, measure their survey, draw the population, and cut out the sources.

    hosts : of `read_hosts`; near : the known lens near each, columns file and name, "" for none
    out_hosts : Parquet of `choose_hosts`; out_population : Parquet of `draw_population`, the
        survey in its metadata; out_sources : HDF5 of `write_sources`
    Raises ValueError naming the key where no host, no lens or no source is left.
    """
    chosen = choose_hosts(hosts, near, dataset, name, seed)
    tried = chosen[chosen["reason"] == ""]
    counts = counted(chosen.loc[chosen["reason"] != "", "reason"].tolist())
    print(f"{name}: {len(tried)} of {len(chosen)} records of {dataset.hosts} are tried as hosts")
    print(report(counts))
    if tried.empty:
        raise ValueError(
            f"datasets.{name}.hosts: none of the {len(chosen)} records of {dataset.hosts} can be a "
            f"host ({'; '.join(f'{n}: {kind}' for kind, n in counts.items())}); raise "
            "host_magnitude_max, or name other hosts"
        )
    survey = measured_survey(name, dataset, tried, host_chunks)
    selection = Selection(
        snr_min=dataset.snr_min,
        magnification_min=dataset.magnification_min,
        theta_e_range=dataset.theta_e_arcsec,
    )
    rng = np.random.default_rng(seed_of(seed, name, "population"))
    try:
        population = draw_population(rng, dataset.population, survey, selection)
    except ValueError as error:
        raise ValueError(
            f"datasets.{name}: {error} (keys snr_min, theta_e_arcsec; hosts: {dataset.hosts})"
        ) from None
    key = f"datasets.{name}.sources"
    sources = choose_sources(key, source_chunks, dataset.sources_max, seed) if source_chunks else []
    write_sources(sources, out_sources)
    _write_population(population, survey, out_population)
    write_parquet(chosen, out_hosts)


def measured_survey(
    name: str, dataset: InjectionDataset, tried: pd.DataFrame, chunks: Chunks
) -> Survey:
    """Seeing and depth of the first hosts in the random order, rounded.

    Raises ValueError naming the key where no host has the band with a PSF and a variance.
    """
    first = tried.nsmallest(SURVEY_HOSTS, "order")
    try:
        survey = survey_of(_with_noise(first, chunks), dataset.band)
    except ValueError as error:
        raise ValueError(
            f"datasets.{name}.band: {error} (hosts: {dataset.hosts}, band: {dataset.band})"
        ) from None
    others = tuple(replace(band, **_rounded(band)) for band in survey.others)
    rounded = replace(survey, **_rounded(survey), others=others)
    print(
        f"{name}: seeing {rounded.seeing_arcsec:.2f} arcsec and depth {rounded.depth_5sigma:.2f} "
        f"mag (5 sigma, point source) in {dataset.band}, measured on {len(first)} hosts"
    )
    return rounded


def _rounded(band: Survey | Band) -> dict[str, float]:
    return {
        "seeing_arcsec": round(round(band.seeing_arcsec / _SEEING_STEP) * _SEEING_STEP, 6),
        "depth_5sigma": round(round(band.depth_5sigma / _DEPTH_STEP) * _DEPTH_STEP, 6),
    }


def _with_noise(hosts: pd.DataFrame, chunks: Chunks) -> Iterator[Cutout]:
    """Those of `hosts` whose bands all have a variance."""
    with tqdm(total=len(hosts), desc="measuring hosts", unit="host", disable=None) as progress:
        for number, chunk in enumerate(chunks):
            wanted = set(hosts.loc[hosts["chunk"] == number, "sample_id"])
            for host in cutouts_of(*chunk, wanted) if wanted else ():
                progress.update()
                try:
                    host_noise(host)
                except UnsuitableHostError:
                    continue
                yield host


def _write_population(population: pd.DataFrame, survey: Survey, out: str) -> None:
    table = pyarrow.Table.from_pandas(population, preserve_index=False, nthreads=1)
    kept = table.schema.metadata or {}
    table = table.replace_schema_metadata({**kept, "survey": json.dumps(asdict(survey))})
    with whole_file(out) as partial:
        parquet.write_table(table, partial)


def skipped_before(hosts: pd.DataFrame) -> list[tuple[str, str]]:
    """Name and reason of the hosts of one chunk that are not tried, but for the cap on them."""
    left_out = hosts[(hosts["reason"] != "") & (hosts["reason"] != BEYOND)]
    return list(zip(left_out["sample_id"], left_out["reason"], strict=True))
