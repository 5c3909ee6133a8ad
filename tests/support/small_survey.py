"""Two small data sets of FITS cutouts and the workflow on them, up to shards."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from astropy.io import fits

BANDS = ("g", "r", "i")
SIZE_PX = 48
#: Products of the data stages: what a repeated or interrupted run must give again, bit by bit.
PRODUCTS = ("cutouts", "splits", "shards", "rejected", "psf")


def write_objects(folder: Path, count: int, seed: int) -> None:
    """FITS files with one extension per band, and a table of labels."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - (SIZE_PX - 1) / 2
    rng = np.random.default_rng(seed)
    rows = ["name,label,label_source"]
    for number in range(count):
        hdus = [fits.PrimaryHDU()]
        for band in BANDS:
            blob = rng.uniform(20, 80) * np.exp(-(x**2 + y**2) / rng.uniform(15, 40))
            image = (blob + rng.normal(size=blob.shape)).astype(np.float32)
            hdus.append(fits.ImageHDU(image, name=band))
        fits.HDUList(hdus).writeto(folder / f"{number:04d}.fits")
        rows.append(f"{number:04d},{int(number % 3 == 0)},sim:injection")
    (folder / "catalogue.csv").write_text("\n".join(rows) + "\n")


def configuration(sizes: dict[str, int], chunks: int, **dataset: object) -> dict:
    """A configuration of these data sets on one grid, without a training."""
    return {
        "seed": 3,
        "results": "results",
        "grids": {
            "ground": {
                "psf_fwhm_arcsec": 1.0,
                "moffat_beta": 3.0,
                "pixel_scale_arcsec": 0.168,
                "size_px": 40,
                "unmatched": "keep",
            }
        },
        "datasets": {
            name: {
                "reader": "cutouts",
                "role": "labelled",
                "survey": "hsc",
                "grids": ["ground"],
                "chunks": chunks,
                "images": [f"raw/{name}/*.fits"],
                "bands": list(BANDS),
                "catalogue": f"raw/{name}/catalogue.csv",
                "label_source": "sim:injection",
                **dataset,
            }
            for name in sizes
        },
    }


class Survey:
    """A working folder with raw files, a configuration and the workflow of a checkout."""

    def __init__(self, checkout: Path, root: Path, sizes: dict[str, int], chunks: int) -> None:
        self.checkout, self.root, self.names = checkout, root, list(sizes)
        root.mkdir(parents=True)
        # Snakemake looks for its default profile in the working folder.
        (root / "profiles").symlink_to(checkout / "workflow" / "profiles")
        for seed, (name, count) in enumerate(sizes.items()):
            write_objects(root / "raw" / name, count, seed)
        self.config = configuration(sizes, chunks)
        self.write_config()

    def write_config(self) -> None:
        (self.root / "config.yaml").write_text(yaml.safe_dump(self.config))

    def command(self, *arguments: str) -> list[str]:
        """The command a user types; the targets are the shards of every data set."""
        targets = [f"results/shards/ground/{name}/index.json" for name in self.names]
        return [
            sys.executable, "-m", "snakemake", "--nocolor", "--configfile", "config.yaml",
            "--snakefile", str(self.checkout / "Snakefile"), *arguments, "--cores", "2", *targets,
        ]  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The workflow in a process group of its own."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.checkout / "workflow"),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """(exit status, all that was printed)."""
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=900)
        return process.returncode, printed

    def products(self) -> dict[str, str]:
        """sha256 by path of every product of the data stages."""
        results = self.root / "results"
        return {
            str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for kind in PRODUCTS
            for path in sorted((results / kind).rglob("*"))
            if path.is_file()
        }

    def unfinished(self) -> list[str]:
        """Files that a job has left behind half-written."""
        return [str(p) for p in sorted((self.root / "results").rglob("*.partial*"))]

    def copy(self, root: Path) -> "Survey":
        """The same raw files and configuration in another folder, without results."""
        twin = object.__new__(Survey)
        twin.checkout, twin.root = self.checkout, root
        twin.names, twin.config = self.names, self.config
        ignore = shutil.ignore_patterns("results", ".snakemake")
        shutil.copytree(self.root, root, symlinks=True, ignore=ignore)
        return twin
