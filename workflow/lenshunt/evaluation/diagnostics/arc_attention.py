"""Whether patches along one arc attend to each other, and the learned bias that lets them.

Arcs of known place are painted onto non-lenses of the test split. Attention from a patch on the arc
to the others on it is compared with that to as many patches off it, at the same radius, and as far
away as well: networks look at what is near whatever it shows. Queries off the arc, as far from the
same patches on it, tell whether all patches look at what is bright. The same patches without the
arc tell geometry from content, an untrained network what the start gives.
"""

from collections.abc import Iterator

import numpy as np
import torch

from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.attention_maps import attention_masses, transformer_of
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    device_of,
    mean_interval,
    share_interval,
    test_batches,
)
from lenshunt.evaluation.diagnostics.painted_arcs import (
    CONTROLS,
    PatchGrid,
    draw_arcs,
    painted,
    pair_weights,
)
from lenshunt.evaluation.diagnostics.sample import chosen_rows
from lenshunt.models import Batch, LensNetwork, build_model
from lenshunt.models.arc_attention import ArcBias, geometry_tables, pair_features
from lenshunt.training.loading import Loader

#: Images that arcs are painted onto.
HOSTS = 250
RADIUS_BINS = 4
#: Points of the curves of the bias.
STEPS = 41
_RATIO = "attention on / off the arc"
_FROM = "attention of queries on / off the arc"
#: A third control: queries off the arc, keys on it, radius and distance as in the second one.
QUERIES = "queries off the arc"
_BIAS = "bias of attention scores"
SAMPLE = "random non-lenses of the test split, arcs painted onto them"
BASELINE = False
PANELS: dict[str, Panel] = {
    "mass": Panel("layer", "attention per patch / even spread", "line", reference=1.0),
    "radius": Panel(f"layer ({CONTROLS[0]})", _RATIO, "line", reference=1.0),
    "distance": Panel(f"layer ({CONTROLS[1]})", _RATIO, "line", reference=1.0),
    "queries": Panel("layer (keys on the arc)", _FROM, "line", reference=1.0),
    "einstein": Panel("Einstein radius (arcsec)", f"{_RATIO}, all layers", "line", reference=1.0),
    "bias_radial": Panel("radius of key - query (arcsec)", _BIAS, "line", reference=0.0),
    "bias_tangential": Panel("separation along circle (arcsec)", _BIAS, "line", reference=0.0),
}
_CONTROL_PANELS = {CONTROLS[0]: "radius", CONTROLS[1]: "distance", QUERIES: "queries"}
#: Networks and images whose attention is compared.
PAINTED, UNPAINTED, FRESH = "trained", "trained, arc not painted", "untrained"


def ratio(values: np.ndarray) -> float:
    """Attention on arcs over that off them, of means over lenses; values : [n, 2]."""
    return float(values[:, 0].mean() / values[:, 1].mean())


def host_batches(test: Loader, device: torch.device, seed: int) -> Iterator[Batch]:
    """Up to HOSTS random non-lenses of the test samples: the first ones are of one data set."""
    chosen = torch.from_numpy(chosen_rows(test.table["label"].to_numpy(), HOSTS, seed)).to(device)
    for batch in test_batches(test, device):
        kept = torch.isin(batch["row"].to(device), chosen) & (batch["label"] == 0)
        if kept.any():
            yield {name: values[kept] for name, values in batch.items()}  # type: ignore


def measure_masses(
    subject: Trained, fresh: LensNetwork, test: Loader, seed: int
) -> tuple[dict[tuple[str, str], np.ndarray], np.ndarray]:
    """Attention on and off the arcs, [2, layer, n, head], by (what, control); radii [n], arcsec.

    NaN for a lens without a control.
    """
    rng = np.random.default_rng(seed)
    grid = PatchGrid.of(subject.normalisation, _patch_px(subject.network))
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    radii = []
    for host in host_batches(test, device_of(subject.network), seed):
        arcs, radius = draw_arcs(rng, len(host["image"]), subject.normalisation, grid.patch_px)
        radii.append(radius)
        lens = painted(rng, host, arcs)
        cases = {
            PAINTED: (subject.network, lens),
            UNPAINTED: (subject.network, host),
            FRESH: (fresh, lens),
        }
        pairs = {control: pair_weights(rng, arcs, grid, control) for control in CONTROLS}
        # query and key exchanged: the key is on the arc in both sets, the query in one
        pairs[QUERIES] = pairs[CONTROLS[1]].transpose(2, 3)
        both = torch.cat(list(pairs.values()))
        for name, (network, batch) in cases.items():
            masses = attention_masses(network, batch, both).cpu().numpy()
            for number, control in enumerate(pairs):
                found.setdefault((name, control), []).append(masses[2 * number : 2 * number + 2])
    joined = {key: np.concatenate(parts, axis=2) for key, parts in found.items()}
    return joined, np.concatenate(radii)


def _patch_px(network: LensNetwork) -> int:
    return int(transformer_of(network).config.patch_size)


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """Attention per layer, means over heads; the bias over geometry.

    The baseline plays no part: what has no attention over patches has none along arcs.
    Numbers: the ratio over all layers and heads for each control, in which share of the lenses it
    exceeds 1; `content`, the ratio with the arc over that without; and the spread of the bias.
    """
    device = device_of(subject.network)
    fresh = build_model(subject.config, subject.normalisation).to(device).eval()
    found, radius = measure_masses(subject, fresh, test, seed)
    curves, numbers = Curves(), {}
    for (name, control), values in found.items():
        _add_layers(curves, name, control, values.mean(axis=3), seed)
        _add_radii(curves, name, control, values.mean(axis=(1, 3)), radius, seed)
        numbers.update(_numbers(name, control, values.mean(axis=(1, 3)), seed))
    for control in (*CONTROLS, QUERIES):
        both = [found[name, control].mean(axis=(1, 3)) for name in (PAINTED, UNPAINTED)]
        numbers.update(_content(control, np.concatenate(both), seed))
    numbers["bias_rms"] = _add_bias(curves, subject, float(np.median(radius)))
    numbers["einstein_radius_min"], numbers["einstein_radius_max"] = radius.min(), radius.max()
    told = {name: float(value) for name, value in numbers.items()}
    return Diagnostic(curves.table(), told, {"non-lenses": len(radius)})


