"""How well colours tell one source from two: ROC AUC of the colour loss on simulated groups.

`python tests/bench/colours.py [FIGURE.png]` prints, by S/N, number of segments, dust and missing
bands, the AUC of "different sources" against "one source", with the dust term and without it.
"""

import sys
from itertools import product

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from lenshunt.lensing.colour_prior import EXTINCTION_SIGMA_MAG, colour_consistency_loss
from lenshunt.lensing.reddening import reddening_curve

WAVELENGTHS_UM = np.array([0.481, 0.623, 0.774, 0.891, 0.978])
#: Scatter of g-y between unrelated galaxies in the sky, in mag: blue to red sequence.
COLOUR_SCATTER = 0.6
GROUPS = 3000
SNRS = (5, 10, 20, 50)


def groups(same: bool, count: int, snr: float, dust: float, missing: int, seed: int):
    """Flux, variance, reddening of GROUPS groups; half of each has another colour if not `same`.

    Spectra are a slope and a curvature, as galaxies' are; each segment has its own A_V > 0, half
    normal of `dust` mag, at lens redshifts 0.2 to 0.8.
    """
    rng = np.random.default_rng(seed)
    slope = (WAVELENGTHS_UM - WAVELENGTHS_UM.mean()) / np.ptp(WAVELENGTHS_UM)
    shapes = np.stack([-slope, 0.5 * (np.square(slope) * 6 - 1)])
    first, second = (rng.normal(0, COLOUR_SCATTER, (GROUPS, 1, 2)) @ shapes for _ in range(2))
    source = np.repeat(first, count, axis=1)
    if not same:
        source[:, count // 2 :] = second
    red = reddening_curve(rng.uniform(0.2, 0.8, GROUPS), WAVELENGTHS_UM)
    extinction = np.abs(rng.normal(0, dust, (GROUPS, count, 1))) * red[:, None]
    flux = 10 ** (-0.4 * (source + extinction + rng.normal(0, 0.3, (GROUPS, count, 1))))
    sigma = np.broadcast_to(flux.mean(axis=2, keepdims=True) / snr, flux.shape)
    flux, variance = flux + rng.normal(size=flux.shape) * sigma, sigma**2
    if missing:
        gone = rng.random(flux.shape).argsort(axis=2) < missing
        variance = np.where(gone, np.inf, variance)
    return tuple(torch.tensor(a, dtype=torch.float32) for a in (flux, variance, red))


def auc(count: int, snr: float, dust: float, missing: int, sigma_mag: float) -> float:
    """AUC of the mean loss per usable segment."""
    scores = []
    for same in (True, False):
        arrays = groups(same, count, snr, dust, missing, seed=int(same) + 2)
        member = torch.ones(arrays[0].shape[:2])
        scores.append(
            colour_consistency_loss(arrays[0], arrays[1], member, arrays[2], None, sigma_mag)
        )
    truth = np.repeat([0, 1], GROUPS)
    return float(roc_auc_score(truth, torch.cat(scores).numpy()))


def draw(table: dict, path: str) -> None:
    """AUC against S/N, one panel per number of segments."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True, layout="constrained")
    styles = {(0.0, 0): "o-", (0.4, 0): "s-", (0.4, 2): "^-"}
    for axis, count in zip(axes, (2, 4), strict=True):
        for colour, ((dust, missing), style) in enumerate(styles.items()):
            name = f"$A_V$ scatter {dust:g} mag" + (f", {missing} bands missing" if missing else "")
            for term in (0, 1):
                values = [table[count, snr, dust, missing][term] for snr in SNRS]
                axis.plot(
                    SNRS, values, style if term == 0 else style.replace("-", ":"),
                    color=f"C{colour}", label=name if term == 0 else None,
                    mfc=None if term == 0 else "white",
                )  # fmt: skip
        axis.set(xscale="log", xlabel="S/N per band", title=f"{count} segments")
        axis.set_xticks(SNRS, map(str, SNRS))
        axis.minorticks_off()
    axes[0].set_ylabel("AUC, two sources / one")
    axes[1].legend(
        loc="lower right",
        fontsize=7,
        title="solid with dust term, dotted without",
        title_fontsize=7,
    )
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table, and draw it where a path is given."""
    table = {}
    print("segments  S/N  A_V scatter  missing  AUC  without the dust term")
    for count, dust, missing, snr in product((2, 4), (0.0, 0.1, 0.2, 0.4), (0, 2), SNRS):
        both = tuple(auc(count, snr, dust, missing, s) for s in (EXTINCTION_SIGMA_MAG, 1e-6))
        table[count, snr, dust, missing] = both
        print(f"{count:8d} {snr:4d} {dust:12.1f} {missing:8d}  {both[0]:.3f}  {both[1]:.3f}")
    if len(sys.argv) > 1:
        draw(table, sys.argv[1])


if __name__ == "__main__":
    main()
