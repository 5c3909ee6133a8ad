"""The differentiable simulator against caustics (forward + gradient) and lenstronomy (forward)."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from harness import Row, best_of

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from lens_systems import draw_systems, lenstronomy_image, lenstronomy_model

from lenshunt.lensing import PARAMETERS, PixelGrid, render
from lenshunt.surveys import moffat_psf

SIZE_PX, SCALE, BATCH = 64, 0.168, 64
#: Sampling of the peers: every pixel alike.
GRID = PixelGrid(SIZE_PX, SCALE, 2, cusp_supersampling=1)
#: FWHM in arcsec of five bands.
SEEING = (0.85, 0.75, 0.6, 0.68, 0.7)


def _with_gradient(image: Callable[[torch.Tensor], torch.Tensor], params: torch.Tensor):
    def work() -> torch.Tensor:
        leaf = params.clone().requires_grad_()
        image(leaf).square().sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    return work


def _caustics(psf: np.ndarray) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """caustics.LensSource under vmap for one band: EPL, Sersic source and Sersic lens light."""
    import caustics

    parts = {
        "lens": caustics.EPL(
            cosmology=caustics.FlatLambdaCDM(name="cosmology"), name="lens", z_l=0.5, z_s=1.5
        ),
        "source": caustics.Sersic(name="source"),
        "lens_light": caustics.Sersic(name="light"),
    }
    simulator = caustics.LensSource(
        **parts,
        psf=torch.tensor(psf),
        pixelscale=SCALE,
        pixels_x=SIZE_PX,
        upsample_factor=GRID.supersampling,
    )
    simulator.psf.to_static()
    simulator.x0, simulator.y0 = 0.0, 0.0
    value = {"x0": 0.01, "y0": 0.02, "q": 0.7, "phi": 0.3, "Rein": 1.2, "t": 1.0}
    value |= {"n": 2.0, "Re": 0.5, "Ie": 1.0}
    row = [value[parameter.name] for parameter in simulator.dynamic_params]
    return torch.vmap(lambda p: simulator(p)), torch.tensor([row] * BATCH)


def _against_caustics(psfs: torch.Tensor, params: torch.Tensor) -> list[Row]:
    if importlib.util.find_spec("caustics") is None:
        print(
            "bench_simulator: no package caustics, its two rows are left out; pip install caustics"
        )
        return []
    one, theirs = _caustics(psfs[0].numpy())
    once = _with_gradient(one, theirs)
    rows = []
    for bands, bar in ((1, 2.0), (5, 6.0)):
        fluxes = torch.ones(BATCH, bands, 2)

        def ours(p: torch.Tensor, bands: int = bands, fluxes: torch.Tensor = fluxes):
            return render(p, fluxes, GRID, psfs[:bands])

        seconds = best_of(_with_gradient(ours, params), repeats=4)
        what = f"render + gradient, {SIZE_PX} px, batch {BATCH}, {bands} band(s), vs caustics"
        # caustics renders one band at a time, and traces the rays anew for each
        peer = best_of(
            lambda bands=bands: [once() for _ in range(bands)], repeats=2 if bands == 1 else 1
        )
        rows.append(Row(what, seconds, peer, bar))
    return rows


def _against_lenstronomy(psfs: torch.Tensor, params: torch.Tensor) -> Row:
    model, fluxes = lenstronomy_model(GRID, psfs[0].numpy()), torch.ones(BATCH, 1, 2)
    table = params.double().numpy()

    def loop() -> None:
        for row in table:
            lenstronomy_image(model, row, np.ones(2))

    def ours() -> None:
        with torch.no_grad():
            render(params, fluxes, GRID, psfs[0])

    what = f"render, {SIZE_PX} px, {BATCH} images, one core, vs lenstronomy loop"
    return Row(what, best_of(ours, repeats=5), best_of(loop), 5.0)


def _by_work(psfs: torch.Tensor, params: torch.Tensor) -> list[Row]:
    """Milliseconds per five-band image with gradient, against the same at 2x with PSFs."""
    fluxes = torch.ones(BATCH, 5, 2)

    def milliseconds(grid: PixelGrid, psf: torch.Tensor | None) -> float:
        work = _with_gradient(lambda p: render(p, fluxes, grid, psf), params)
        return 1e3 * best_of(work) / BATCH

    usual = milliseconds(PixelGrid(SIZE_PX, SCALE, 2), psfs)
    cases = {
        "2x without PSF": (PixelGrid(SIZE_PX, SCALE, 2), None),
        "1x": (PixelGrid(SIZE_PX, SCALE, 1), psfs),
        "4x": (PixelGrid(SIZE_PX, SCALE, 4), psfs),
        "2x, no cusp": (GRID, psfs),
    }
    return [
        Row(f"ms per image + gradient, {name} (peer: 2x, PSFs)", milliseconds(*case), usual, None)
        for name, case in cases.items()
    ]


def bench() -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    psfs = torch.stack([torch.tensor(moffat_psf(f, 3.0, SCALE, 25)) for f in SEEING])
    params = torch.tensor(draw_systems(np.random.default_rng(1), BATCH)).float()
    assert params.shape[1] == len(PARAMETERS)
    table = [
        *_against_caustics(psfs, params),
        _against_lenstronomy(psfs, params),
        *_by_work(psfs, params),
    ]
    torch.set_num_threads(threads)
    return table
