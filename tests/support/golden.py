"""Golden numbers of a run: few, from every stage, to see whether a change of the code moved any.

`python tests/support/golden.py RESULTS [GOLDEN.json]` prints those of a folder of results, or what
differs from a file. After a change that was meant to move them: print them into the file again, and
say in the commit which moved and why.
"""

import hashlib
import json
import math
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

#: Of the long tables of metrics.
METRICS = ("auroc", "partial_auc", "tpr_at_10fp", "fnr_at_fpr_0.1")


def golden_numbers(results: Path) -> dict[str, Any]:
    """Numbers by what they tell, flat: `shards/ground/NAME/pixel_sum_njy`."""
    found: dict[str, Any] = {}
    for path in sorted(results.glob("shards/*/*/index.json")):
        key = f"shards/{path.parts[-3]}/{path.parts[-2]}"
        found |= {f"{key}/{name}": value for name, value in _of_shards(path).items()}
    for path in sorted(results.glob("tables/metrics/*.csv")):
        table = pd.read_csv(path)
        table = table[(table["stratum"] == "all") & table["metric"].isin(METRICS)]
        for row in table.itertuples():
            name = f"metrics/{path.stem}/{row.label}/{row.dataset}/{row.metric}"
            found[name] = float(row.value)
    for path in sorted(results.glob("cluster/*/numbers.json")):
        for model, numbers in json.loads(path.read_text())["models"].items():
            key = f"cluster/{path.parent.name}/{model}"
            found[f"{key}/image_plane_rms_arcsec"] = numbers["image_plane_rms_arcsec"]
    return found


def _of_shards(index: Path) -> dict[str, Any]:
    """Counts of each split, sums over the usable pixels, and sha256 of all pixels."""
    digest = hashlib.sha256()
    sums = {"image": 0.0, "variance": 0.0}
    found: dict[str, Any] = {}
    for shard in json.loads(index.read_text())["shards"]:
        found[shard["split"]] = found.get(shard["split"], 0) + shard["count"]
        with tarfile.open(index.parent / shard["name"]) as archive:
            for member in archive:
                kind = member.name.split(".")[1]
                if kind in sums:
                    content = archive.extractfile(member).read()
                    digest.update(content)
                    pixels = np.load(BytesIO(content)).astype(float)
                    sums[kind] += pixels[np.isfinite(pixels)].sum()
    found |= {f"{kind}_sum": value for kind, value in sums.items()}
    return {**found, "sha256": digest.hexdigest()}


def differences(
    found: dict[str, Any], golden: dict[str, Any], metrics_within: float = 0.0
) -> list[str]:
    """What differs, a line each; sums by more than 1e-6, metrics by more than `metrics_within`.

    Another processor rounds otherwise: its bytes differ, and its trainings end a little elsewhere.
    With a tolerance for metrics, sha256 are not compared.
    """
    lines = [f"{name}: {golden[name]} is gone" for name in sorted(set(golden) - set(found))]
    lines += [f"{name}: {found[name]} is new" for name in sorted(set(found) - set(golden))]
    for name in sorted(set(found) & set(golden)):
        if isinstance(golden[name], str):
            same = metrics_within > 0 or found[name] == golden[name]
        else:
            within = metrics_within if name.startswith("metrics/") else 0.0
            same = math.isclose(found[name], golden[name], rel_tol=1e-6, abs_tol=within) or (
                math.isnan(found[name]) and math.isnan(golden[name])
            )
        if not same:
            lines.append(f"{name}: {golden[name]} became {found[name]}")
    return lines


if __name__ == "__main__":
    numbers = golden_numbers(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        lines = differences(numbers, json.loads(Path(sys.argv[2]).read_text()))
        print("\n".join(lines) or f"{len(numbers)} numbers, none moved")
    else:
        print(json.dumps(numbers, indent=1))
