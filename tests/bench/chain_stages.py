"""The chain raw HDF5 -> shards, one stage per process: `python chain_stages.py FOLDER STAGE ...`.

Prints CPU seconds, wall seconds and the peak memory in MB of the stages named, as JSON.
"""

import json
import sys
import time
from pathlib import Path

from lenshunt.config import GalaxiesMLDataset, Grid, QualityConfig, SplitConfig
from lenshunt.core import read_manifest
from lenshunt.dataset import make_splits, write_shards
from lenshunt.images import homogenise_chunk, make_kernels, prepare_chunk
from lenshunt.readers import read_chunk

RAW = "galaxies_training.hdf5"
GRID = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
STAGES = ("prepare", "kernels", "homogenise", "splits", "shards")


def run_stage(folder: Path, stage: str, chunk: int = 0, chunks: int = 1) -> None:
    """One stage of the chain in `folder`; `prepare` and `homogenise` work on one chunk."""
    name = {
        key: str(folder / f"{chunk}{ending}")
        for key, ending in {
            "pixels": ".h5",
            "metadata": ".parquet",
            "rejected": ".ecsv",
            "cutouts": ".tif",
            "matched": ".matched.parquet",
        }.items()
    }
    kernels, splits = str(folder / "kernels.h5"), str(folder / "splits.parquet")
    if stage == "prepare":
        dataset = GalaxiesMLDataset(
            reader="galaxiesml",
            files=[str(folder / RAW)],
            survey="hsc",
            role="pretrain",
            grids=["ground"],
        )
        raw = read_chunk("bench", dataset, chunk, chunks, read_manifest(folder / "raw.csv"))
        prepare_chunk(
            name="bench",
            objects=raw.objects,
            count=raw.count,
            star_field=raw.star_field,
            pixels=name["pixels"],
            metadata=name["metadata"],
            rejected=name["rejected"],
        )
    elif stage == "kernels":
        pair = (name["pixels"], name["metadata"])
        make_kernels(chunks=[pair], grid=GRID, out=kernels, table=str(folder / "kernels.csv"))
    elif stage == "homogenise":
        homogenise_chunk(
            pixels=name["pixels"],
            metadata=name["metadata"],
            kernels=kernels,
            grid=GRID,
            quality=QualityConfig(),
            out=name["cutouts"],
            out_metadata=name["matched"],
        )
    elif stage == "splits":
        make_splits(metadata=[name["metadata"]], config=SplitConfig(), seed=1, out=splits)
    else:
        write_shards(
            cutouts=[(name["cutouts"], name["matched"])],
            splits=splits,
            quality_threshold=0.7,
            drop_unmatched=False,
            folder=str(folder / "shards"),
            index=str(folder / "index.json"),
        )


def peak_memory_mb() -> float:
    """Largest resident set of this process so far.

    Not `getrusage`: its value starts at that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    folder, chunk, chunks = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    cpu, wall = time.process_time(), time.perf_counter()
    for stage in sys.argv[4:]:
        run_stage(folder, stage, chunk, chunks)
    used = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": peak_memory_mb(),
    }
    print(json.dumps(used))


if __name__ == "__main__":
    main()