def _of_lenses(values: np.ndarray) -> np.ndarray:
    """[2, n] -> [k, 2], the lenses that have a control."""
    return values[:, np.isfinite(values).all(axis=0)].T


def _add_layers(curves: Curves, name: str, control: str, values: np.ndarray, seed: int) -> None:
    """values : [2, layer, n]"""
    panel = _CONTROL_PANELS[control]
    for layer in range(values.shape[1]):
        pairs = _of_lenses(values[:, layer])
        if not len(pairs):
            continue
        interval = bootstrap_interval(pairs, ratio, seed)
        curves.add(panel, name, layer + 1, ratio(pairs), interval, len(pairs))
        if name == PAINTED and control == CONTROLS[1]:
            for side, where in enumerate(("on the arc", "off the arc")):
                curves.add("mass", where, layer + 1, *mean_interval(pairs[:, side], seed))


def _add_radii(
    curves: Curves, name: str, control: str, values: np.ndarray, radius: np.ndarray, seed: int
) -> None:
    """Ratio in bins of the Einstein radius with equally many lenses; values : [2, n]"""
    if control != CONTROLS[1]:
        return
    known = np.flatnonzero(np.isfinite(values).all(axis=0))
    order = known[np.argsort(radius[known], kind="stable")]
    for rows in np.array_split(order, RADIUS_BINS):
        if len(rows) > 1:
            pairs = values[:, rows].T
            middle = float(np.median(radius[rows]))
            curves.add(
                "einstein",
                name,
                middle,
                ratio(pairs),
                bootstrap_interval(pairs, ratio, seed),
                len(rows),
            )


def _content(control: str, values: np.ndarray, seed: int) -> dict[str, float]:
    """Ratio with the arc over that of the same pairs without it: what is content, not geometry.

    values : [4, n], on and off the arc with it, then without; resampled together
    """

    def contrast(rows: np.ndarray) -> float:
        return ratio(rows[:, :2]) / ratio(rows[:, 2:])

    pairs, key = _of_lenses(values), f"content_{control.replace(' ', '_')}"
    if not len(pairs):
        return {}
    low, high = bootstrap_interval(pairs, contrast, seed)
    return {key: contrast(pairs), f"{key}_low": low, f"{key}_high": high}


def _numbers(name: str, control: str, values: np.ndarray, seed: int) -> dict[str, float]:
    """values : [2, n]"""
    pairs = _of_lenses(values)
    key = f"{name}, {control}".replace(",", "").replace(" ", "_")
    if not len(pairs):
        return {f"{key}_lenses": 0.0}
    low, high = bootstrap_interval(pairs, ratio, seed)
    share, (share_low, share_high), n = share_interval(pairs[:, 0] > pairs[:, 1])
    return {
        f"{key}_ratio": ratio(pairs),
        f"{key}_ratio_low": low,
        f"{key}_ratio_high": high,
        f"{key}_preferred": share,
        f"{key}_preferred_low": share_low,
        f"{key}_preferred_high": share_high,
        f"{key}_lenses": float(n),
    }


@torch.inference_mode()
def _add_bias(curves: Curves, subject: Trained, radius: float) -> float:
    """The bias for a query at `radius` arcsec, less its mean over all patches; returns its rms.

    Of each layer the head whose bias varies most: a mean over heads hides those of opposite sign.
    Attention does not change where a constant is added to all keys of a query. NaN, and no curves,
    for a network that was made without a bias.
    """
    arc_bias: ArcBias | None = getattr(subject.network.backbone, "arc_bias", None)
    if arc_bias is None:
        return float("nan")
    device = device_of(subject.network)
    grid = PatchGrid.of(subject.normalisation, _patch_px(subject.network))
    _, table = geometry_tables(grid.side, grid.side, grid.patch_arcsec, device)
    whole = arc_bias(table)[:, :, 1:, 1:]
    level = whole.mean(dim=(2, 3))
    strongest = (whole - level[:, :, None, None]).square().mean(dim=(2, 3)).argmax(dim=1).tolist()
    half = 0.5 * grid.side * grid.patch_arcsec
    radial = np.linspace(-radius, half - radius, STEPS)
    angle = np.linspace(0.0, np.pi, STEPS)
    places = {
        "bias_radial": (radial, np.stack([radius + radial, np.zeros(STEPS)], axis=1)),
        "bias_tangential": (
            radius * angle,
            radius * np.stack([np.cos(angle), np.sin(angle)], axis=1),
        ),
    }
    for panel, (xs, keys) in places.items():
        points = torch.tensor(np.concatenate([[[radius, 0.0]], keys]))
        features = pair_features(points).float().to(device)
        bias = (arc_bias(features)[:, :, 1, 2:] - level[:, :, None]).cpu().numpy()
        for layer, head in enumerate(strongest):
            for x, value in zip(xs, bias[layer, head], strict=True):
                curves.add(panel, f"layer {layer + 1}, head {head + 1}", x, float(value), n=1)
    return float((whole - level[:, :, None, None]).square().mean().sqrt())
