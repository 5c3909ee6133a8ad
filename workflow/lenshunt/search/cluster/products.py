"""Everything that is written about a cluster: numbers, candidate table, maps, regions."""

import math
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.config import Cluster, RelicsDataset
from lenshunt.core import write_ecsv, write_json, write_text
from lenshunt.lensing import LensModel, critical_curves
from lenshunt.search.cluster.ds9 import region_text
from lenshunt.search.cluster.maps import write_lens_maps
from lenshunt.search.cluster.models import centre_of, mass_models, shown_field
from lenshunt.search.cluster.numbers import (
    Curves,
    candidate_numbers,
    model_numbers,
    places_in_model,
)
from lenshunt.search.cluster.scan import no_candidates, read_candidates

#: The curves of the whole core, and of every member that could have been scanned.
HALF_WIDTH_MIN_ARCSEC = 60.0
HALF_WIDTH_MAX_ARCSEC = 120.0
MAP_HALF_WIDTH_ARCSEC = 60.0


def _half_width(model: LensModel, scanned: pd.DataFrame | None) -> float:
    """Arcsec: half side of the square in which critical curves are searched."""
    if scanned is None or not len(scanned):
        return HALF_WIDTH_MIN_ARCSEC
    x, y = model.tangent(scanned["ra"].to_numpy(), scanned["dec"].to_numpy())
    reach = float(max(np.abs(x).max(), np.abs(y).max())) + 5.0
    return min(max(reach, HALF_WIDTH_MIN_ARCSEC), HALF_WIDTH_MAX_ARCSEC)


def _null_for_nan(value: Any) -> Any:
    """The same nested value with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _candidate_table(parts: list[pd.DataFrame], meta: dict[str, Any]) -> Table:
    """One row per candidate and mass model, with units."""
    frame = pd.concat(parts, ignore_index=True)
    numeric = set(frame.select_dtypes(include=["number", "bool"]).columns)
    table = Table()
    for name in frame:
        table[name] = np.asarray(frame[name], dtype=None if name in numeric else str)
    for name in table.colnames:
        if name in ("ra", "dec"):
            table[name].unit = "deg"
        elif name.endswith("_arcsec"):
            table[name].unit = "arcsec"
        elif name.startswith("magnitude_"):
            table[name].unit = "mag"
    table.meta = meta
    return table


def _rows_of_candidates(
    name: str, candidates: pd.DataFrame, model: LensModel, curves: Curves
) -> pd.DataFrame:
    places = places_in_model(candidates, model, curves)
    rows = pd.concat([candidates.reset_index(drop=True), places.reset_index(drop=True)], axis=1)
    rows.insert(0, "model", np.full(len(rows), name, dtype=f"<U{len(name)}"))
    return rows


def write_cluster_products(
    *,
    cluster: Cluster,
    name: str,
    candidates: str | None,
    dataset: RelicsDataset | None,
    seed: int,
    out_numbers: str,
    out_table: str,
    out_maps: str,
    out_regions: str,
) -> None:
    """Write numbers (JSON), candidates (ECSV), maps (FITS) and regions (DS9) of a cluster.

    candidates : ECSV of a search with every scanned object, the pool of the random catalogues;
        None for the model alone
    """
    shown_field(cluster, dataset)  # a field that does not exist is reported before any work
    models = mass_models(cluster)
    table = no_candidates()
    scanned = None
    if candidates is not None:
        scanned = read_candidates(candidates)
        probable = scanned["probability_calibrated"] >= cluster.probability_min
        table = scanned[probable].reset_index(drop=True)
    numbers: dict[str, Any] = {
        "cluster": name,
        "z_sources": list(cluster.z_sources),
        "probability_min": cluster.probability_min,
        "random_catalogues": cluster.random_catalogues,
        "seed": seed,
        "models": {},
    }
    curves: dict[str, Curves] = {}
    rows: list[pd.DataFrame] = []
    reference = next(iter(models.values()))
    half = _half_width(reference, scanned)
    for label, model in models.items():
        centre = centre_of(model, reference)
        curves[label] = {
            z: critical_curves(model, z, half, centre=centre) for z in cluster.z_sources
        }
        entry = model_numbers(model, curves[label])
        entry["candidates"] = None
        if scanned is not None:
            chosen = scanned["sample_id"].astype(str).isin(table["sample_id"]).to_numpy()
            places = places_in_model(scanned, model, curves[label])
            entry["candidates"] = candidate_numbers(
                scanned, chosen, places, model, cluster.random_catalogues, seed
            )
        numbers["models"][label] = entry
        rows.append(_rows_of_candidates(label, table, model, curves[label]))
    meta = {"cluster": name, "probability_min": cluster.probability_min}
    write_ecsv(_candidate_table(rows, meta), out_table)
    write_lens_maps(models, cluster.z_sources, MAP_HALF_WIDTH_ARCSEC, out_maps)
    write_text(region_text(models, curves, table), out_regions)
    write_json(_null_for_nan(numbers), out_numbers, allow_nan=False)
