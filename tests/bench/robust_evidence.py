"""What attacks, noise and rotations do to networks that were, or were not, made for them.

Run `python tests/bench/robust_evidence.py [SAMPLES] [EPOCHS] [SEEDS] [KIND] [FIGURE.png]`. KIND is
toys, lenses whose arcs have an S/N of 4 to 150 and lens galaxies alone, or impostors, with rings or
spiral arms of the same S/N instead. First plain and robust narrow networks learn SAMPLES of them:
accuracy and area under the ROC curve on clean images, under PGD bounded in units of the pixels'
sigma, and with added noise. Then `equivariant_resnet` and the plain network learn 250, 500 and 1000
over equal epochs: area under the ROC curve, and how far the logit spreads over the eight views.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from pinn_evidence import BETA, FWHM_ARCSEC, GRID, Survey, draw_survey, part_of
from recovery import draw_lenses
from sklearn.metrics import roc_auc_score

from lenshunt.config import ModelConfig, TrainingConfig
from lenshunt.evaluation.intervals import bootstrap_metrics, percentile_interval
from lenshunt.lensing import PixelGrid, psf_transform, render_batch
from lenshunt.models import LensNetwork, Normalisation, Prediction, build_model, count_parameters
from lenshunt.models.interface import Batch
from lenshunt.provenance import ROOT
from lenshunt.surveys import moffat_psf
from lenshunt.training.adversarial import attacked
from lenshunt.training.augment import augment
from lenshunt.training.module import learning_rate_factor, parameter_groups
from lenshunt.training.predict import dihedral_views
from lenshunt.training.robustness import accuracy_under_attack, accuracy_under_noise

#: Of all forms alike: many short steps, for few samples.
BATCH_SIZE, LEARNING_RATE = 16, 2e-3
EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.5)
NOISES = (0.0, 0.5, 1.0, 2.0)
SIZES = (250, 500, 1000)
#: Operations of the plain narrow network, an eighth of its parameters.
EQUAL_OPERATIONS = {"fields": [2, 4, 8, 16]}


@dataclass(frozen=True)
class Form:
    """A network of config/models and what differs from its file."""

    file: str
    training: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)


_STRONG = {"method": "pgd", "epsilon_sigma": 0.5, "steps": 3, "share": 0.5}
ROBUST_FORMS = {
    "plain": Form("resnet18_narrow"),
    "plain, noisier images": Form("resnet18_narrow", {"noise_augmentation": 0.5}),
    "robust (PGD 0.1 sigma)": Form("robust_resnet_narrow"),
    "robust (PGD 0.5 sigma)": Form("robust_resnet_narrow", {"adversarial": _STRONG}),
}
VIEW_FORMS = {
    "plain": Form("resnet18_narrow"),
    "equivariant, equal parameters": Form("equivariant_resnet_narrow"),
    "equivariant, equal operations": Form("equivariant_resnet_narrow", {}, EQUAL_OPERATIONS),
}


def draw_toys(n: int, seed: int) -> Survey:
    """n / 2 lenses, then n / 2 lens galaxies alone, in noise of unit variance.

    Galaxies have an S/N of 100-300, arcs one of 4-150 (log-uniform; given for either half).
    """
    rng, scale = np.random.default_rng(seed), GRID.pixel_scale_arcsec
    psf = psf_transform(torch.tensor(moffat_psf(FWHM_ARCSEC, BETA, scale))[None], GRID.size_px)
    shapes = render_batch(draw_lenses(rng, n), PixelGrid(GRID.size_px, scale, 3), psf)
    colour = torch.tensor(rng.uniform((0.15, 0.5), (0.4, 1.5), (n, 2)))
    light = shapes * torch.stack([colour, torch.ones(n, 2)], dim=1)[..., None, None]
    light = light / light.square().sum(dim=(1, 3, 4), keepdim=True).sqrt()
    snr = np.exp(rng.uniform(np.log(4), np.log(150), n))
    lens = torch.arange(n) < n // 2
    strength = torch.tensor(np.stack([rng.uniform(100, 300, n), snr], axis=1))
    strength[:, 1] *= lens
    image = (light * strength[:, None, :, None, None]).sum(dim=2)
    image = (image + torch.tensor(rng.normal(size=image.shape))).float()
    batch: Batch = {
        "image": image,
        "variance": torch.ones_like(image),
        "band_flags": torch.ones(n, 2),
        "label": lens.float(),
    }
    return Survey(batch, snr)


def cross_entropy(prediction: Prediction, batch: Batch) -> torch.Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        prediction.logit, batch["label"], reduction="none"
    )


def trained(form: Form, survey: Survey, rows: torch.Tensor, epochs: int, seed: int) -> LensNetwork:
    """The network of `form` after learning the samples `rows`, in evaluation mode."""
    path = ROOT / "config" / "models" / f"{form.file}.yaml"
    config = ModelConfig(**yaml.safe_load(path.read_text()))
    training = TrainingConfig(**{**config.training, **form.training})
    normalisation = Normalisation(
        band_sigma_njy=(1.0, 1.0),
        size_px=GRID.size_px,
        pixel_scale_arcsec=GRID.pixel_scale_arcsec,
        bands=("g", "i"),
    )
    torch.manual_seed(seed)
    parameters = {**config.parameters, **form.parameters}
    model = build_model(config.model_copy(update={"parameters": parameters}), normalisation)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        parameter_groups(model, training.weight_decay), lr=LEARNING_RATE, fused=True
    )
    steps = len(rows) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: learning_rate_factor(step, steps, epochs * steps)
    )
    model.train()
    for _ in range(epochs):
        order = rows[torch.randperm(len(rows))[: steps * BATCH_SIZE]]
        for chosen in order.view(steps, BATCH_SIZE):
            seen = augment(part_of(survey.batch, chosen), training, GRID.pixel_scale_arcsec)
            if training.adversarial:
                seen = attacked(model, cross_entropy, seen, training.adversarial)
            optimiser.zero_grad()
            cross_entropy(model(seen), seen).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimiser.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def logits_of_views(model: LensNetwork, survey: Survey) -> np.ndarray:
    """[8, n]"""
    parts = torch.arange(len(survey.snr)).split(64)
    found = [
        torch.stack([model(view).logit for view in dihedral_views(part_of(survey.batch, rows))])
        for rows in parts
    ]
    return torch.cat(found, dim=1).numpy()


def with_interval(label: np.ndarray, logit: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve and its 95 % bootstrap interval over the test objects."""
    draws = bootstrap_metrics(label, logit, 1000, 0, 0)["auroc"]
    return float(roc_auc_score(label, logit)), *percentile_interval(draws)


