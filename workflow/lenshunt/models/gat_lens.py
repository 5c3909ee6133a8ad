"""Graph attention over the segments of a system and the galaxy in its middle."""

from collections.abc import Sequence

import torch
from torch import nn
from torch_geometric.nn import GATv2Conv

from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.lens_dust import LensDust
from lenshunt.models.segment_graph import (
    EDGE_FEATURES,
    Graph,
    SystemNodes,
    deflector_centre,
    edge_features,
    feature_count,
    flat_graph,
    node_features,
    radii,
    system_nodes,
)
from lenshunt.models.segment_patches import PATCH_CNN, PatchBackbone, PatchNetwork, segment_patches


class GraphLayers(nn.Module):
    """Pre-norm layers of GATv2 attention (Brody et al. 2022, arXiv:2105.14491) with residuals."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; change one")
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.attention = nn.ModuleList(
            # every node has an edge to itself already, with features of its own
            GATv2Conv(
                width, width // heads, heads=heads, dropout=dropout, edge_dim=EDGE_FEATURES,
                add_self_loops=False,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.mixing = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(),
                nn.Linear(2 * width, width),
            )
            for _ in range(layers)
        )  # fmt: skip

    def forward(self, hidden: torch.Tensor, graph: Graph) -> torch.Tensor:
        """hidden : [n, width], of the nodes of `graph`."""
        for norm, attention, mixing in zip(self.norms, self.attention, self.mixing, strict=True):
            hidden = hidden + attention(norm(hidden), graph.edges, graph.between)
            hidden = hidden + mixing(hidden)
        return hidden


class GatLens(LensNetwork):
    """Nodes: segments with flux, colours, shape, radius and a patch of the image; and the galaxy.

    The galaxy's patch is the whole cutout, seen by the same CNN, so that a system without segments
    is a graph of one node and still an image. Nodes within 5 arcsec see each other, with what
    `edge_features` says. Positions enter as distances and as angles between nodes only, and
    patches are turned towards the deflector: beside the whole cutout nothing here knows an up.

    Several deflectors: segments can be held to be deflectors themselves (companions of the galaxy
    are); radii and angles are taken about the common centre. At first the galaxy is the only one.

    The pooled representation is the galaxy's node, an attention-weighted mean of all nodes, and
    the CNN's view of the cutout. In pretraining (`auxiliary` values to regress) there are no
    segments: the CNN alone is trained, on whole cutouts.

    backbone : the CNN; patch_arcsec : side of a patch
    width, layers, heads, dropout : of the graph attention
    colour_edges : whether edges carry the colour distance
    """

    reference = "Brody et al. 2022, ICLR (arXiv:2105.14491)"
    needs_conditions = True
    needs_segments = True
    compiles = False
    diagnostics = ("deflectors",)
    band_sigma: torch.Tensor

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: PatchBackbone = PATCH_CNN,
        patch_arcsec: float = 2.4,
        width: int = 128,
        layers: int = 4,
        heads: int = 8,
        dropout: float = 0.0,
        colour_edges: bool = True,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = PatchNetwork(self.input.channels, backbone)
        self.reads_segments = not auxiliary
        features = pooled = backbone.widths[-1]
        if self.reads_segments:
            self.pixel_scale = normalisation.pixel_scale_arcsec
            self.patch_px = max(round(patch_arcsec / self.pixel_scale), 4)
            self.colour_edges = colour_edges
            self.dust = LensDust(normalisation)
            known = feature_count(len(normalisation.bands))
            self.deflects = nn.Linear(known, 1)
            # a companion is seldom a deflector: weight 0.02 each at first
            nn.init.zeros_(self.deflects.weight)
            nn.init.constant_(self.deflects.bias, -4.0)
            self.node = nn.Sequential(
                nn.Linear(known + features, width), nn.SiLU(), nn.Linear(width, width)
            )
            self.graph = GraphLayers(width, layers, heads, dropout)
            self.last = nn.LayerNorm(width)
            self.attention = nn.Linear(width, 1)
            pooled += 2 * width
        self.heads = Heads(pooled, dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        """`internals`: attention [b, node], the galaxy first, of the pooling; 0 in the padding."""
        channels = self.input(batch)
        seen = self.backbone(channels)
        if not self.reads_segments:
            return self.heads(seen)
        nodes = system_nodes(batch, self.pixel_scale)
        centre, radius = self.centre_and_radii(nodes)
        patches = self._patches(channels, nodes, centre, seen)
        with torch.autocast(channels.device.type, enabled=False):
            reddening = self.dust(batch)
            pooled, attention = self.graph_part(nodes, patches.float(), centre, radius, reddening)
        found = self.heads(torch.cat([seen.float(), pooled], dim=1))
        return Prediction(
            found.logit, found.features, None, found.auxiliary, {"attention": attention}
        )

    def centre_and_radii(self, nodes: SystemNodes) -> tuple[torch.Tensor, torch.Tensor]:
        """Centre of the deflectors [b, 2] and radii of the nodes [b, node], arcsec, float32."""
        with torch.autocast(nodes.flux.device.type, enabled=False):
            middle = torch.zeros_like(nodes.position[:, 0])
            alone = node_features(nodes, radii(nodes, middle), self.input.band_sigma)
            deflects = torch.sigmoid(self.deflects(alone)[..., 0])
            centre = deflector_centre(nodes, deflects)
            return centre, radii(nodes, centre)

    def _patches(
        self, channels: torch.Tensor, nodes: SystemNodes, centre: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        """What the CNN makes of each node's patch, [b, node, feature]; the galaxy's is `seen`."""
        sample, node = nodes.segment.nonzero(as_tuple=True)
        patches = segment_patches(
            channels, sample, nodes.position[sample, node], centre[sample], self.patch_px,
            self.pixel_scale,
        )  # fmt: skip
        found = seen.new_zeros(*nodes.there.shape, seen.shape[1])
        found[:, 0] = seen
        return found.index_put((sample, node), self.backbone(patches).to(seen.dtype))

    def graph_part(
        self,
        nodes: SystemNodes,
        patches: torch.Tensor,
        centre: torch.Tensor,
        radius: torch.Tensor,
        reddening: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The galaxy's node and the mean of all nodes [b, 2 width], and its attention [b, node].

        patches : [b, node, feature]; centre [b, 2], radius [b, node], reddening [b, band]
        """
        between = edge_features(nodes, centre, reddening, self.colour_edges)
        graph = flat_graph(nodes, between)
        alone = node_features(nodes, radius, self.input.band_sigma)
        start = self.node(torch.cat([alone, patches], dim=-1)[graph.sample, graph.node])
        last = self.last(self.graph(start, graph))
        hidden = last.new_zeros(*nodes.there.shape, last.shape[1])
        hidden = hidden.index_put((graph.sample, graph.node), last)
        score = self.attention(hidden)[..., 0].masked_fill(~nodes.there, -torch.inf)
        attention = torch.softmax(score, dim=1)
        mean = (attention[..., None] * hidden).sum(dim=1)
        return torch.cat([hidden[:, 0], mean], dim=1), attention
