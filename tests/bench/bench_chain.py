"""Raw GalaxiesML HDF5 to shards: speed beside a plain loop, memory and time as N grows, scaling.

LENSHUNT_BENCH_GALAXIES sets the larger N (20,000; about 10 GB in the temporary folder).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import tifffile
from astropy.convolution import convolve_fft
from astropy.stats import SigmaClip, sigma_clipped_stats
from chain_stages import GRID, RAW, STAGES, run_stage
from harness import Row
from photutils.aperture import CircularAperture, aperture_photometry
from photutils.segmentation import detect_sources, detect_threshold
from photutils.utils import circular_footprint
from webdataset import TarWriter

from lenshunt.config import Demo
from lenshunt.core import Manifest
from lenshunt.images import matching_kernel, target_psf
from lenshunt.scenes.demo import demo_files
from lenshunt.scenes.demo.galaxiesml import write_galaxiesml
from lenshunt.schema import SLOTS, njy_per_count, survey_named, survey_psf

N_SPEED, N_PEER, N_SMALL, N_SCALING = 600, 30, 2_000, 1_000
N_LARGE = int(os.environ.get("LENSHUNT_BENCH_GALAXIES", "20000"))
#: Galaxies that are drawn; a larger file repeats them with noise of its own.
DISTINCT = 300
SCALE = GRID.pixel_scale_arcsec
COLUMNS = ("object_id", "ra", "dec", "specz_redshift", "i_cmodel_mag", "i_half_light_radius")


def write_raw(folder: Path, n: int) -> Path:
    """A file of n galaxies in the layout of GalaxiesML."""
    demo = Demo(folder=str(folder), galaxiesml=DISTINCT)
    write_galaxiesml(folder / "galaxiesml", demo, 1)
    parts = [Path(path) for path in demo_files("galaxiesml", demo)]
    files = [h5py.File(part) for part in parts]
    columns = {name: np.concatenate([file[name][()] for file in files]) for name in files[0]}
    for file, part in zip(files, parts, strict=True):
        file.close()
        part.unlink()
    images, rng = columns.pop("image"), np.random.default_rng(1)
    columns = {name: np.resize(values, (n, *values.shape[1:])) for name, values in columns.items()}
    columns["object_id"] = columns["object_id"][0] + np.arange(n)
    columns["ra"] = 30.0 + 0.02 * (np.arange(n) % 500)
    columns["dec"] = -6.0 + 0.02 * (np.arange(n) // 500)
    with h5py.File(folder / RAW, "w") as raw:
        stored = raw.create_dataset("image", (n, *images.shape[1:]), "f4", chunks=(1, 5, 64, 64))
        for start in range(0, n, len(images)):
            part = images[: n - start]
            stored[start : start + len(part)] = part + 0.01 * rng.standard_normal(
                part.shape, dtype=np.float32
            )
        for name, values in columns.items():
            raw[name] = values
    Manifest({str(folder / RAW): "0" * 64}, {str(folder / RAW): 1}).write(folder / "raw.csv")
    return folder / RAW


def peer_kernels() -> list[np.ndarray]:
    """The Wiener kernel of every band, the same as ours."""
    survey, target = survey_named("hsc"), target_psf(GRID)
    psfs = [survey_psf(survey, band, SCALE) for band in SLOTS]
    fwhm_px = GRID.psf_fwhm_arcsec / SCALE
    return [matching_kernel(psf, target, fwhm_px, target.shape[0]).kernel for psf in psfs]


def peer_sky(image: np.ndarray) -> tuple[float, float]:
    """Level and sigma of the sky, sources masked as photutils' guide on backgrounds does it."""
    threshold = detect_threshold(image, 2.0, sigma_clip=SigmaClip(sigma=3.0, maxiters=10))
    segments = detect_sources(image, threshold, 10)
    mask = None
    if segments is not None:
        mask = segments.make_source_mask(footprint=circular_footprint(radius=5))
    _, level, sigma = sigma_clipped_stats(image, mask=mask, sigma=3.0, maxiters=10)
    return float(level), float(sigma)


