"""The data stages on one small chunk, here or in a process of its own that is stopped.

python data_stages.py STAGE FOLDER LIMIT prints `ready` once all is imported. With LIMIT > 0 no file
may grow beyond so many bytes (as on a full disk, with EFBIG for ENOSPC) and the stage runs once;
with 0 it is repeated until the process is killed.
"""

import contextlib
import resource
import signal
import sys
from pathlib import Path

from raw_samples import common, write_records
from raw_sets import MAKERS

from lenshunt.config import CutoutsDataset, Grid, QualityConfig, SplitConfig
from lenshunt.core import logged_to, raw_manifest
from lenshunt.dataset import make_splits, write_shards
from lenshunt.images import homogenise_chunk, make_kernels
from lenshunt.readers import raw_files

GRID = Grid(psf_fwhm_arcsec=1.0, moffat_beta=3.0, pixel_scale_arcsec=0.168, size_px=32)
DATASET = CutoutsDataset(
    reader="cutouts",
    images=["raw/*.fits"],
    bands=["g", "r", "i"],
    catalogue="raw/catalogue.csv",
    **common("hsc"),
)


def prepare(folder: Path) -> None:
    # Paths relative to the folder: they are part of the records.
    with contextlib.chdir(folder):
        if not Path("raw").exists():
            Path("raw").mkdir()
            MAKERS["cutouts"](Path("raw"))
        raw_manifest(raw_files(DATASET), "hashes.json").write("manifest.csv")
        write_records(
            name="set",
            dataset=DATASET,
            chunk=0,
            chunks=1,
            manifest="manifest.csv",
            pixels="records.h5",
            metadata="records.parquet",
            rejected="rejected.ecsv",
        )


def kernels(folder: Path) -> None:
    make_kernels(
        chunks=[(f"{folder}/records.h5", f"{folder}/records.parquet")],
        grid=GRID,
        out=f"{folder}/kernels.h5",
        table=f"{folder}/kernels.csv",
    )


def homogenise(folder: Path) -> None:
    homogenise_chunk(
        pixels=f"{folder}/records.h5",
        metadata=f"{folder}/records.parquet",
        kernels=f"{folder}/kernels.h5",
        grid=GRID,
        quality=QualityConfig(),
        out=f"{folder}/cutouts.tif",
        out_metadata=f"{folder}/cutouts.parquet",
    )


def splits(folder: Path) -> None:
    make_splits(
        metadata=[f"{folder}/records.parquet"],
        config=SplitConfig(),
        seed=1,
        out=f"{folder}/splits.parquet",
    )


def shards(folder: Path) -> None:
    write_shards(
        cutouts=[(f"{folder}/cutouts.tif", f"{folder}/cutouts.parquet")],
        splits=f"{folder}/splits.parquet",
        quality_threshold=0.0,
        drop_unmatched=False,
        folder=f"{folder}/shards",
        index=f"{folder}/shards/index.json",
        samples_per_shard=1,
    )


STAGES = {stage.__name__: stage for stage in (prepare, kernels, homogenise, splits, shards)}
#: What each stage leaves under its final name.
PRODUCTS = {
    "prepare": "rec*",
    "kernels": "ker*",
    "homogenise": "cut*",
    "splits": "splits*",
    "shards": "shards/*",
}

if __name__ == "__main__":
    stage, target, limit = STAGES[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with logged_to(target / "job.log"):
            stage(target)
    while not limit:
        stage(target)