def compare_robustness(learned: Survey, test: Survey, epochs: int) -> dict[str, tuple]:
    """Prints and returns for each form the tables under attack and under noise."""
    found: dict[str, tuple] = {}
    label = test.batch["label"].numpy() == 1
    batches = [part_of(test.batch, rows) for rows in torch.arange(len(label)).split(64)]
    for name, form in ROBUST_FORMS.items():
        start = time.perf_counter()
        model = trained(form, learned, torch.arange(len(learned.snr)), epochs, 0)
        seconds = time.perf_counter() - start
        logit, faint = logits_of_views(model, test)[0], test.snr < 20
        area, low, high = with_interval(label, logit)
        area_faint = roc_auc_score(label[faint], logit[faint])
        print(f"\n{name} ({seconds:.0f} s): AUROC {area:.3f} ({low:.3f}-{high:.3f}), "
              f"S/N < 20: {area_faint:.3f}", flush=True)  # fmt: skip
        found[name] = (
            accuracy_under_attack(model, batches, EPSILONS),
            accuracy_under_noise(model, batches, NOISES),
            accuracy_under_noise(model, batches, NOISES, declared=False),
        )
        shown = ("epsilon_sigma", "noise_sigma", "accuracy", "recall", "auroc")
        for title, table in zip(("PGD", "noise", "undeclared noise"), found[name], strict=True):
            rows = table[[column for column in shown if column in table]]
            print(f"  {title}\n{rows.round(3).to_string(index=False)}", flush=True)
    return found


