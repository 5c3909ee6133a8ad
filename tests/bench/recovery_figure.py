"""Figure of recovery.py: error of theta_E against S/N, and ROC curves of the statistics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

if TYPE_CHECKING:
    from recovery import Recovery, Separation


def draw_figure(recovery: Recovery, separation: Separation, title: str, path: Path) -> None:
    """|error| of theta_E with the Cramer-Rao bound; ROC by statistic for S/N above 20."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    error = np.maximum(np.abs(recovery.error), 2e-4)
    # one sigma bound and the error of the same lens, joined: long lines are the misses
    left.vlines(
        recovery.snr,
        np.minimum(error, recovery.sigma),
        np.maximum(error, recovery.sigma),
        color="0.85",
        lw=1,
    )
    left.plot(recovery.snr, error, "o", ms=4, label="|error| of the fit")
    left.plot(recovery.snr, recovery.sigma, "_", ms=8, color="C3", label="Cramer-Rao bound")
    left.axhline(0.02, color="k", lw=0.8, ls=":", label="2 %")
    left.axvline(20, color="k", lw=0.8, ls="--")
    left.set(xscale="log", yscale="log", xlabel="S/N of the arcs")
    left.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    left.minorticks_off()
    left.set_ylabel("relative error of $\\theta_\\mathrm{E}$")
    left.set_title(f"{title}, {len(recovery.error)} lenses")
    left.legend()
    part = separation.snr > 20
    label = separation.label[part]
    for name, values in separation.statistics.items():
        fpr, tpr, _ = roc_curve(label, values[part])
        right.plot(fpr, tpr, label=f"{name}: {roc_auc_score(label, values[part]):.2f}")
    right.plot([0, 1], [0, 1], color="k", lw=0.8, ls=":")
    right.set(xlabel="false positive rate (rings, spirals)", ylabel="true positive rate")
    right.set_title(f"S/N > 20: {label.sum()} lenses, {(label == 0).sum()} impostors")
    right.legend(title="AUC")
    figure.savefig(path, dpi=100)
    plt.close(figure)
