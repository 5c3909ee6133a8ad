"""A system as nodes: the galaxy in the middle and the segments around it, with their features."""

from dataclasses import dataclass

import torch

from lenshunt.models.inputs import asinh, usable_pixels
from lenshunt.models.interface import Batch
from lenshunt.models.segment_tensors import segment_colours, unpack_segments

#: Radius in arcsec of the aperture in which the galaxy in the middle is measured.
GALAXY_RADIUS_ARCSEC = 1.0
#: Colours beyond this many magnitudes count as this many: an error, or no galaxy.
COLOUR_MAX = 4.0
#: Numbers of a node that are neither fluxes nor colours.
_SHAPE = 5


@dataclass(frozen=True)
class SystemNodes:
    """Node 0 of each sample is the galaxy in the middle, the others are its segments.

    there : bool [b, node], False in the padding; the galaxy is always there
    flux, variance : [b, node, band], nJy and nJy^2; +inf where a band is missing
    position : [b, node, 2] arcsec (x, y) from the middle of the cutout, right and up
    area : [b, node] square arcsec
    snr, psf_likeness : [b, node]; of segments alone, 0 for the galaxy
    """

    there: torch.Tensor
    flux: torch.Tensor
    variance: torch.Tensor
    position: torch.Tensor
    area: torch.Tensor
    snr: torch.Tensor
    psf_likeness: torch.Tensor

    @property
    def segment(self) -> torch.Tensor:
        """bool [b, node]: segments that are there, not the galaxy."""
        return torch.cat([torch.zeros_like(self.there[:, :1]), self.there[:, 1:]], dim=1)


def system_nodes(batch: Batch, pixel_scale_arcsec: float) -> SystemNodes:
    """The galaxy and the segments of every sample; a sample without segments has the galaxy alone.

    Raises ValueError for a batch without the key `segments`: that they were not made does not
    mean that there are none.
    """
    if "segments" not in batch:
        raise ValueError(
            "this model reads segments and the batch has none; set segments.enabled: true in the "
            "config and make the shards again"
        )
    flags = batch["band_flags"][:, None] > 0
    found = unpack_segments(batch["segments"].float())
    bands = batch["image"].shape[1]
    if found.flux.shape[-1] != bands:
        raise ValueError(
            f"segments have {found.flux.shape[-1]} bands and the images {bands}; make the shards "
            "again"
        )
    flux, variance, area = _galaxy(batch, pixel_scale_arcsec)
    nothing = flux.new_zeros(len(flux), 1)
    # a band that is hidden in the image is not to be seen in the segments either
    hidden = torch.where(flags, found.variance, torch.inf)
    return SystemNodes(
        there=torch.cat([torch.ones_like(nothing, dtype=torch.bool), found.there], dim=1),
        flux=torch.cat([flux[:, None], torch.where(flags, found.flux, 0.0)], dim=1),
        variance=torch.cat([variance[:, None], hidden], dim=1),
        position=torch.cat([flux.new_zeros(len(flux), 1, 2), found.position], dim=1),
        area=torch.cat([area[:, None], found.area], dim=1),
        snr=torch.cat([nothing, found.snr], dim=1),
        psf_likeness=torch.cat([nothing, found.psf_likeness], dim=1),
    )


def _galaxy(
    batch: Batch, pixel_scale_arcsec: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flux and variance [b, band] of the galaxy in its aperture, and the aperture's area [b].

    A band with an unusable pixel in the aperture is missing: part of a galaxy has other colours.
    """
    image, size = batch["image"], batch["image"].shape[-1]
    axis = (torch.arange(size, device=image.device) - (size - 1) / 2) * pixel_scale_arcsec
    radius2 = axis[:, None] ** 2 + axis**2
    inside = radius2 <= max(GALAXY_RADIUS_ARCSEC, pixel_scale_arcsec) ** 2
    usable = usable_pixels(batch["variance"], batch["band_flags"])[:, :, inside]
    complete = usable.all(dim=2)
    flux = torch.where(complete, image[:, :, inside].sum(dim=2), 0.0)
    spread = torch.where(usable, batch["variance"][:, :, inside], 0.0).sum(dim=2)
    if "noise_corr" in batch:
        correlation = batch["noise_corr"]
        spread = spread * torch.where(complete, correlation, 1.0)
    variance = torch.where(complete, spread, torch.inf)
    area = inside.sum() * pixel_scale_arcsec**2
    return flux.float(), variance.float(), area.to(flux.dtype).expand(len(image))


def node_features(
    nodes: SystemNodes, radius: torch.Tensor, band_sigma_njy: torch.Tensor
) -> torch.Tensor:
    """What is known of each node by itself, [b, node, `feature_count`]; 0 in the padding.

    radius : [b, node] arcsec from the deflector
    Fluxes (asinh, in units of the background's sigma), colours of consecutive usable bands, area,
    S/N, likeness to the PSF and radius. Whatever can be missing has a channel that says whether
    it is there, so that a missing value has a learned vector of its own, as in `ConditionEncoder`.
    """
    present = torch.isfinite(nodes.variance) & nodes.there[..., None]
    flux = torch.where(present, asinh(nodes.flux / band_sigma_njy) / 3, 0.0)
    colours = segment_colours(nodes.flux, nodes.variance)
    known = colours.known & nodes.there[..., None]
    colour = torch.where(known, colours.colour.clamp(-COLOUR_MAX, COLOUR_MAX), 0.0)
    segment = nodes.segment.to(flux.dtype)
    shape = [
        segment,
        torch.log10(nodes.area.clamp(min=1e-3)),
        torch.log10(nodes.snr.clamp(min=1.0)) * segment,
        nodes.psf_likeness * segment,
        radius / 2,
    ]
    return torch.where(
        nodes.there[..., None],
        torch.cat([flux, present, colour, known, torch.stack(shape, dim=-1)], dim=-1),
        0.0,
    )


def feature_count(bands: int) -> int:
    """Number of features of a node."""
    return 2 * bands + 2 * (bands - 1) + _SHAPE
