"""The segments of a batch as graphs: nodes with features, and what lies between two of them.

Segments are unpacked (`unpack_segments`), become nodes beside the galaxy in their middle
(`system_nodes`), of which each is described by itself (`node_features`) and with each other one
(`edge_features`); `flat_graph` lists them as torch_geometric takes them. Edges are independent of
where up is: separations, radii, and angles at the deflector between two nodes, never the position
angle of one. They are the same for the mirror image too.
"""

import math
from dataclasses import dataclass

import torch

from lenshunt.images.segments import GEOMETRY, packed_bands
from lenshunt.lensing import colour_distance
from lenshunt.lensing.colour_prior import FLOOR_MAG, SNR_MIN
from lenshunt.models.inputs import asinh, usable_pixels
from lenshunt.models.interface import Batch

_POGSON = 2.5 / math.log(10)
#: Radius in arcsec of the aperture in which the galaxy in the middle is measured.
GALAXY_RADIUS_ARCSEC = 1.0
#: Colours beyond this many magnitudes count as this many: an error, or no galaxy.
COLOUR_MAX = 4.0
#: Numbers of a node that are neither fluxes nor colours.
_SHAPE = 5
#: Nodes farther apart than this, in arcsec, do not see each other.
EDGE_ARCSEC = 5.0
#: Features of an edge: `edge_features`.
EDGE_FEATURES = 9
#: Which of them are the colour distance, log1p of sigmas, and whether it is known.
COLOUR_DISTANCE, COLOUR_KNOWN = 5, 6
#: Nearer to the deflector than this, in arcsec, a position angle says nothing.
_SOFTENING_ARCSEC = 0.05


@dataclass(frozen=True)
class SegmentTensors:
    """Segments of a batch, those of the highest S/N first; padding at the end.

    there : bool [batch, segment], False in the padding
    flux, variance : [batch, segment, band], nJy and nJy^2; 0 and +inf where a band or a segment
        is missing: as `colour_consistency_loss` and `colour_distance` take them
    position : [batch, segment, 2] (x, y) in arcsec from the middle of the cutout, right and up,
        the plane of `PixelGrid`; 0 in the padding
    area : [batch, segment] square arcsec; 0 in the padding
    snr, psf_likeness : [batch, segment], 0 in the padding
    """

    there: torch.Tensor
    flux: torch.Tensor
    variance: torch.Tensor
    position: torch.Tensor
    area: torch.Tensor
    snr: torch.Tensor
    psf_likeness: torch.Tensor


def unpack_segments(packed: torch.Tensor) -> SegmentTensors:
    """Named tensors of `segments` [batch, segment, column] of a loader's batch.

    The layout is that of `images.Segments.packed`. Raises ValueError for other columns.
    """
    bands = packed_bands(packed.shape[-1])
    geometry = dict(zip(GEOMETRY, packed[..., 2 * bands :].unbind(-1), strict=True))
    return SegmentTensors(
        there=geometry["area"] > 0,
        flux=packed[..., :bands],
        variance=packed[..., bands : 2 * bands],
        position=torch.stack([geometry["x"], geometry["y"]], dim=-1),
        area=geometry["area"],
        snr=geometry["snr"],
        psf_likeness=geometry["psf_likeness"],
    )


@dataclass(frozen=True)
class SegmentColours:
    """Colours of consecutive usable bands: entry k is band k less the next usable one, AB mag.

    colour, known : [batch, segment, band - 1]; an entry whose first band is not usable, or that
        has no usable band after it, is False in `known`, and no number but 0 stands there
    covariance : [batch, segment, band - 1, band - 1], mag^2: two colours that share a band have
        minus its variance in common. Rows and columns that are not known are those of the
        identity, so that a matrix can be inverted whole
    """

    colour: torch.Tensor
    known: torch.Tensor
    covariance: torch.Tensor


def segment_colours(
    flux: torch.Tensor, variance: torch.Tensor, snr_min: float = SNR_MIN
) -> SegmentColours:
    """Colours of segments with their covariances, as features of a network.

    flux, variance : [batch, segment, band] of `unpack_segments`; a band of less S/N than snr_min
        is not usable
    Errors are those of `colour_consistency_loss`: photon noise and FLOOR_MAG per colour.
    """
    good = torch.isfinite(variance) & (variance > 0) & torch.isfinite(flux)
    spread = torch.where(good, variance, 1.0)
    good = good & (torch.where(good, flux, 0.0) >= snr_min * torch.sqrt(spread))
    bright = torch.where(good, flux, 1.0)
    magnitude = torch.where(good, -_POGSON * torch.log(bright), 0.0)
    error2 = torch.where(good, (_POGSON / bright) ** 2 * spread + FLOOR_MAG**2 / 2, 0.0)
    bands = flux.shape[-1]
    # [.., k, j]: band j is the first usable one after band k
    later = torch.ones(bands, bands, dtype=torch.bool, device=flux.device).triu(1)
    after = good[..., None, :] & later
    following = after & (after.cumsum(dim=-1) == 1)
    known = (good & following.any(dim=-1))[..., :-1]
    own = torch.eye(bands, device=flux.device, dtype=flux.dtype)
    take = torch.where(known[..., None], own[:-1] - following[..., :-1, :].to(flux.dtype), 0.0)
    covariance = torch.einsum("...ki,...i,...li->...kl", take, error2, take)
    return SegmentColours(
        colour=torch.einsum("...ki,...i->...k", take, magnitude),
        known=known,
        covariance=covariance + torch.diag_embed((~known).to(flux.dtype)),
    )


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


