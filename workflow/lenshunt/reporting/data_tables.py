"""Tables of data, training and clusters on the summary page: each reads products of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.schema import SLOTS, read_metadata


def read_json(path: str) -> Any:
    """Parsed JSON of a product."""
    return json.loads(Path(path).read_text())


def data_table(
    metadata: Mapping[str, Sequence[str]],
    splits: Mapping[str, str],
    rejected: Mapping[str, str],
    readers: Mapping[str, str],
) -> pd.DataFrame:
    """Objects, labels, bands and splits of every data set."""
    rows = []
    for name, paths in metadata.items():
        table = pd.concat([read_metadata(path) for path in paths], ignore_index=True)
        counts = table["label"].value_counts()
        split = pd.read_parquet(splits[name], columns=["split"])["split"].value_counts()
        filters = sorted(
            {f for slot in SLOTS for f in table[f"bands_{slot}"].unique() if f},
        )
        rows.append(
            {
                "data set": name,
                "reader": readers[name],
                "objects": len(table),
                "systems": table["system_id"].nunique(),
                "lenses": int(counts.get(1, 0)),
                "non-lenses": int(counts.get(0, 0)),
                "unlabelled": int(counts.get(-1, 0)),
                "label source": ", ".join(sorted(table["label_source"].unique())),
                "filters": " ".join(filters),
                "rejected": len(Table.read(rejected[name], format="ascii.ecsv")),
                "splits": ", ".join(f"{key} {n}" for key, n in sorted(split.items())),
            }
        )
    return pd.DataFrame(rows)


def rejected_table(rejected: Mapping[str, str]) -> pd.DataFrame:
    """Data sets of which raw objects could not be read: how many, and the first reason."""
    rows = []
    for name, path in rejected.items():
        table = Table.read(path, format="ascii.ecsv")
        if not len(table):
            continue
        n_objects = int(table.meta["n_objects"])
        rows.append(
            {
                "data set": name,
                "rejected": f"{len(table)} of {n_objects}",
                "fraction": _percent(len(table) / n_objects),
                "first reason": str(table["reason"][0]),
                "list": path,
            }
        )
    return pd.DataFrame(rows)


def psf_table(tables: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Source PSFs and growth-curve residuals per data set, grid and PSF source."""
    rows = []
    for (dataset, grid), path in tables.items():
        psfs = pd.read_csv(path)
        for source, part in psfs.groupby("psf_source", sort=True):
            matched = part[part["matched"].astype(bool)]
            rows.append(
                {
                    "data set": dataset,
                    "grid": grid,
                    "PSF source": source,
                    "distinct PSFs": part["psf_id"].nunique(),
                    "FWHM (arcsec)": _range(part["fwhm_arcsec"]),
                    "target FWHM (arcsec)": f"{part['target_fwhm_arcsec'].iloc[0]:.2f}",
                    "matched": f"{len(matched)} of {len(part)}",
                    "median residual of matched": _percent(matched["residual"].median()),
                    "largest residual of matched": _percent(matched["residual"].max()),
                    "largest residual of all": _percent(part["residual"].max()),
                }
            )
    return pd.DataFrame(rows)


def _range(values: pd.Series) -> str:
    return f"{values.min():.3f} to {values.max():.3f}"


def _percent(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{100 * value:.2f} %"


def shard_table(indexes: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Samples per split in the shards, and what was left out and why."""
    rows = []
    for (dataset, grid), path in indexes.items():
        index = read_json(path)
        counts: dict[str, int] = {}
        for shard in index["shards"]:
            counts[shard["split"]] = counts.get(shard["split"], 0) + shard["count"]
        left_out = index["left_out_counts"]
        rows.append(
            {
                "data set": dataset,
                "grid": grid,
                "shards": len(index["shards"]),
                "samples": ", ".join(f"{key} {n}" for key, n in sorted(counts.items())),
                "left out": ", ".join(f"{n} {why}" for why, n in left_out.items()) or "none",
            }
        )
    return pd.DataFrame(rows)


def pretraining_table(reports: Mapping[str, str]) -> pd.DataFrame:
    """What each pretrained backbone has learned, on the test split.

    Redshifts; R^2 per value; of its projections of two views (Wang & Isola 2020), where it learned
    from them, how often of all test galaxies' views the most similar one is of the same galaxy.
    """
    rows = []
    for name, path in reports.items():
        learned = read_json(path)
        redshift = learned["redshift"]
        row = {
            "backbone": name,
            "test galaxies": learned["n"],
            "sigma_NMAD": number_text(redshift["sigma_nmad"]),
            "bias": number_text(redshift["bias"]),
            "outliers": number_text(redshift["outlier_fraction"]),
        }
        row |= {f"R^2 {value}": number_text(r2) for value, r2 in learned["r_squared"].items()}
        views = learned.get("contrastive", {}).get("projection", {})
        row |= {
            "retrieval top-1": number_text(views.get("retrieval_top1")),
            "alignment": number_text(views.get("alignment")),
            "uniformity": number_text(views.get("uniformity")),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def number_text(value: float | None) -> str:
    """A number to three digits; a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.3f}"


def exclusion_table(exclusions: Mapping[str, str]) -> pd.DataFrame:
    """Objects kept out of each training, by reason and by data set."""
    rows = []
    for name, path in exclusions.items():
        table = pd.read_parquet(path)
        by_dataset = table["dataset"].value_counts()
        by_reason = table["reason"].value_counts()
        rows.append(
            {
                "training": name,
                "excluded objects": len(table),
                "by reason": ", ".join(f"{k} {n}" for k, n in by_reason.items()) or "none",
                "by data set": ", ".join(f"{k} {n}" for k, n in by_dataset.items()) or "none",
            }
        )
    return pd.DataFrame(rows)


def cluster_table(numbers: Mapping[str, str]) -> pd.DataFrame:
    """How well each mass model fits, and where the candidates lie in it."""
    rows = []
    for name, path in numbers.items():
        for label, model in read_json(path)["models"].items():
            row = {
                "cluster": name,
                "mass model": label,
                "images": model["n_images"],
                "systems": model["n_systems"],
                "image-plane RMS (arcsec)": number_text(model["image_plane_rms_arcsec"]),
            }
            for z_source, curve in model["critical_curves"].items():
                row[f"theta_E at z={z_source} (arcsec)"] = number_text(
                    curve["einstein_radius_arcsec"]
                )
            found = model["candidates"] or {}
            row["candidates / scanned"] = (
                f"{found['n_candidates']} / {found['n_scanned']}" if found else "no field scanned"
            )
            row["median distance (arcsec)"] = number_text(found.get("median_distance_main_arcsec"))
            row["of random subsets"] = number_text(found.get("median_distance_main_arcsec_random"))
            row["p-value"] = number_text(found.get("p_value_distance_main_arcsec"))
            row["images recovered"] = found.get("n_images_recovered", "-")
            rows.append(row)
    return pd.DataFrame(rows)
