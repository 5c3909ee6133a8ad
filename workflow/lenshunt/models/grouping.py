"""Which segments are images of one source: soft memberships, and the group that they make."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lenshunt.lensing import group_distance
from lenshunt.models.segment_graph import COLOUR_DISTANCE, COLOUR_KNOWN, EDGE_FEATURES, SystemNodes

#: Statistics of a group: `group_statistics`.
STATISTICS = 7
#: A group of less than this many members, as the sum of memberships, has no colour distance.
_MEMBERS_MIN = 1e-3
#: Largest |logit| of a membership: beyond it the sigmoid has no gradient by which a segment that
#: was thrown out while the head knew nothing could come back. Memberships are 0.02 to 0.98.
_LOGIT_MAX = 4.0
#: Numbers of `nearest_colours`.
_NEAREST = 3
#: Segments nearer than this, in Einstein radii, are images of the source: those of an isothermal
#: lens lie at theta_E + beta and theta_E - beta, and there are two for an offset beta < theta_E.
IMAGES_WITHIN = 2.0
#: Segments beyond this many Einstein radii are none. What lies between may be the far end of an
#: arc that the subtraction of the lens's light has left, or a stranger: it teaches nothing. Of the
#: demo's segments nine in ten within the one are lensed light, and one in forty beyond the other.
STRANGERS_BEYOND = 2.8


class GroupingHead(nn.Module):
    """Membership of each segment from its features, those of the image, and the other segments.

    One layer of attention between the nodes of a system, the galaxy among them, biased by what
    lies between them (`edge_features`: separations, angles, colour distance), then a logit each.
    Each node is told how near the nearest colours of other segments are: two that agree are the
    least that makes a group.
    """

    def __init__(self, known: int, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"group_width {width} is not a multiple of group_heads {heads}; change one"
            )
        self.heads = heads
        self.embed = nn.Sequential(
            nn.Linear(known + _NEAREST, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.bias = nn.Linear(EDGE_FEATURES, heads, bias=False)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.last = nn.LayerNorm(width)
        self.logit = nn.Linear(width, 1)

    def forward(
        self, features: torch.Tensor, between: torch.Tensor, nodes: SystemNodes
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden [b, node, width] and memberships [b, node]: 0 for the galaxy and the padding.

        features : [b, node, known]; between : [b, node, node, EDGE_FEATURES]
        """
        hidden = self.embed(torch.cat([features, nearest_colours(between, nodes)], dim=-1))
        normed = self.norm(hidden)
        query, key, value = (
            layer(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        bias = self.bias(between).permute(0, 3, 1, 2)
        bias = bias.masked_fill(~nodes.there[:, None, None], -torch.inf)
        score = query @ key.mT / query.shape[-1] ** 0.5 + bias
        seen = torch.softmax(score, dim=-1) @ value
        hidden = hidden + seen.transpose(1, 2).flatten(2)
        hidden = self.last(hidden + self.mix(hidden))
        logit = self.logit(hidden)[..., 0]
        # a soft bound whose own gradient falls off slowly
        member = torch.sigmoid(_LOGIT_MAX * logit / (_LOGIT_MAX + logit.abs()))
        return hidden, torch.where(nodes.segment, member, 0.0)


def nearest_colours(between: torch.Tensor, nodes: SystemNodes) -> torch.Tensor:
    """Colour distances of each node from the two nearest other segments, [b, node, _NEAREST].

    As exp(-sigma / 2): 1 for equal colours, 0 for strangers and where there is none that is known;
    then whether there is one.
    """
    size = between.shape[1]
    other = ~torch.eye(size, dtype=torch.bool, device=between.device)
    known = (between[..., COLOUR_KNOWN] > 0) & nodes.segment[:, None] & other
    likeness = torch.exp(-torch.expm1(between[..., COLOUR_DISTANCE]) / 2)
    likeness = torch.where(known, likeness, 0.0)
    beside = functional.pad(likeness, (0, 2)).topk(2, dim=-1).values
    return torch.cat([beside, known.any(dim=-1, keepdim=True)], dim=-1)


@dataclass(frozen=True)
class Group:
    """What the group of each sample looks like.

    distance : [b] mean sqrt(q) of the members, in sigma; NaN with fewer than two usable segments
    statistics : [b, STATISTICS], see `group_statistics`
    """

    distance: torch.Tensor
    statistics: torch.Tensor


def group_statistics(
    nodes: SystemNodes, member: torch.Tensor, radius: torch.Tensor, reddening: torch.Tensor
) -> Group:
    """Numbers of the group for the classifier, and its colour distance.

    member, radius : [b, node]; reddening : [b, band]
    Statistics: sum of memberships, mean colour distance (log1p of sigmas) and whether it is known,
    mean radius and its scatter over the group, sum of sqrt of S/N, and the colour distance of the
    most deviant member times its membership.
    """
    with torch.no_grad():
        evidence = member.masked_fill(~nodes.segment, 0.0)
        # the galaxy is no image of the source
        variance = torch.where(nodes.segment[..., None], nodes.variance, torch.inf)
        q = group_distance(nodes.flux, variance, evidence, reddening).to(member.dtype)
    usable = torch.isfinite(q)
    sigma = torch.where(usable, q, 0.0).clamp(min=0).sqrt()
    weight = torch.where(usable, member, 0.0)
    total = weight.sum(dim=1)
    known = total > _MEMBERS_MIN
    mean = (weight * sigma).sum(dim=1) / total.clamp(min=_MEMBERS_MIN)
    count = member.sum(dim=1).clamp(min=_MEMBERS_MIN)
    middle = (member * radius).sum(dim=1) / count
    scatter = (member * (radius - middle[:, None]).abs()).sum(dim=1) / count
    bright = (member * nodes.snr.clamp(min=0).sqrt()).sum(dim=1) / 10
    deviant = (weight * torch.log1p(sigma)).amax(dim=1)
    log_mean = torch.where(known, torch.log1p(mean), 0.0)
    statistics = torch.stack(
        [member.sum(dim=1), log_mean, known.to(mean.dtype), middle / 2, scatter, bright, deviant],
        dim=1,
    )
    return Group(torch.where(known, mean, torch.nan).detach(), statistics)


def image_truth(radius: torch.Tensor, theta_e: torch.Tensor) -> torch.Tensor:
    """1 for segments that are images of the source, 0 for strangers, NaN where that is not known.

    radius : [b, segment] arcsec from the lens; theta_e : [b] arcsec, NaN where unknown
    By the distance alone, in Einstein radii: IMAGES_WITHIN, STRANGERS_BEYOND.
    """
    relative = radius / torch.where(theta_e > 0, theta_e, torch.nan)[:, None]
    far = torch.where(relative > STRANGERS_BEYOND, 0.0, torch.nan)
    return torch.where(relative < IMAGES_WITHIN, 1.0, far)


def grouping_term(member: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of memberships, [b]; 0 where nothing is known of a sample's segments.

    member : [b, segment]; truth : [b, segment] 1, 0 or NaN, of `image_truth`; NaN in the padding
    Images and strangers of a sample count the same, as the means over either: a lens has as many
    strangers as its surroundings give it, and they are no reason to take its arcs for one of them.
    """
    logits = torch.logit(member.float(), eps=1e-6)
    known = torch.isfinite(truth)
    loss = functional.binary_cross_entropy_with_logits(
        logits, torch.where(known, truth, 0.0), reduction="none"
    )
    total = torch.zeros_like(loss[:, 0])
    for value in (0.0, 1.0):
        kind = truth == value
        total = total + torch.where(kind, loss, 0.0).sum(dim=1) / kind.sum(dim=1).clamp(min=1)
    return total / 2
