"""Arcs of known place painted onto real test images, and which patches lie on and off them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import PARAMETERS, PixelGrid, PsfTransform, psf_transform, render_batch
from lenshunt.models import Batch, Normalisation
from lenshunt.models.arc_attention import patch_centres
from lenshunt.models.inputs import usable_pixels

#: S/N of all pixels of an arc in all bands, log-uniform.
ARC_SNR = (30.0, 150.0)
#: Einstein radii: from this many patches, whose arcs still span several, to this share of half the
#: image.
RADIUS_MIN, RADIUS_MAX = 0.75, 0.65
#: Distance of the source from the optical axis and its half-light radius, in Einstein radii: long
#: arcs on one side of the galaxy, without closing to a ring.
OFFSET, SIZE = (0.2, 0.4), (0.08, 0.2)
SUPERSAMPLING = 3
#: Patches with more than this share of the brightest one's arc light are on it, with less off it.
ON_ARC, OFF_ARC = 0.3, 0.05
#: Controls: patches off the arc at the radius of one on it, and as far from the query as well.
CONTROLS = ("same radius", "same radius and distance")
#: In patches. On a grid no match is exact: compare with the same pairs without the arc.
RADIUS_MATCH, DISTANCE_MATCH = 0.5, 0.5


@dataclass(frozen=True)
class PatchGrid:
    """Patches of a transformer on a model's grid."""

    side: int
    patch_px: int
    patch_arcsec: float

    @classmethod
    def of(cls, normalisation: Normalisation, patch_px: int) -> "PatchGrid":
        """The patches that fill the images of `normalisation`."""
        scale = normalisation.pixel_scale_arcsec
        return cls(normalisation.size_px // patch_px, patch_px, patch_px * scale)

    def centres(self) -> np.ndarray:
        """x, y of the patches' centres, arcsec, [n, 2]."""
        return patch_centres(self.side, self.side, self.patch_arcsec).numpy()


def radius_range(normalisation: Normalisation, patch_px: int) -> tuple[float, float]:
    """Smallest and largest Einstein radius drawn, arcsec."""
    high = RADIUS_MAX * 0.5 * normalisation.size_px * normalisation.pixel_scale_arcsec
    return min(RADIUS_MIN * patch_px * normalisation.pixel_scale_arcsec, 0.8 * high), high


def psf_of(normalisation: Normalisation) -> PsfTransform:
    """The PSF that all cutouts were matched to. Raises ValueError where it is unknown."""
    grid = normalisation
    if not grid.psf_fwhm_arcsec > 0:
        raise ValueError("the normalisation holds no PSF; train the model on a grid of `grids`")
    psf = moffat_psf(grid.psf_fwhm_arcsec, grid.psf_moffat_beta, grid.pixel_scale_arcsec)
    return psf_transform(torch.tensor(psf, dtype=torch.float32)[None], grid.size_px)


def draw_arcs(
    rng: np.random.Generator, count: int, normalisation: Normalisation, patch_px: int
) -> tuple[torch.Tensor, np.ndarray]:
    """Light of `count` lensed sources after the PSF, [count, y, x], and Einstein radii, arcsec.

    Isothermal masses of small ellipticity in the middle of the image, each with one source.
    """
    low, high = radius_range(normalisation, patch_px)
    radius = np.exp(rng.uniform(np.log(low), np.log(high), count))
    azimuth, place = rng.uniform(0, 2 * np.pi, count), rng.uniform(*OFFSET, count) * radius
    values = {
        "theta_e": radius,
        "slope": np.full(count, 2.0),
        "mass_e1": rng.uniform(-0.1, 0.1, count),
        "mass_e2": rng.uniform(-0.1, 0.1, count),
        "lens_radius": np.ones(count),
        "lens_sersic": np.full(count, 4.0),
        "source_radius": rng.uniform(*SIZE, count) * radius,
        "source_sersic": np.ones(count),
        "source_e1": rng.uniform(-0.2, 0.2, count),
        "source_e2": rng.uniform(-0.2, 0.2, count),
        "source_x": place * np.cos(azimuth),
        "source_y": place * np.sin(azimuth),
    }
    columns = [values.get(name, np.zeros(count)) for name in PARAMETERS]
    grid = PixelGrid(normalisation.size_px, normalisation.pixel_scale_arcsec, SUPERSAMPLING)
    params = torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)
    return render_batch(params, grid, psf_of(normalisation))[:, 0, 1].clamp(min=0.0), radius


def painted(rng: np.random.Generator, host: Batch, arcs: torch.Tensor) -> Batch:
    """`host` images with `arcs` [b, y, x] of S/N `ARC_SNR` added to every band that is there.

    An arc has the same flux density in all bands, as blue as star-forming galaxies are. The noise
    is that of the host's image: the photon noise of an arc is small beside that of the sky.
    """
    usable = usable_pixels(host["variance"], host["band_flags"])
    light = torch.where(usable, arcs.to(host["image"].device)[:, None], 0.0)
    variance = torch.where(usable, host["variance"], 1.0)
    snr = np.exp(rng.uniform(np.log(ARC_SNR[0]), np.log(ARC_SNR[1]), len(arcs)))
    unit = (light.square() / variance).sum(dim=(1, 2, 3)).sqrt()
    scale = torch.tensor(snr, dtype=torch.float32, device=unit.device) / unit.clamp(min=1e-30)
    return {**host, "image": host["image"] + scale[:, None, None, None] * light}


def pair_weights(
    rng: np.random.Generator, arcs: torch.Tensor, grid: PatchGrid, control: str
) -> torch.Tensor:
    """Pairs of query and key on one arc, and as many with a key off it, [2, b, n, n] float32.

    Each pair of a lens weighs 1 / (number of its pairs), so that a sum over attention is a mean
    per patch. Both patches of the first kind are on the arc; of the second, the query is, and the
    key is a random patch off the arc at the radius of the first kind's key, and, for the control
    `same radius and distance`, as far from the query, within RADIUS_MATCH and DISTANCE_MATCH. NaN
    for a lens without such pairs.
    """
    centres = grid.centres()
    radius = np.hypot(*centres.T)
    distance = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    light = functional.avg_pool2d(arcs[:, None], grid.patch_px).flatten(1).numpy()
    weights = np.zeros((2, *light.shape, light.shape[1]), np.float32)
    for lens, patches in enumerate(light / light.max(axis=1, keepdims=True)):
        off = np.flatnonzero(patches < OFF_ARC)
        arc = np.flatnonzero(patches >= ON_ARC)
        for query in arc:
            left = off
            for key in rng.permutation(arc[arc != query]):
                fits = np.abs(radius[left] - radius[key]) < RADIUS_MATCH * grid.patch_arcsec
                if control == CONTROLS[1]:
                    away = np.abs(distance[query, left] - distance[query, key])
                    fits &= away < DISTANCE_MATCH * grid.patch_arcsec
                if fits.any():
                    chosen = rng.choice(left[fits])
                    left = left[left != chosen]
                    weights[0, lens, query, key] = weights[1, lens, query, chosen] = 1.0
        total = weights[0, lens].sum()
        weights[:, lens] = weights[:, lens] / total if total else np.nan
    return torch.from_numpy(weights)