def compare_views(learned: Survey, test: Survey, epochs: int, seeds: int) -> pd.DataFrame:
    """One row per form, number of samples and seed; printed as they come."""
    label, rows = test.batch["label"].numpy() == 1, []
    # As many lenses as others, whatever the number taken.
    mixed = torch.arange(len(learned.snr)).view(2, -1).T.flatten()
    for seed in range(seeds):
        for size in SIZES:
            for name, form in VIEW_FORMS.items():
                start = time.perf_counter()
                model = trained(form, learned, mixed[:size], epochs, seed)
                seconds = time.perf_counter() - start
                logit = logits_of_views(model, test)
                area, low, high = with_interval(label, logit[0])
                spread = logit.std(axis=0)
                row = {
                    "form": name,
                    "parameters": count_parameters(model),
                    "samples": size,
                    "seed": seed,
                    "auroc": area,
                    "low": low,
                    "high": high,
                    "auroc_eight_views": roc_auc_score(label, logit.mean(axis=0)),
                    "spread": float(np.median(spread)),
                    "largest_spread": float(spread.max()),
                    "between_objects": float(logit[0].std()),
                    "seconds": seconds,
                }
                rows.append(row)
                print("  ".join(f"{v:.3g}" if isinstance(v, float) else f"{v}"
                                for v in row.values()), flush=True)  # fmt: skip
    return pd.DataFrame(rows)


def draw_figure(tables: dict[str, tuple], views: pd.DataFrame, path: Path) -> None:
    """Accuracy under attack and noise, area against samples, spread over views."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(18, 4.2), layout="constrained")
    for name, (attack, noise, undeclared) in tables.items():
        axes[0].plot(attack["epsilon_sigma"], attack["accuracy"], marker="o", label=name)
        (line,) = axes[1].plot(noise["noise_sigma"], noise["accuracy"], marker="o", label=name)
        axes[1].plot(
            undeclared["noise_sigma"], undeclared["accuracy"], ls=":", color=line.get_color()
        )
    axes[0].set(xlabel="bound of the attack (sigma)", ylabel="accuracy", ylim=(0, 1))
    axes[1].set(
        xlabel="added noise (sigma)", ylabel="accuracy", ylim=(0.4, 1), title="dotted: undeclared"
    )
    axes[1].legend(fontsize=8)
    for number, (name, own) in enumerate(views.groupby("form", sort=False)):
        # Forms and seeds side by side; their intervals would hide each other.
        place = own["samples"] * (1.0 + 0.06 * number + 0.015 * own["seed"])
        bars = [own["auroc"] - own["low"], own["high"] - own["auroc"]]
        axes[2].errorbar(place, own["auroc"], bars, fmt="o", capsize=2, label=name)
        axes[3].scatter(place, own["spread"] / own["between_objects"], label=name)
    axes[2].set(xscale="log", xlabel="samples learned", ylabel="AUROC, one view")
    axes[3].set(
        xscale="log", yscale="log", xlabel="samples learned", ylabel="spread over views / objects"
    )
    for axis in axes[2:]:
        axis.set_xticks(SIZES, [str(size) for size in SIZES])
        axis.minorticks_off()
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def main() -> None:
    torch.set_num_threads(1)
    samples, epochs, seeds = (
        int(sys.argv[i]) if len(sys.argv) > i else default
        for i, default in ((1, 1500), (2, 15), (3, 1))
    )
    kind = sys.argv[4] if len(sys.argv) > 4 else "toys"
    draw = {"toys": draw_toys, "impostors": draw_survey}[kind]
    learned, test = draw(samples, 1), draw(800, 2)
    print(f"{samples} {kind}, {epochs} epochs; tested on {len(test.snr)}")
    tables = compare_robustness(learned, test, epochs)
    print("\nform, parameters, samples, seed, AUROC and interval, of eight views, spread over "
          "views (median, largest), between objects, seconds")  # fmt: skip
    views = compare_views(draw(max(SIZES), 3), test, epochs, seeds)
    if len(sys.argv) > 5:
        draw_figure(tables, views, Path(sys.argv[5]))


if __name__ == "__main__":
    main()