def peer_match(
    image: np.ndarray, variance: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance after the kernel; the mask is convolved only where there is one."""
    options = {"normalize_kernel": False, "nan_treatment": "fill", "boundary": "fill"}
    bad = ~np.isfinite(variance)
    matched = convolve_fft(np.where(bad, 0, image), kernel, **options)
    spread = convolve_fft(np.where(bad, 0, variance), kernel**2, **options)
    if bad.any():
        spread[convolve_fft(bad.astype(float), np.abs(kernel), **options) > 0.1] = np.inf
    return matched.astype(np.float32), spread.astype(np.float32)


def peer_16_bit(path: Path, pages: np.ndarray) -> np.ndarray:
    """Pages [p, y, x] through a 16-bit TIFF with a linear scale per page."""
    low = pages.min(axis=(1, 2), keepdims=True)
    step = (pages.max(axis=(1, 2), keepdims=True) - low) / 65535
    step[step == 0] = 1.0
    header = json.dumps({"scale": step.ravel().tolist(), "zero": low.ravel().tolist()})
    codes = np.rint((pages - low) / step).astype(np.uint16)
    tifffile.imwrite(path, codes, photometric="minisblack", description=header)
    return (tifffile.imread(path) * step + low).astype(np.float32)


def peer_chain(raw: Path, folder: Path, n: int, kernels: list[np.ndarray]) -> None:
    """The chain of n galaxies as a plain loop over the calls of public packages."""
    survey = survey_named("hsc")
    counts_to_njy = [njy_per_count(survey.zero_point(band)) for band in SLOTS]
    aperture = CircularAperture((31.5, 31.5), 1.5 / SCALE)
    folder.mkdir()
    with h5py.File(raw) as file, TarWriter(str(folder / "train-000000.tar")) as tar:
        for row in range(n):
            record = {name: float(file[name][row].item()) for name in COLUMNS}
            images, variances = [], []
            for band, counts in enumerate(file["image"][row]):
                image = counts * counts_to_njy[band]
                level, sigma = peer_sky(image)
                image, variance = image - level, np.full(image.shape, sigma**2)
                measured = aperture_photometry(image, aperture, error=np.sqrt(variance))
                record[f"flux_{band}"] = float(measured["aperture_sum"][0])
                record[f"error_{band}"] = float(measured["aperture_sum_err"][0])
                image, variance = peer_match(image, variance, kernels[band])
                images.append(image)
                variances.append(variance)
            pages = peer_16_bit(folder / f"{row}.tif", np.array(images + variances))
            tar.write(
                {
                    "__key__": f"{row:09d}",
                    "image.npy": pages[: len(SLOTS)],
                    "variance.npy": pages[len(SLOTS) :],
                    "json": record,
                }
            )


def start(
    folder: Path, stages: tuple[str, ...], chunk: int = 0, chunks: int = 1
) -> subprocess.Popen:
    """A process of its own for some stages."""
    script = str(Path(__file__).with_name("chain_stages.py"))
    command = [sys.executable, script, str(folder), str(chunk), str(chunks), *stages]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | one_thread
    )


def finish(process: subprocess.Popen) -> dict[str, float]:
    """CPU and wall seconds and peak MB of a process of `start`."""
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{' '.join(process.args)} ended with {process.returncode}")
    return json.loads(output)


def whole_chain(folder: Path, n: int) -> dict[str, dict[str, float]]:
    """Every stage of n galaxies in a fresh process; what each took."""
    raw = write_raw(folder, n)
    used = {}
    for stage in STAGES:
        used[stage] = finish(start(folder, (stage,)))
        if stage == "homogenise":
            # As in the workflow, whose records are temporary.
            (folder / "0.h5").unlink()
            raw.unlink()
    return used


def speed_row(folder: Path) -> Row:
    """Seconds per galaxy of the whole chain; best of two runs on either side, in turn."""
    raw, kernels = write_raw(folder, N_SPEED), peer_kernels()
    peer_chain(raw, folder / "warm", 2, kernels)
    ours, peer = [], []
    for repeat in range(2):
        started = time.perf_counter()
        for stage in STAGES:
            run_stage(folder, stage)
        ours.append((time.perf_counter() - started) / N_SPEED)
        started = time.perf_counter()
        peer_chain(raw, folder / f"peer{repeat}", N_PEER, kernels)
        peer.append((time.perf_counter() - started) / N_PEER)
    return Row("raw HDF5 -> shards, 5 bands of 64 px [s per galaxy]", min(ours), min(peer), 4.0)


def growth_rows(large: Path, small: Path) -> list[Row]:
    """Peak memory and CPU time per galaxy as the one chunk gets larger."""
    of_small, of_large = whole_chain(small, N_SMALL), whole_chain(large, N_LARGE)
    rows = []
    peaks = [max(stage["peak_mb"] for stage in used.values()) for used in (of_large, of_small)]
    what = f"peak memory, one chunk of {N_LARGE:,}; of {N_SMALL:,} galaxies [MB]"
    rows.append(Row(what, *peaks, 1 / 1.10))
    for stage in STAGES:
        what = f"  the same of {stage} [MB]"
        rows.append(Row(what, of_large[stage]["peak_mb"], of_small[stage]["peak_mb"], None))
    each = [
        sum(stage["cpu_s"] for stage in used.values()) / n
        for used, n in ((of_large, N_LARGE), (of_small, N_SMALL))
    ]
    what = f"linear in N: CPU s per galaxy at {N_LARGE:,}; at {N_SMALL:,}"
    rows.append(Row(what, *each, 0.9))
    return rows


def scaling_row(folder: Path) -> Row:
    """Two chunks at once beside one after the other, each in its own process."""
    write_raw(folder, 2 * N_SCALING)
    finish(start(folder, ("prepare", "kernels")))
    for path in folder.glob("0.*"):
        path.unlink()
    stages = ("prepare", "homogenise")
    started = time.perf_counter()
    for chunk in (0, 1):
        finish(start(folder, stages, chunk, 2))
    turns = time.perf_counter() - started
    # Renaming onto a file that exists would wait for the disk, on one side only.
    for path in folder.glob("[01].*"):
        path.unlink()
    started = time.perf_counter()
    for process in [start(folder, stages, chunk, 2) for chunk in (0, 1)]:
        finish(process)
    what = f"two chunks on two of {os.cpu_count()} cores; in turn [s]"
    return Row(what, time.perf_counter() - started, turns, None)


def bench() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("speed", "large", "small", "scaling")]
        for folder in folders:
            folder.mkdir()
        return [
            speed_row(folders[0]),
            # Before the rows that leave gigabytes to be written to the disk.
            scaling_row(folders[3]),
            *growth_rows(folders[1], folders[2]),
        ]
