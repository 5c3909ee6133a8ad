"""The differentiable simulator against caustics (forward + gradient) and lenstronomy (forward).

Each peer draws the same images first: a difference above 1e-3 of the peak ends the benchmark.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from harness import Row, cpu_seconds

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from lens_systems import draw_systems, lenstronomy_image, lenstronomy_model

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import PixelGrid, render

SIZE_PX, SCALE, BATCH, ROUNDS = 64, 0.168, 64, 5
#: Fewer where a round is ten seconds of the peer.
SLOW_ROUNDS = 2
#: Sampling of the peers: every pixel alike.
GRID = PixelGrid(SIZE_PX, SCALE, 2, cusp_supersampling=1)
#: FWHM in arcsec of five bands.
SEEING = (0.85, 0.75, 0.6, 0.68, 0.7)
#: Largest difference of the images of two peers, of the peak of each.
PARITY = 1e-3

Job = Callable[[], object]


def _gradient(image: Callable[[torch.Tensor], torch.Tensor], params: torch.Tensor) -> Job:
    def work() -> torch.Tensor | None:
        leaf = params.clone().requires_grad_()
        image(leaf).square().sum().backward()
        return leaf.grad

    return work


def _forward(grid: PixelGrid, psf: torch.Tensor | None, params: torch.Tensor, bands: int) -> Job:
    fluxes = torch.ones(len(params), bands, 2)

    def work() -> torch.Tensor:
        with torch.no_grad():
            return render(params, fluxes, grid, psf)

    return work


def _same(ours: torch.Tensor, theirs: torch.Tensor, peer: str) -> None:
    """Raise ValueError unless images [batch, y, x] agree: a ratio of other work says nothing."""
    worst = ((ours - theirs).abs().amax((1, 2)) / theirs.amax((1, 2))).max().item()
    if not worst <= PARITY:
        raise ValueError(f"our images and those of {peer} differ by {worst:.1e} of the peak")


def _against_caustics(psfs: torch.Tensor, params: torch.Tensor) -> list[Row]:
    """Five calls for five bands: caustics renders one, and traces the rays anew for each."""
    if importlib.util.find_spec("caustics") is None:
        print("bench_simulator: no package caustics, its rows are left out; pip install caustics")
        return []
    from caustics_peer import caustics_render, caustics_row

    table = torch.tensor([caustics_row(row) for row in params.double().numpy()])
    peers = [caustics_render(GRID, psf.numpy()) for psf in psfs]
    images = torch.as_tensor(_forward(GRID, psfs, params, len(psfs))())
    with torch.no_grad():
        for band, peer in enumerate(peers):
            theirs = peer(table)
            edge = (SIZE_PX - theirs.shape[-1]) // 2
            _same(images[:, band, edge:-edge, edge:-edge], theirs, "caustics")
    jobs = {}
    for bands in (1, len(psfs)):
        fluxes = torch.ones(BATCH, bands, 2)

        def ours(p: torch.Tensor, bands: int = bands, fluxes: torch.Tensor = fluxes):
            return render(p, fluxes, GRID, psfs[:bands])

        jobs[f"ours {bands}"] = _gradient(ours, params)
        jobs[f"ours {bands}"]()
    jobs |= {f"peer {band}": _gradient(peer, table) for band, peer in enumerate(peers)}
    seconds = cpu_seconds(jobs, SLOW_ROUNDS)
    per_band = [seconds[f"peer {band}"] for band in range(len(psfs))]
    what = f"render + gradient, {SIZE_PX} px, 2x, batch {BATCH}, {{}}, vs caustics"
    return [
        Row(what.format("1 band"), seconds["ours 1"], per_band[0], 2.0),
        Row(what.format("5 bands"), seconds["ours 5"], sum(per_band), 6.0),
    ]


def _against_lenstronomy(psfs: torch.Tensor, params: torch.Tensor) -> Row:
    model, table = lenstronomy_model(GRID, psfs[0].numpy()), params.double().numpy()

    def loop() -> np.ndarray:
        return np.stack([lenstronomy_image(model, row, np.ones(2)) for row in table])

    ours = _forward(GRID, psfs[0], params, 1)
    _same(torch.as_tensor(ours())[:, 0], torch.tensor(loop()), "lenstronomy")
    seconds = cpu_seconds({"ours": ours, "loop": loop}, ROUNDS)
    what = f"render, {SIZE_PX} px, 2x, {BATCH} images, vs a loop over lenstronomy"
    return Row(what, seconds["ours"], seconds["loop"], 5.0)


def _by_work(psfs: torch.Tensor, params: torch.Tensor) -> list[Row]:
    """Milliseconds per image, forward, against those of five bands at 2x with their PSFs."""
    five = len(psfs)
    cases: dict[str, tuple[PixelGrid, torch.Tensor | None, int]] = {
        "2x, 5 PSFs": (PixelGrid(SIZE_PX, SCALE, 2), psfs, five),
        "2x, 1 band, 1 PSF": (PixelGrid(SIZE_PX, SCALE, 2), psfs[0], 1),
        "2x, no PSF": (PixelGrid(SIZE_PX, SCALE, 2), None, five),
        "1x, 5 PSFs": (PixelGrid(SIZE_PX, SCALE, 1), psfs, five),
        "1x, no PSF": (PixelGrid(SIZE_PX, SCALE, 1), None, five),
        "4x, 5 PSFs": (PixelGrid(SIZE_PX, SCALE, 4), psfs, five),
        "2x, 5 PSFs, no finer centre": (GRID, psfs, five),
    }
    jobs = {name: _forward(grid, psf, params, bands) for name, (grid, psf, bands) in cases.items()}
    for job in jobs.values():
        job()
    seconds = cpu_seconds(jobs, ROUNDS)
    usual = 1e3 * seconds["2x, 5 PSFs"] / BATCH
    return [
        Row(
            f"render, ms per image ({BATCH / s:.0f} images/s): {name}", 1e3 * s / BATCH, usual, None
        )
        for name, s in seconds.items()
    ]


def bench() -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        psfs = torch.stack([torch.tensor(moffat_psf(f, 3.0, SCALE, 25)) for f in SEEING])
        params = torch.tensor(draw_systems(np.random.default_rng(1), BATCH)).float()
        return [
            *_against_caustics(psfs, params),
            _against_lenstronomy(psfs, params),
            *_by_work(psfs, params),
        ]
    finally:
        torch.set_num_threads(threads)
