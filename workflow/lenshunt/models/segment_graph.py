"""The graph of a system: which nodes see each other, and what lies between them.

Everything is independent of where up is: separations, radii, and angles at the deflector between
two nodes, never the position angle of one. It is the same for the mirror image too.
"""

from dataclasses import dataclass

import torch

from lenshunt.lensing import colour_distance
from lenshunt.models.segment_nodes import SystemNodes

#: Nodes farther apart than this, in arcsec, do not see each other.
EDGE_ARCSEC = 5.0
#: Features of an edge: `edge_features`.
EDGE_FEATURES = 9
#: Which of them are the colour distance, log1p of sigmas, and whether it is known.
COLOUR_DISTANCE, COLOUR_KNOWN = 5, 6
#: Nearer to the deflector than this, in arcsec, a position angle says nothing.
_SOFTENING_ARCSEC = 0.05


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
