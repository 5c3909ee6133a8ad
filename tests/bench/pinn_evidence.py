"""What `pinn_lens` gains from its parts: Einstein radii and classification on simulated images.

Run `python tests/bench/pinn_evidence.py [N] [EPOCHS] [FIGURE.png]`. N samples, half of them
lenses, half lens galaxies with a ring or spiral arms of the same S/N around them, train the
narrow network in several forms; 600 others tell median |d theta_E / theta_E| by S/N of the arcs,
and the area under the ROC curve.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from recovery import AT, GRID, Images, draw_impostors, draw_lenses, observe
from sklearn.metrics import roc_auc_score

from lenshunt.config import LossTerm, ModelConfig, TrainingConfig
from lenshunt.lensing import PixelGrid, psf_transform, render_batch
from lenshunt.models import Batch, LensNetwork, Normalisation, build_model
from lenshunt.provenance import ROOT
from lenshunt.surveys import moffat_psf
from lenshunt.training.module import learning_rate_factor, parameter_groups
from lenshunt.training.predict import dihedral_views
from lenshunt.training.terms import weighted_terms

FWHM_ARCSEC, BETA = 0.7, 3.0
#: Of all forms alike: many short steps, for few samples.
BATCH_SIZE, LEARNING_RATE = 16, 2e-3
SNR_BINS = ((4, 10), (10, 20), (20, 50), (50, 150))
_PHYSICS = ("physics", "shear", "lens_equation")
#: Loss terms and feedback of each form of the network.
FORMS: dict[str, tuple[tuple[str, ...], bool]] = {
    "physics + simulated": ((*_PHYSICS, "simulated"), True),
    "no lens terms, no feedback": ((), False),
    "physics": (_PHYSICS, True),
    "simulated": (("simulated",), True),
    "no lens terms": ((), True),
    "both terms, no feedback": ((*_PHYSICS, "simulated"), False),
}


@dataclass(frozen=True)
class Survey:
    """Samples as one batch, and the S/N of what surrounds each lens galaxy [n]."""

    batch: Batch
    snr: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """Logit, predicted theta_E and chi2 gain [n] of the test samples, and seconds of training."""

    logit: np.ndarray
    theta_e: np.ndarray
    gain: np.ndarray
    seconds: float


def draw_survey(n: int, seed: int) -> Survey:
    """n / 2 lenses, then n / 2 galaxies with rings or arms, drawn with nine rays per pixel."""
    rng, half = np.random.default_rng(seed), n // 2
    scale = GRID.pixel_scale_arcsec
    psf = psf_transform(torch.tensor(moffat_psf(FWHM_ARCSEC, BETA, scale))[None], GRID.size_px)
    params = draw_lenses(rng, n)
    shapes = render_batch(params, PixelGrid(GRID.size_px, scale, 3), psf)
    around = torch.cat([shapes[:half, :, 1], draw_impostors(rng, n - half, psf)])
    data: Images = observe(rng, shapes[:, :, 0], around)
    lens = torch.arange(n) < half
    batch: Batch = {
        "image": data.image,
        "variance": data.variance,
        "band_flags": torch.ones(n, 2),
        "label": lens.float(),
        "theta_e": torch.where(lens, params[:, AT["theta_e"]], torch.nan),
    }
    return Survey(batch, data.snr.numpy())


def part_of(batch: Batch, rows: torch.Tensor) -> Batch:
    return {name: values[rows] for name, values in batch.items()}  # type: ignore


def network(config: ModelConfig, terms: tuple[str, ...], feedback: bool) -> LensNetwork:
    normalisation = Normalisation(
        band_sigma_njy=(1.0, 1.0),
        size_px=GRID.size_px,
        pixel_scale_arcsec=GRID.pixel_scale_arcsec,
        psf_fwhm_arcsec=FWHM_ARCSEC,
        psf_moffat_beta=BETA,
        bands=("g", "i"),
    )
    torch.manual_seed(0)
    changes = {
        "parameters": {**config.parameters, "feedback": feedback},
        "loss_terms": {name: config.loss_terms[name] for name in terms},
    }
    return build_model(config.model_copy(update=changes), normalisation)


def train(
    model: LensNetwork, terms: dict[str, LossTerm], survey: Survey, epochs: int, config: ModelConfig
) -> float:
    """Train with turned and mirrored views; returns the seconds that it took."""
    training, start = TrainingConfig(**config.training), time.perf_counter()
    n, size = len(survey.snr), BATCH_SIZE
    optimiser = torch.optim.AdamW(parameter_groups(model, training.weight_decay), lr=LEARNING_RATE)
    steps = n // size
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: learning_rate_factor(step, steps, epochs * steps)
    )
    model.train()
    for epoch in range(epochs):
        for number, rows in enumerate(torch.randperm(n)[: steps * size].view(steps, size)):
            batch = dihedral_views(part_of(survey.batch, rows))[int(torch.randint(8, ()))]
            prediction = model(batch)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                prediction.logit, batch["label"]
            )
            further = weighted_terms(model, prediction, batch, terms, epoch + number / steps)
            loss = loss + sum(term.mean() for term in further.values())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
            optimiser.step()
            schedule.step()
    return time.perf_counter() - start


@torch.inference_mode()
def judged(model: LensNetwork, survey: Survey, seconds: float) -> Outcome:
    model.eval()
    found = [model(part_of(survey.batch, rows)) for rows in torch.arange(len(survey.snr)).split(64)]
    logit = torch.cat([one.logit for one in found]).numpy()
    theta_e, gain = (
        torch.cat([one.auxiliary[name] for one in found]).numpy()
        for name in ("theta_e", "chi2_gain")
    )
    return Outcome(logit, theta_e, gain, seconds)


def errors_of(outcome: Outcome, test: Survey) -> np.ndarray:
    """|d theta_E / theta_E| of the lenses, NaN for the others: [n]."""
    truth = test.batch["theta_e"].numpy()
    return np.abs(outcome.theta_e / truth - 1.0)


def row_of(name: str, outcome: Outcome, test: Survey) -> str:
    label, error = test.batch["label"].numpy() == 1, errors_of(outcome, test)
    bins = [label & (test.snr >= low) & (test.snr < high) for low, high in SNR_BINS]
    medians = "  ".join(f"{np.median(error[chosen]):5.3f}" for chosen in bins)
    auc = roc_auc_score(label, outcome.logit)
    faint = test.snr < 20
    auc_faint = roc_auc_score(label[faint], outcome.logit[faint])
    auc_gain = roc_auc_score(label, outcome.gain)
    return (
        f"{name:28s} {medians}  {np.median(error[label]):5.3f}    "
        f"{auc:.3f}  {auc_faint:.3f}   {auc_gain:.3f}   {outcome.seconds:4.0f}"
    )


def draw_figure(outcomes: dict[str, Outcome], test: Survey, path: Path) -> None:
    """Predicted against true Einstein radii, and their error by S/N."""
    import matplotlib.pyplot as plt

    shown = [name for name in outcomes if FORMS[name][0] and FORMS[name][1]]
    figure, axes = plt.subplots(
        1, len(shown) + 1, figsize=(4 * len(shown) + 4, 3.8), layout="constrained"
    )
    label, truth = test.batch["label"].numpy() == 1, test.batch["theta_e"].numpy()
    for axis, name in zip(axes, shown, strict=False):
        points = axis.scatter(
            truth[label], outcomes[name].theta_e[label], s=8, c=np.log10(test.snr[label])
        )
        axis.plot([0.6, 1.8], [0.6, 1.8], color="0.5", lw=1)
        axis.set(title=name, xlabel="true theta_E (arcsec)", ylabel="predicted theta_E (arcsec)")
    figure.colorbar(points, ax=axes[len(shown) - 1], label="log10 S/N of the arcs")
    for name in shown:
        error = errors_of(outcomes[name], test)
        medians = [
            np.median(error[label & (test.snr >= low) & (test.snr < high)])
            for low, high in SNR_BINS
        ]
        axes[-1].plot([f"{low}-{high}" for low, high in SNR_BINS], medians, marker="o", label=name)
    axes[-1].set(xlabel="S/N of the arcs", ylabel="median |d theta_E / theta_E|", ylim=(0, None))
    axes[-1].legend(loc="lower left")
    figure.savefig(path, dpi=80)


def main() -> None:
    torch.set_num_threads(1)
    n, epochs = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((1, 1500), (2, 15)))
    path = ROOT / "config" / "models" / "pinn_lens_narrow.yaml"
    config = ModelConfig(**yaml.safe_load(path.read_text()))
    learned, test = draw_survey(n, 1), draw_survey(600, 2)
    print(f"{n} samples, {epochs} epochs; median |d theta_E / theta_E| by S/N, all; ROC areas")
    print(f"{'':28s} " + "  ".join(f"{a}-{b}" for a, b in SNR_BINS)
          + "   all     AUC  S/N<20  gain   s")  # fmt: skip
    outcomes: dict[str, Outcome] = {}
    for name, (terms, feedback) in FORMS.items():
        model = network(config, terms, feedback)
        own = {term: config.loss_terms[term] for term in terms}
        seconds = train(model, own, learned, epochs, config)
        outcomes[name] = judged(model, test, seconds)
        print(row_of(name, outcomes[name], test), flush=True)
    if len(sys.argv) > 3:
        draw_figure(outcomes, test, Path(sys.argv[3]))


if __name__ == "__main__":
    main()
