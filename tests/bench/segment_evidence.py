"""What segments and their colours give: `gat_lens` and `color_aware_lens` on simulated systems.

Run `python tests/bench/segment_evidence.py KIND [N] [EPOCHS] [FIGURE.png] [FORM ...]`. N systems
train each narrow network, 600 others judge it. KIND is `toys` (`segment_toys`: nothing but colours
tells lenses; minutes) or `sky` (`segment_sky`: simulated cutouts, an hour). Prints areas under the
ROC curve, in `sky` against either kind of non-lens too, and how far memberships (and the attention
of the graph) tell lensed segments from companions of the same system.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pinn_evidence import Survey, part_of, train
from segment_sky import draw_sky
from segment_toys import draw_toys
from sklearn.metrics import roc_auc_score

from lenshunt.config import ModelConfig, load_model_config
from lenshunt.models import LensNetwork, Normalisation, build_model
from lenshunt.provenance import ROOT

#: Of both kinds of system.
SCALE_ARCSEC = 0.168

#: Model file, what is changed of its parameters, and whether its loss terms are kept.
FORMS: dict[str, tuple[str, dict, bool]] = {
    "resnet18": ("resnet18_narrow", {}, True),
    "resnet, CNN's stem": (
        "resnet18_narrow",
        {"stem_kernel": 5, "stem_pool": False, "depths": [1, 1, 1, 1]},
        True,
    ),
    "gat_lens": ("gat_lens_narrow", {}, True),
    "gat_lens, no colour edges": ("gat_lens_narrow", {"colour_edges": False}, True),
    "color_aware_lens": ("color_aware_lens_narrow", {}, True),
    "color_aware, no colour term": ("color_aware_lens_narrow", {}, False),
    "color_aware, no feedback": ("color_aware_lens_narrow", {"feedback": False}, True),
}


@dataclass(frozen=True)
class Cutouts:
    """Samples, their kind [n], and lensed [n, segment]: 1 arcs, 0 companions, -1 neither."""

    survey: Survey
    kind: np.ndarray
    lensed: np.ndarray


def draw(name: str, n: int, seed: int) -> Cutouts:
    if name == "toys":
        batch, lensed = draw_toys(n, seed)
        kind = np.where(batch["label"].numpy() == 1, "lens", "unrelated")
    else:
        batch, kind, lensed = draw_sky(n, seed)
    return Cutouts(Survey(batch, np.zeros(n)), kind, lensed)


def network(form: str, learned: Cutouts) -> tuple[LensNetwork, ModelConfig]:
    name, changes, terms = FORMS[form]
    config = load_model_config(ROOT / "config" / "models" / f"{name}.yaml")
    changed = {"parameters": {**config.parameters, **changes}}
    if not terms:
        changed["loss_terms"] = {}
    config = config.model_copy(update=changed)
    sigma = learned.survey.batch["variance"].flatten(2).amin(dim=2).median(dim=0).values.sqrt()
    normalisation = Normalisation(
        band_sigma_njy=tuple(sigma.tolist()),
        size_px=learned.survey.batch["image"].shape[-1],
        pixel_scale_arcsec=SCALE_ARCSEC,
    )
    torch.manual_seed(0)
    return build_model(config, normalisation), config


@torch.inference_mode()
def judged(model: LensNetwork, test: Cutouts) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits [n], and membership or attention of every segment [n, segment] where there is one."""
    model.eval()
    rows = torch.arange(len(test.kind)).split(100)
    found = [model(part_of(test.survey.batch, part)) for part in rows]
    logit = torch.cat([one.logit for one in found]).numpy()
    for name, first in (("membership", 0), ("attention", 1)):
        if name in found[0].internals:
            return logit, torch.cat([p.internals[name][:, first:] for p in found]).numpy()
    return logit, None


def row_of(form: str, logit: np.ndarray, weight: np.ndarray | None, test: Cutouts) -> str:
    lens = test.kind == "lens"
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(lens), len(lens)) for _ in range(200)]
    error = np.std([roc_auc_score(lens[d], logit[d]) for d in draws])
    parts = [roc_auc_score(lens, logit)]
    for other in sorted(set(test.kind) - {"lens"}):
        chosen = lens | (test.kind == other)
        parts.append(roc_auc_score(lens[chosen], logit[chosen]))
    text = f"{form:28s} " + "   ".join(f"{part:.3f}" for part in parts) + f"   +- {error:.3f}"
    if weight is None:
        return text
    both = lens & (test.lensed == 1).any(axis=1) & (test.lensed == 0).any(axis=1)
    known = both[:, None] & (test.lensed >= 0)
    truth, value = test.lensed[known], weight[known]
    area = roc_auc_score(truth, value)
    means = value[truth == 1].mean(), value[truth == 0].mean()
    return f"{text}   {area:.3f}  ({means[0]:.2f} / {means[1]:.2f}, {both.sum()} lenses)"


def draw_figure(weights: dict[str, np.ndarray], test: Cutouts, path: Path) -> None:
    """Lenses with their segments, marked by truth and by membership (or attention)."""
    import matplotlib.pyplot as plt

    image = test.survey.batch["image"].numpy()
    packed = test.survey.batch["segments"].numpy()
    both = (test.kind == "lens") & (test.lensed == 1).any(axis=1) & (test.lensed == 0).any(axis=1)
    chosen = np.flatnonzero(both)[:6]
    half = image.shape[-1] * SCALE_ARCSEC / 2
    figure, axes = plt.subplots(
        len(weights), len(chosen), figsize=(2.5 * len(chosen), 2.7 * len(weights)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, (form, weight) in zip(axes, weights.items(), strict=True):
        for axis, i in zip(line, chosen, strict=True):
            rgb = np.arcsinh(12 * image[i, [2, 1, 0]] / image[i].max()).transpose(1, 2, 0)
            axis.imshow(
                np.clip(rgb / 2.5 + 0.05, 0, 1), origin="lower", extent=(-half, half, -half, half)
            )
            for j in np.flatnonzero(packed[i, :, -3] > 0):
                colour = {1: "tab:cyan", 0: "tab:orange", -1: "0.6"}[int(test.lensed[i, j])]
                x, y = packed[i, j, 10:12]
                axis.plot(x, y, "o", mfc="none", mec=colour, ms=12)
                axis.text(x + 0.5, y + 0.3, f"{weight[i, j]:.2f}", color=colour, fontsize=8)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(form, fontsize=8)
    figure.suptitle(
        "cyan: lensed, orange: companion, grey: neither; number: membership or attention"
    )
    figure.savefig(path, dpi=80)


def main() -> None:
    torch.set_num_threads(1)
    name = sys.argv[1]
    n, epochs = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((2, 2000), (3, 8)))
    forms = sys.argv[5:] or list(FORMS)
    learned, test = draw(name, n, 1), draw(name, 600, 2)
    kinds = sorted(set(test.kind) - {"lens"})
    print(f"{name}, {n}, {epochs} epochs; ROC areas: all, against {', '.join(kinds)}; lensed")
    print("segments against companions by membership or attention (its means); training")
    weights = {}
    for form in forms:
        model, config = network(form, learned)
        seconds = train(model, config.loss_terms, learned.survey, epochs, config)
        logit, weight = judged(model, test)
        print(f"{row_of(form, logit, weight, test)}   {seconds:.0f} s", flush=True)
        if weight is not None:
            weights[form] = weight
    if len(sys.argv) > 4 and weights:
        draw_figure(weights, test, Path(sys.argv[4]))


if __name__ == "__main__":
    main()
