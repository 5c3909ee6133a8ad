"""ResNet with a grouping head: segments that are images of one source have one colour."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from lenshunt.images.segments import POINT_LIKE
from lenshunt.lensing import colour_consistency_loss, colour_weight
from lenshunt.models.grouping import (
    STATISTICS,
    GroupingHead,
    group_statistics,
    grouping_term,
    image_truth,
)
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import (
    Batch,
    LensNetwork,
    Normalisation,
    Prediction,
    theta_e_for,
)
from lenshunt.models.lens_dust import LensDust
from lenshunt.models.resnet import RESNET18, ResNetBackbone, resnet_backbone, stage_maps
from lenshunt.models.segment_graph import (
    SystemNodes,
    edge_features,
    feature_count,
    node_features,
    radii,
    system_nodes,
)
from lenshunt.models.segment_patches import values_at


class ColorAwareLens(LensNetwork):
    """ResNet-18 by default; its map at each segment and the segment's own numbers decide on w_s.

    The loss term `colour` is `colour_consistency_loss` of the memberships w_s: a segment joins
    what agrees with its colour up to dust of the lens, and leaves what does not. Its weight is
    lower for point-like segments (`colour_weight`): quasar images are subject to microlensing and
    time delays. No catalogue tells these two risks of an object, so that they are 0 beside that.

    Colours alone do not tell images from strangers where they are faint or alike. The loss term
    `grouping` teaches by simulated lenses of known Einstein radius where images lie
    (`grouping_term`). Non-lenses teach it nothing: a membership says which segments were images
    if this were a lens, and whether it is one is the classifier's to say. The memberships have
    no other teacher: the classifier reads the image, the mean of the members, and the statistics
    of the group, its colour distance among them, without a gradient to the memberships.

    In pretraining (`auxiliary` values to regress) there are no segments, and only the backbone is
    there.

    group_width, group_heads : of the grouping head
    feedback : whether the classifier is told about the group
    """

    reference = "Cardelli, Clayton & Mathis 1989, ApJ 345, 245 (its reddening)"
    needs_conditions = True
    needs_segments = True
    compiles = False
    diagnostics = ("colour",)
    scores = ("colour_distance", "group_members")
    terms = ("colour", "grouping")

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: ResNetBackbone = RESNET18,
        dropout: float = 0.0,
        group_width: int = 128,
        group_heads: int = 4,
        feedback: bool = True,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = resnet_backbone(self.input.channels, backbone)
        channels = backbone.channels
        self.reads_segments = not auxiliary
        pooled = channels[-1]
        if self.reads_segments:
            self.pixel_scale = normalisation.pixel_scale_arcsec
            self.stride = backbone.stem_stride * (2 if backbone.stem_pool else 1)
            self.dust = LensDust(normalisation)
            self.local, self.whole = (
                # beside a segment's own numbers, which are of order 1
                nn.Sequential(nn.Linear(width, group_width), nn.LayerNorm(group_width))
                for width in (channels[0], channels[-1])
            )
            known = feature_count(len(normalisation.bands)) + 2 * group_width
            self.grouping = GroupingHead(known, group_width, group_heads)
            self.feedback = feedback
            if feedback:
                self.nobody = nn.Parameter(torch.randn(group_width) * 0.1)
                self.no_statistics = nn.Parameter(torch.randn(STATISTICS) * 0.1)
                self.told = nn.Sequential(
                    nn.Linear(group_width + STATISTICS, group_width), nn.SiLU(),
                    nn.Linear(group_width, group_width), nn.SiLU(),
                )  # fmt: skip
                pooled += group_width
        self.heads = Heads(pooled, dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        """`auxiliary`: colour_distance, mean of the members in sigma, NaN with fewer than two
        segments of known colours; group_members, sum of the memberships.

        `internals`: membership [b, segment], radius in arcsec (NaN in the padding), flux and
        variance, as the loss terms take them.
        """
        channels = self.input(batch)
        maps = stage_maps(self.backbone, channels)
        pooled = self.backbone.pooler(maps[-1]).flatten(1)
        if not self.reads_segments:
            return self.heads(pooled)
        nodes = system_nodes(batch, self.pixel_scale)
        with torch.autocast(pooled.device.type, enabled=False):
            image = pooled.float()
            place = nodes.position / self.pixel_scale + (batch["image"].shape[-1] - 1) / 2
            local = self.local(values_at(maps[0].float(), place / self.stride))
            member, told, auxiliary = self._group(nodes, local, image, self.dust(batch))
            image = torch.cat([image, *told], dim=1)
        internals = {"membership": member[:, 1:], "psf_likeness": nodes.psf_likeness[:, 1:]}
        internals["flux"], internals["variance"] = nodes.flux[:, 1:], nodes.variance[:, 1:]
        radius = torch.hypot(*nodes.position[:, 1:].unbind(-1))
        internals["radius"] = radius.masked_fill(~nodes.there[:, 1:], torch.nan)
        return replace(self.heads(image), auxiliary=auxiliary, internals=internals)

    def _group(
        self, nodes: SystemNodes, local: torch.Tensor, image: torch.Tensor, reddening: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor], dict[str, torch.Tensor]]:
        """Memberships [b, node], what the classifier is told (one [b, group_width], or nothing
        without feedback), and scores [b].

        local : [b, node, group_width], of the map at each node; image : [b, feature]
        """
        middle = torch.zeros_like(nodes.position[:, 0])
        radius = radii(nodes, middle)
        between = edge_features(nodes, middle, reddening)
        whole = self.whole(image)[:, None].expand_as(local)
        alone = node_features(nodes, radius, self.input.band_sigma)
        hidden, member = self.grouping(torch.cat([alone, local, whole], dim=-1), between, nodes)
        # what the classifier is told is measured: it bends no membership into a signal of its own
        seen = member.detach()
        group = group_statistics(nodes, seen, radius, reddening)
        total = seen.sum(dim=1, keepdim=True)
        scores = {"colour_distance": group.distance, "group_members": total[:, 0]}
        if not self.feedback:
            return member, [], scores
        # with no members the mean is a vector of its own, not a zero, and so are the statistics
        mean = ((seen[..., None] * hidden).sum(dim=1) + 0.1 * self.nobody) / (total + 0.1)
        some = nodes.segment.any(dim=1, keepdim=True)
        statistics = torch.where(some, group.statistics, self.no_statistics)
        return member, [self.told(torch.cat([mean, statistics], dim=1))], scores

    def loss_terms(
        self, prediction: Prediction, batch: Batch, names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """colour: `colour_consistency_loss` of the memberships, 0 with fewer than two segments.

        grouping: `grouping_term` against the places of images of simulated lenses; 0 where the
        true Einstein radius is not known. Raises ValueError for a batch without column theta_e.
        """
        with torch.autocast(batch["image"].device.type, enabled=False):
            return {name: self._term(name, prediction.internals, batch) for name in names}

    def _term(self, name: str, known: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        if name == "colour":
            nothing = torch.zeros_like(known["psf_likeness"])
            weight = colour_weight(known["psf_likeness"] > POINT_LIKE, nothing, nothing)
            return colour_consistency_loss(
                known["flux"], known["variance"], known["membership"], self.dust(batch), weight
            )
        truth = image_truth(known["radius"], theta_e_for(batch, name))
        return grouping_term(known["membership"], truth)
