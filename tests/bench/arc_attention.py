"""What arc-aware attention changes: ROC areas against a plain ViT, and attention along arcs.

Run `python tests/bench/arc_attention.py [N] [EPOCHS] [SEEDS] [FIGURE.png]`. A plain ViT, one with
positions in arcsec, and one with the bias along arcs as well, of the same size, learn from the
same N simulated images in the same order: lenses, and lens galaxies with companions at the radii
of arcs. 1,000 others tell the area under the ROC curve. In lenses, the attention from the
brightest patch of an arc to the other patches of the arc is compared with that to as many
patches off the arc: at the same radius, at the same distance from the query, and at both. Told
are attention per patch in units of an even spread, on the arc / on the control, and in which
share of the lenses the arc gets more.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from arc_patches import (
    ON_ARC,
    PATCH_PX,
    Comparison,
    attention,
    comparisons,
    draw_images,
    masses,
)
from pinn_evidence import Survey, part_of, train
from recovery import GRID
from sklearn.metrics import roc_auc_score

from lenshunt.config import ModelConfig
from lenshunt.models import LensNetwork, Normalisation, build_model, count_parameters

TEST, COMPARED = 1000, 300
SIZE = {"width": 64, "layers": 3, "heads": 4, "patch_px": PATCH_PX}
FORMS = ("plain ViT", "positions + arc bias", "arcsec positions")


def network(form: str, seed: int) -> LensNetwork:
    normalisation = Normalisation(
        band_sigma_njy=(1.0, 1.0),
        size_px=GRID.size_px,
        pixel_scale_arcsec=GRID.pixel_scale_arcsec,
        bands=("g", "i"),
    )
    enhanced = form != FORMS[0]
    config = ModelConfig(
        architecture="enhanced_vit" if enhanced else "vit",
        backbone="bench",
        parameters={**SIZE, **({"observing_conditions": False} if enhanced else {})},
    )
    torch.manual_seed(seed)
    model = build_model(config, normalisation)
    if form == "arcsec positions":
        model.backbone.arc_bias.requires_grad_(False)  # stays zero
    return model


def interval(
    values: np.ndarray, statistic: Callable, draws: int = 1000
) -> tuple[float, float, float]:
    """Statistic of the columns of `values` [k, n], and its central 95 % under resampling of n."""
    rng, n = np.random.default_rng(1), values.shape[1]
    again = [statistic(values[:, rng.integers(0, n, n)]) for _ in range(draws)]
    return statistic(values), *np.percentile(again, [2.5, 97.5])


def ratio(values: np.ndarray) -> float:
    """Attention on the arcs over that on the controls, means over lenses."""
    return float(values[0].mean() / values[1].mean())


def preferred(values: np.ndarray) -> float:
    """Share of lenses in which the arc gets more attention than the control."""
    return float((values[0] > values[1]).mean())


def tell_masses(form: str, when: str, found: dict[str, np.ndarray]) -> None:
    """Of all heads together, and of one chosen on one half of the lenses, on the other."""
    for name, values in found.items():
        kept = values[:, np.isfinite(values).all(axis=(0, 2, 3))]
        together = kept.mean(axis=(2, 3))
        middle, share = interval(together, ratio), interval(together, preferred)
        half = kept.shape[1] // 2
        shares = (kept[0, :half] > kept[1, :half]).mean(axis=0)
        layer, head = np.unravel_index(shares.argmax(), shares.shape)
        best = interval(kept[:, half:, layer, head], preferred)
        print(
            f"  {form:20s} {when:10s} {name:24s} {kept.shape[1]:3d}  "
            f"{together[0].mean():4.2f} / {together[1].mean():4.2f} = {_told(middle)}  "
            f"in {_told(share)}  head {layer + 1}.{head + 1}: in {_told(best)}",
            flush=True,
        )


def _told(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


@torch.inference_mode()
def logits(model: LensNetwork, test: Survey) -> np.ndarray:
    rows = torch.arange(len(test.snr)).split(64)
    return torch.cat([model.eval()(part_of(test.batch, part)).logit for part in rows]).numpy()


def draw_figure(
    models: dict[str, LensNetwork],
    test: Survey,
    lenses: list[Comparison],
    light: np.ndarray,
    path: Path,
) -> None:
    """Attention from the brightest patch of three arcs, averaged over layers and heads."""
    import matplotlib.pyplot as plt

    snr = np.array([test.snr[one.lens] for one in lenses])
    long = np.array([len(one.pairs["same radius"][0]) for one in lenses])
    shown = [lenses[i] for i in np.lexsort((snr, long))[::-1][:3]]
    side, extent = GRID.size_px // PATCH_PX, [-0.5, GRID.size_px - 0.5] * 2
    figure, axes = plt.subplots(
        len(shown), 2 + len(models), figsize=(3.1 * (2 + len(models)), 3.2 * len(shown)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for row, one in zip(axes, shown, strict=True):
        image = test.batch["image"][one.lens, 0].numpy()
        row[0].imshow(np.arcsinh(image), origin="lower", cmap="gray")
        row[0].set_title(f"image, S/N of arcs {test.snr[one.lens]:.0f}")
        row[1].imshow(light[one.lens].reshape(side, side), origin="lower", extent=extent)
        row[1].set_title("light of the arcs")
        for axis, (name, model) in zip(row[2:], models.items(), strict=True):
            maps = attention(model, test, torch.tensor([one.lens]))[:, 0, :, one.query]
            spread = maps.mean(dim=(0, 1)).view(side, side).numpy() * side**2
            shade = axis.imshow(spread, origin="lower", extent=extent, vmin=0, cmap="magma")
            axis.contour(
                np.arange(side) * PATCH_PX + (PATCH_PX - 1) / 2,
                np.arange(side) * PATCH_PX + (PATCH_PX - 1) / 2,
                light[one.lens].reshape(side, side) / light[one.lens].max(),
                levels=[ON_ARC], colors="c", linewidths=1,
            )  # fmt: skip
            figure.colorbar(shade, ax=axis, label="attention / even spread")
            axis.set_title(name)
        for axis in row:
            y, x = divmod(one.query, side)
            place = [(v + 0.5) * PATCH_PX - 0.5 for v in (x, y)]
            axis.plot(*place, marker="+", color="lime", ms=9)
            axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=70)


def tell_gains(found: dict[str, list[np.ndarray]], label: np.ndarray) -> None:
    """Paired differences of ROC areas to the plain ViT, means over the seeds so far."""
    seeds = len(found[FORMS[0]])

    def gain(v: np.ndarray) -> float:
        areas = [roc_auc_score(v[0], scores) for scores in v[1:]]
        return float(np.mean(areas[:seeds]) - np.mean(areas[seeds:]))

    for form in FORMS[1:]:
        middle, low, high = interval(np.stack([label, *found[form], *found[FORMS[0]]]), gain)
        print(f"{form} - {FORMS[0]}, {seeds} seeds: {middle:+.3f} [{low:+.3f}, {high:+.3f}]",
              flush=True)  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    n, epochs, seeds = (
        int(sys.argv[i]) if len(sys.argv) > i else default
        for i, default in ((1, 2500), (2, 8), (3, 2))
    )
    (learned, _), (test, light) = draw_images(n, 1), draw_images(TEST, 2)
    label = test.batch["label"].numpy() == 1
    bright = np.flatnonzero(test.snr[: len(light)] > 15)[:COMPARED]
    lenses = comparisons(light, bright)
    found: dict[str, list[np.ndarray]] = {form: [] for form in FORMS}
    models: dict[str, LensNetwork] = {}
    print(f"{n} samples, {epochs} epochs, {TEST} test images; attention: {len(lenses)} lenses")
    for seed in range(seeds):
        for form in FORMS:
            model = network(form, seed)
            if seed == 0:
                tell_masses(form, "before", masses(model, test, lenses))
                models["before training"] = network(form, seed)
            torch.manual_seed(100 + seed)  # the same order and views for every form
            config = ModelConfig(architecture="vit", backbone="bench")
            seconds = train(model, {}, learned, epochs, config)
            scores = logits(model, test)
            found[form].append(scores)
            area = interval(np.stack([label, scores]), lambda v: roc_auc_score(v[0], v[1]))
            print(f"{form:22s} seed {seed}: AUROC {area[0]:.3f} [{area[1]:.3f}, {area[2]:.3f}], "
                  f"{count_parameters(model)} parameters, {seconds:.0f} s", flush=True)  # fmt: skip
            if seed == 0:
                models[form] = model
                tell_masses(form, "after", masses(model, test, lenses))
                if form == FORMS[1]:
                    tell_masses(form, "bias alone", masses(model, test, lenses, bias_alone=True))
                    if len(sys.argv) > 4:
                        shown = {
                            "plain ViT, trained": models[FORMS[0]],
                            "arc bias, untrained": models["before training"],
                            "arc bias, trained": model,
                        }
                        draw_figure(shown, test, lenses, light, Path(sys.argv[4]))
        tell_gains(found, label)


if __name__ == "__main__":
    main()
