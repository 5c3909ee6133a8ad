"""Splits of a large, awkward data set: leaks, label fractions, balance, stability, seconds, MB.

Run it by hand: `python tests/bench/splits.py [NUMBER OF ROWS]`.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.config import SplitConfig
from lenshunt.dataset import LEARNING_SPLITS, balance_table, make_splits, with_fold
from lenshunt.dataset.same_object import sky_pairs
from lenshunt.schema import Metadata
from lenshunt.schema.metadata import table_from_records

TARGETS = dict(zip(LEARNING_SPLITS, (0.7, 0.075, 0.075, 0.15), strict=True))
SECOND = 1 / 3600


def awkward_table(n: int, seed: int = 1) -> pd.DataFrame:
    """Metadata of n objects of one data set with everything that makes splitting hard.

    A tenth each of: pairs across RA 0, pairs around a pole, chains of friends 1.5 arcsec apart,
    systems seen in several images, objects without a position. A third lack a redshift, a fifth
    all magnitudes, a tenth seeing and PSF; sixty surveys, most of them with one object; one object
    in eight is a lens.
    """
    rng = np.random.default_rng(seed)
    one = Metadata(
        sample_id="a",
        system_id="a",
        dataset="awkward",
        raw_file="a.fits",
        raw_index=0,
        raw_sha256="0" * 64,
        label=0,
        label_source="sim:demo",
        label_confidence=1.0,
        pixel_scale=0.168,
        instrument="camera",
        survey="hsc",
        schema_version="2.0",
    )
    template = table_from_records([one])
    table = template.loc[np.zeros(n, int)].reset_index(drop=True)
    number = np.arange(n)
    table["sample_id"] = [f"awkward-{k:07d}" for k in number]
    system, kind = number.copy(), number % 10
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.98, 0.98, n)))
    before = np.maximum(number - 10, 0)
    odd = (number // 10) % 2 == 1
    across = kind == 0
    ra[across] = np.where(odd[across], 0.3, 359.9999) * np.where(odd[across], SECOND, 1.0)
    dec[across] = (number[across] // 20) * 4 * SECOND
    pole = kind == 1
    ra[pole] = (number[pole] // 20 % 360 + np.where(odd[pole], 180, 0)) % 360
    dec[pole] = 90 - 0.5 * SECOND - (number[pole] // 20 // 360) * 5 * SECOND
    chain = (kind == 2) & (number // 10 % 20 > 0)
    for k in np.flatnonzero(chain):
        ra[k], dec[k] = ra[before[k]], dec[before[k]] + 1.5 * SECOND
    several = (kind == 3) & odd
    system[several] = system[before[several]]
    ra[kind == 4], dec[kind == 4] = np.nan, np.nan
    table["system_id"] = [f"system-{k:07d}" for k in system]
    table["ra"], table["dec"] = ra, dec
    table["label"] = (rng.uniform(size=n) < 0.125).astype("int64")
    z_phot = rng.gamma(3.0, 0.2, n)
    table["z_phot"] = np.where(rng.uniform(size=n) < 1 / 3, -1.0, z_phot)
    magnitudes = rng.normal(21, 1.5, (n, 1)) + rng.normal(0, 0.3, (n, 5))
    magnitudes[rng.uniform(size=n) < 0.2] = np.nan
    table[[f"magnitude_{slot}" for slot in "grizy"]] = magnitudes
    unknown = rng.uniform(size=n) < 0.1
    table["seeing"] = np.where(unknown, np.nan, rng.gamma(9, 0.1, n))
    table["psf_fwhm"] = np.where(unknown, np.nan, rng.gamma(9, 0.08, n))
    table["pixel_scale"] = rng.choice([0.06, 0.168, 0.396], n, p=[0.1, 0.8, 0.1])
    rare = rng.permutation(n)[: min(58, n // 4)]
    survey = np.where(rng.uniform(size=n) < 0.9, "hsc", "sdss").astype(object)
    survey[rare] = [f"survey{k}" for k in range(len(rare))]
    table["survey"] = pd.Series(survey).astype(template["survey"].dtype)
    return table.astype(template.dtypes.to_dict())


def made(table: pd.DataFrame, folder: Path, name: str, **config) -> pd.DataFrame:
    """Splits of a metadata table; the metadata stays in FOLDER/NAME.parquet."""
    metadata, out = folder / f"{name}.parquet", folder / f"{name}_splits.parquet"
    table.to_parquet(metadata, index=False)
    make_splits(metadata=[str(metadata)], config=SplitConfig(**config), seed=1, out=str(out))
    return pd.read_parquet(out)


def leaks(splits: pd.DataFrame, radius_arcsec: float = 2.0) -> tuple[int, int]:
    """Systems in more than one split, and pairs of neighbours on the sky in different splits."""
    by_id = int((splits.groupby("system_id")["split"].nunique() > 1).sum())
    pairs = sky_pairs(splits["ra"].to_numpy(), splits["dec"].to_numpy(), radius_arcsec)
    split = splits["split"].to_numpy()
    return by_id, int((split[pairs[:, 0]] != split[pairs[:, 1]]).sum())


def moved(before: pd.DataFrame, after: pd.DataFrame) -> float:
    """Fraction of the groups of `before` that are in another split in `after`."""
    groups = before.drop_duplicates("group").set_index("sample_id")["split"]
    return float((groups != after.set_index("sample_id")["split"].loc[groups.index]).mean())


def worst_deviation(balance: pd.DataFrame) -> pd.Series:
    """The row of the balance table that is furthest from its data set, in percent points."""
    factors = balance[balance["factor"] != "split"]
    return factors.loc[factors["deviation"].abs().idxmax()]


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = awkward_table(n)
        start_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        splits = made(table, folder, "whole", folds=5)
        seconds = time.perf_counter() - start
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        pairs = sky_pairs(table["ra"].to_numpy(), table["dec"].to_numpy(), 2.0)
        print(
            f"{n} rows, {splits['group'].nunique()} groups, {splits['stratum'].nunique()} strata, "
            f"{len(pairs)} pairs of neighbours; five folds too"
        )
        print(f"make_splits: {seconds:.1f} s, peak {peak_mb:.0f} MB ({start_mb:.0f} MB before)")
        for label, seen in [
            ("plain", splits),
            *((f"fold {k}", with_fold(splits, k)) for k in range(5)),
        ]:
            by_id, by_sky = leaks(seen)
            print(f"{label}: leaks by id {by_id}, by sky {by_sky}")
        balance = balance_table(
            splits=str(folder / "whole_splits.parquet"), metadata=[str(folder / "whole.parquet")]
        )
        sizes = balance[balance["factor"] == "split"].set_index("split")
        lens = balance[(balance["factor"] == "label") & (balance["value"] == "1")]
        lens = lens.set_index("split")
        print(
            f"{'split':14s} {'groups':>8s} {'share':>8s} {'target':>8s} {'lenses':>8s} {'all':>8s}"
        )
        for split, target in TARGETS.items():
            size, share = sizes.loc[split], lens.loc[split]
            print(
                f"{split:14s} {size['n_groups']:8d} {size['fraction']:8.4f} {target:8.4f} "
                f"{share['fraction']:8.4f} {share['fraction_all']:8.4f}"
            )
        worst = worst_deviation(balance)
        sigmas = worst["deviation"] / worst["binomial_sigma"]
        print(
            f"worst factor: {worst['factor']} {worst['value']} in {worst['split']}, "
            f"{100 * worst['deviation']:+.2f} % points ({sigmas:+.1f} "
            "sigma of a random draw)"
        )
        for share in (0.01, 0.1):
            kept = table.iloc[: int(n * (1 - share))]
            fewer = made(kept, folder, "fewer", folds=5)
            print(f"groups that move when {share:.0%} are added: {moved(fewer, splits):.2%}")


if __name__ == "__main__":
    main()