@dataclass(frozen=True)
class Graph:
    """Nodes that are there, of all samples in one list, as torch_geometric takes them.

    sample, node : int64 [n], where each one was in [b, node]
    edges : int64 [2, e], from and to; every node has an edge to itself
    between : [e, EDGE_FEATURES]
    """

    sample: torch.Tensor
    node: torch.Tensor
    edges: torch.Tensor
    between: torch.Tensor


def deflector_centre(nodes: SystemNodes, deflects: torch.Tensor) -> torch.Tensor:
    """Centre of the deflectors, [b, 2] arcsec.

    deflects : [b, node], 0..1, how much each segment is held to be a deflector; the galaxy in
    the middle is one. With no other it is the centre; two of equal weight have theirs between
    them, about which the arcs of a double deflector lie.
    """
    weight = torch.where(nodes.segment, deflects, nodes.there.to(deflects.dtype))
    summed = (weight[..., None] * nodes.position).sum(dim=1)
    return summed / weight.sum(dim=1)[:, None]


def radii(nodes: SystemNodes, centre: torch.Tensor) -> torch.Tensor:
    """Distance of every node from the deflectors' centre, [b, node] arcsec."""
    x, y = (nodes.position - centre[:, None]).unbind(-1)
    return torch.sqrt(x * x + y * y + _SOFTENING_ARCSEC**2)


def edge_features(
    nodes: SystemNodes,
    centre: torch.Tensor,
    reddening: torch.Tensor,
    colours: bool = True,
) -> torch.Tensor:
    """What lies between every two nodes, [b, node, node, EDGE_FEATURES], symmetric.

    centre : [b, 2] of the deflectors; reddening : [b, band], see `colour_distance`
    colours : False leaves the colour distance out, as if it were never known
    Separation (in units of EDGE_ARCSEC), cosines of once and twice the angle at the centre, mean
    and difference of the radii, sqrt of the squared colour distance (log1p, in sigma), whether it
    is known, whether one of the two is the galaxy, whether they are the same node.
    """
    x, y = nodes.position.unbind(-1)
    dx, dy = x[:, :, None] - x[:, None], y[:, :, None] - y[:, None]
    separation = torch.sqrt(dx * dx + dy * dy + 1e-12)
    x, y = (nodes.position - centre[:, None]).unbind(-1)
    radius = radii(nodes, centre)
    along = x[:, :, None] * x[:, None] + y[:, :, None] * y[:, None]
    cosine = along / (radius[:, :, None] * radius[:, None])
    with torch.no_grad():
        q = colour_distance(nodes.flux, nodes.variance, reddening)
    known = torch.isfinite(q) if colours else torch.zeros_like(q, dtype=torch.bool)
    distance = torch.log1p(torch.where(known, q, 0.0).clamp(min=0).sqrt())
    galaxy = (~nodes.segment & nodes.there).to(x.dtype)
    same = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand_as(separation)
    features = [
        separation / EDGE_ARCSEC,
        cosine,
        2 * cosine * cosine - 1,
        (radius[:, :, None] + radius[:, None]) / 4,
        (radius[:, :, None] - radius[:, None]).abs() / 2,
        distance,
        known,
        torch.maximum(galaxy[:, :, None].expand_as(separation), galaxy[:, None]),
        same,
    ]
    return torch.stack([one.to(x.dtype) for one in features], dim=-1)


def flat_graph(nodes: SystemNodes, between: torch.Tensor) -> Graph:
    """The nodes that are there and the edges of at most EDGE_ARCSEC between them.

    between : [b, node, node, f] of `edge_features`
    """
    there = nodes.there
    sample, node = there.nonzero(as_tuple=True)
    number = torch.zeros(there.shape, dtype=torch.long, device=there.device)
    number[sample, node] = torch.arange(len(sample), device=there.device)
    near = there[:, :, None] & there[:, None] & (between[..., 0] <= 1)
    at, start, end = near.nonzero(as_tuple=True)
    edges = torch.stack([number[at, start], number[at, end]])
    return Graph(sample, node, edges, between[at, start, end])
