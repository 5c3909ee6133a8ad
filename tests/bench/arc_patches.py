"""Simulated lenses for `arc_attention.py`, and attention to patches on and off their arcs."""

from dataclasses import dataclass

import numpy as np
import torch
from pinn_evidence import Survey, part_of
from recovery import AT, GRID, draw_lenses, observe

from lenshunt.lensing import PixelGrid, psf_transform, render_batch
from lenshunt.lensing.psf_convolution import PsfTransform, convolve
from lenshunt.models import Batch, LensNetwork
from lenshunt.models.arc_attention import patch_centres
from lenshunt.surveys import moffat_psf

PATCH_PX = 6
#: Of the lenses: an arc spans several patches. Companions lie at the same radii.
THETA_E_ARCSEC = (1.0, 2.2)
FWHM_ARCSEC, BETA = 0.7, 3.0
CONTROLS = ("same radius", "same distance", "same radius and distance")
#: Patches with more than this share of the brightest one's arc light are on it, with less off it.
ON_ARC, OFF_ARC = 0.3, 0.05
#: Control patches match in radius and distance within half a patch.
MATCH_ARCSEC = 0.5 * PATCH_PX * GRID.pixel_scale_arcsec


@dataclass(frozen=True)
class Comparison:
    """Patches of one lens: the query, others on its arc, and controls matched to some of them."""

    lens: int
    query: int
    pairs: dict[str, tuple[list[int], list[int]]]


def draw_companions(rng: np.random.Generator, n: int, psf: PsfTransform) -> torch.Tensor:
    """One to four galaxies of any orientation around the Einstein radius, [n, band, y, x]."""
    x, y = (axis[0].numpy() for axis in GRID.rays())
    fine = np.zeros((n, *np.broadcast_shapes(x.shape, y.shape)))
    for light in fine:
        for share in rng.dirichlet(np.full(rng.integers(1, 5), 2.0)):
            radius, azimuth = rng.uniform(*THETA_E_ARCSEC), rng.uniform(0, 2 * np.pi)
            turn, q, size = rng.uniform(0, np.pi), rng.uniform(0.25, 1), rng.uniform(0.15, 0.6)
            u, v = x - radius * np.cos(azimuth), y - radius * np.sin(azimuth)
            along = u * np.cos(turn) + v * np.sin(turn)
            across = (v * np.cos(turn) - u * np.sin(turn)) / q
            light += share / (q * size**2) * np.exp(-(along**2 + across**2) / (2 * size**2))
    pixels = torch.nn.functional.avg_pool2d(torch.tensor(fine).float(), 2)
    return convolve(pixels[:, None], psf)[:, :, 0]


def draw_images(n: int, seed: int) -> tuple[Survey, np.ndarray]:
    """n / 2 lenses, n / 2 galaxies with companions of the same S/N, drawn with nine rays a pixel.

    Also the light of the lenses' arcs in each patch, [n / 2, patch].
    """
    rng, half = np.random.default_rng(seed), n // 2
    scale = GRID.pixel_scale_arcsec
    psf = psf_transform(torch.tensor(moffat_psf(FWHM_ARCSEC, BETA, scale))[None], GRID.size_px)
    params = draw_lenses(rng, n)
    params[:, AT["theta_e"]] = torch.tensor(rng.uniform(*THETA_E_ARCSEC, n)).float()
    shapes = render_batch(params, PixelGrid(GRID.size_px, scale, 3), psf)
    arcs = shapes[:half, :, 1]
    data = observe(rng, shapes[:, :, 0], torch.cat([arcs, draw_companions(rng, n - half, psf)]))
    batch: Batch = {
        "image": data.image,
        "variance": data.variance,
        "band_flags": torch.ones(n, 2),
        "label": (torch.arange(n) < half).float(),
    }
    light = torch.nn.functional.avg_pool2d(arcs[:, :1], PATCH_PX).flatten(1)
    return Survey(batch, data.snr.numpy()), light.numpy()


def comparisons(light: np.ndarray, chosen: np.ndarray) -> list[Comparison]:
    """Matched patches of the chosen lenses."""
    side = GRID.size_px // PATCH_PX
    centres = patch_centres(side, side, PATCH_PX * GRID.pixel_scale_arcsec).numpy()
    radius = np.hypot(*centres.T)
    rng, found = np.random.default_rng(0), []
    for lens in chosen:
        share = light[lens] / light[lens].max()
        query = int(share.argmax())
        distance = np.hypot(*(centres - centres[query]).T)
        arc = [int(i) for i in np.flatnonzero(share >= ON_ARC) if i != query]
        off = np.flatnonzero(share < OFF_ARC)
        pairs = {}
        for name in CONTROLS:
            on, control = [], []
            for patch in rng.permutation(arc):
                fits = ~np.isin(off, control)
                if "radius" in name:
                    fits &= np.abs(radius[off] - radius[patch]) < MATCH_ARCSEC
                if "distance" in name:
                    fits &= np.abs(distance[off] - distance[patch]) < MATCH_ARCSEC
                if fits.any():
                    on.append(int(patch))
                    control.append(int(rng.choice(off[fits])))
            pairs[name] = (on, control)
        found.append(Comparison(int(lens), query, pairs))
    return found


@torch.inference_mode()
def attention(
    model: LensNetwork, survey: Survey, rows: torch.Tensor, bias_alone: bool = False
) -> torch.Tensor:
    """Attention of patches to patches, [layer, b, head, query, key], as the model computes it.

    bias_alone : what it would be if all tokens were alike
    """
    maps: list[torch.Tensor] = []

    def weigh(module, arguments, named):
        hidden = arguments[0]
        mask = arguments[1] if len(arguments) > 1 else named.get("attention_mask")
        shape = (*hidden.shape[:-1], -1, module.head_dim)
        query, key = (p(hidden).view(shape).transpose(1, 2) for p in (module.q_proj, module.k_proj))
        scores = query @ key.transpose(2, 3) * (0.0 if bias_alone else module.scaling)
        weights = (scores if mask is None else scores + mask).softmax(dim=-1)
        maps.append(weights[:, :, 1:, 1:])

    vit = getattr(model.backbone, "vit", model.backbone)
    hooks = [layer.attention.register_forward_pre_hook(weigh, with_kwargs=True)
             for layer in vit.layers]  # fmt: skip
    model.eval()(part_of(survey.batch, rows))
    for hook in hooks:
        hook.remove()
    return torch.stack(maps)


def masses(
    model: LensNetwork, test: Survey, lenses: list[Comparison], bias_alone: bool = False
) -> dict[str, np.ndarray]:
    """Attention per patch, in units of an even spread, on the arc and on the controls.

    [2, lens, layer, head] for each kind of control; NaN for a lens without a match.
    """
    config = getattr(model.backbone, "vit", model.backbone).config
    shape = (2, len(lenses), config.num_hidden_layers, config.num_attention_heads)
    found = {name: np.full(shape, np.nan) for name in CONTROLS}
    for start in range(0, len(lenses), 50):
        part = lenses[start : start + 50]
        rows = torch.tensor([one.lens for one in part])
        maps = attention(model, test, rows, bias_alone).numpy()
        for number, one in enumerate(part):
            row = maps[:, number, :, one.query]
            for name, sets in one.pairs.items():
                for i, patches in enumerate(sets):
                    if patches:
                        found[name][i, start + number] = row[..., patches].mean(-1) * row.shape[-1]
    return found
