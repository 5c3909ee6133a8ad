"""What the simulator recovers: Einstein radii of noisy lenses, and lenses from rings and spirals.

Run `python tests/bench/recovery.py [N] [FIGURE.png]`. Prints the error of theta_E of N simulated
lenses fitted by gradient descent from perturbed starts, by S/N of the arcs, and the area under
the ROC curve with which the fit tells lenses from as many rings and spirals, all fitted blindly.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from lens_systems import draw_systems

from lenshunt.lensing import PARAMETERS, PixelGrid, chi2_gain, fit_amplitudes, render_batch
from lenshunt.lensing.psf_convolution import PsfTransform, convolve, psf_transform
from lenshunt.surveys import moffat_psf

GRID = PixelGrid(48, 0.168)
#: Two bands as g and i: the source is bluer than the lens, by a spread.
SEEING_ARCSEC = (0.8, 0.6)
AT = {name: i for i, name in enumerate(PARAMETERS)}
#: Typical change of a parameter; the fit moves all of them at the same pace in these units.
SCALE = {"radius": 0.3, "sersic": 0.3, "theta_e": 0.1, "e1": 0.1, "e2": 0.1, "gamma": 0.05}
#: Width of the priors, those that the lenses are drawn from: without them most Einstein radii are
#: not known to 2 % whatever the fit, as the Fisher matrix of these images says.
PRIOR_SIGMA = {"gamma1": 0.05, "gamma2": 0.05, "mass_x": 0.05, "mass_y": 0.05}
#: Parameters fitted in their logarithm.
LOGARITHMIC = ("theta_e", "lens_radius", "lens_sersic", "source_radius", "source_sersic")


@dataclass(frozen=True)
class Images:
    """Noisy images [n, band, y, x], their variance, and the S/N of the arcs (or arms) [n]."""

    image: torch.Tensor
    variance: torch.Tensor
    snr: torch.Tensor


def transform() -> PsfTransform:
    scale = GRID.pixel_scale_arcsec
    psfs = [torch.tensor(moffat_psf(fwhm, 3.0, scale, 21)) for fwhm in SEEING_ARCSEC]
    return psf_transform(torch.stack(psfs), GRID.size_px)


def draw_lenses(rng: np.random.Generator, n: int) -> torch.Tensor:
    """Isothermal lenses whose arcs lie inside the image: theta_E 0.6-1.8 arcsec."""
    params = torch.tensor(draw_systems(rng, n)).float()
    params[:, AT["theta_e"]] = torch.tensor(rng.uniform(0.6, 1.8, n)).float()
    params[:, AT["slope"]] = 2.0
    return params


def observe(rng: np.random.Generator, lens: torch.Tensor, other: torch.Tensor) -> Images:
    """Noise of unit variance on a lens of S/N 100-300 and on `other` of S/N 4-150 (log-uniform).

    lens, other : [n, band, y, x] shapes
    """
    n = len(lens)
    colour = torch.tensor(np.stack([rng.uniform(0.15, 0.4, n), np.ones(n)], 1)).float()
    blue = torch.tensor(np.stack([rng.uniform(0.5, 1.5, n), np.ones(n)], 1)).float()
    snr = torch.tensor(np.exp(rng.uniform(np.log(4), np.log(150), n))).float()
    lens = lens * colour[..., None, None]
    other = other * blue[..., None, None]
    lens_snr = torch.tensor(rng.uniform(100, 300, n)).float()
    image = _of_snr(lens, lens_snr) + _of_snr(other, snr)
    noise = torch.tensor(rng.normal(size=image.shape)).float()
    return Images(image + noise, torch.ones_like(image), snr)


def _of_snr(shape: torch.Tensor, snr: torch.Tensor) -> torch.Tensor:
    return shape * (snr / shape.square().sum((1, 2, 3)).sqrt())[:, None, None, None]


def draw_impostors(rng: np.random.Generator, n: int, psf: PsfTransform) -> torch.Tensor:
    """Rings (even rows) and two-armed spirals (odd rows) with knots, [n, band, y, x].

    A ring has a Gaussian profile; arms are logarithmic, of pitch 10-35 degrees. Their radii are
    those of the lenses' arcs.
    """
    x, y = (axis[0].numpy() for axis in GRID.rays())
    fine = []
    for i in range(n):
        turn, q, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 1), rng.uniform(0.6, 1.8)
        u = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(q)
        v = (y * np.cos(turn) - x * np.sin(turn)) / np.sqrt(q)
        radius, azimuth = np.hypot(u, v) + 1e-3, np.arctan2(v, u)
        if i % 2 == 0:
            light = np.exp(-0.5 * ((radius / size - 1) / rng.uniform(0.1, 0.3)) ** 2)
        else:
            phase = 2 * (
                azimuth * rng.choice([-1, 1])
                - np.log(radius / size) / np.tan(np.radians(rng.uniform(10, 35)))
            )
            hole = 1 - np.exp(-((2 * radius / size) ** 2))
            light = np.exp(-1.678 * radius / size + rng.uniform(1, 3) * np.cos(phase)) * hole
        knots = 1.0
        for order in range(1, 6):
            wave = np.cos(order * azimuth + rng.uniform(0, 2 * np.pi))
            knots = knots + rng.normal(0, 0.4) / np.sqrt(order) * wave
        fine.append(light * np.maximum(knots, 0.02))
    pixels = torch.nn.functional.avg_pool2d(torch.tensor(np.array(fine)).float(), 2)
    return convolve(pixels[:, None], psf)[:, :, 0]


def perturbed(rng: np.random.Generator, params: torch.Tensor) -> torch.Tensor:
    """A start as a network might give: theta_E off by 15 %, centres by 0.05-0.1 arcsec, etc."""
    start = params.clone()
    for name, column in AT.items():
        draw = torch.tensor(rng.normal(size=len(params))).float()
        if name in LOGARITHMIC:
            spread = 0.15 if name == "theta_e" else 0.3
            start[:, column] *= torch.exp(spread * draw)
        elif name != "slope":
            start[:, column] += draw * (0.1 if name.startswith("source") else 0.05)
    return _bounded(start)


def _bounded(params: torch.Tensor) -> torch.Tensor:
    """Back into the domain of galaxy-scale lenses; a round-off away from it the fit goes on."""
    params = params.clone()
    for name, low, high in (
        ("theta_e", 0.3, 2.5), ("lens_radius", 0.1, 4.0), ("source_radius", 0.03, 1.5),
        ("lens_sersic", 0.5, 6.0), ("source_sersic", 0.5, 4.0), ("gamma1", -0.2, 0.2),
        ("gamma2", -0.2, 0.2),
    ):  # fmt: skip
        params[:, AT[name]] = params[:, AT[name]].clamp(low, high)
    for part in ("mass", "lens", "source"):
        pair = [AT[f"{part}_e1"], AT[f"{part}_e2"]]
        size = params[:, pair].norm(dim=1, keepdim=True)
        params[:, pair] = params[:, pair] / (size / 0.5).clamp(min=1)
    return params


def objective(params: torch.Tensor, data: Images, psf: PsfTransform) -> torch.Tensor:
    """chi2 [n] over the bands, fluxes solved, plus the priors on shear and centre of the mass."""
    shapes = render_batch(params, GRID, psf)
    chi2 = fit_amplitudes(data.image, data.variance, shapes).chi2.sum(dim=1)
    pulls = [params[:, AT[name]] / sigma for name, sigma in PRIOR_SIGMA.items()]
    return chi2 + torch.stack(pulls).square().sum(dim=0)


def fit(
    start: torch.Tensor, data: Images, psf: PsfTransform, steps: int, fixed: tuple[str, ...] = ()
) -> torch.Tensor:
    """Shapes [n, p] of least `objective`, found by Adam on all samples at once."""
    logarithm = torch.tensor([name in LOGARITHMIC for name in PARAMETERS])
    pace = torch.tensor([
        0.0 if name in ("slope", *fixed) else next(
            (s for key, s in SCALE.items() if key in name), 0.1 if "source" in name else 0.05
        ) for name in PARAMETERS
    ])  # fmt: skip
    moved = torch.where(logarithm, start.clamp(min=1e-3).log(), start) / pace.clamp(min=1e-9)
    moved = moved.requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=0.1)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 0.003)
    best, least = start.clone(), torch.full((len(start),), torch.inf)
    for _ in range(steps):
        optimiser.zero_grad()
        unscaled = moved * pace.clamp(min=1e-9)
        params = torch.where(logarithm, unscaled.clamp(max=5).exp(), unscaled)
        value = objective(params, data, psf)
        with torch.no_grad():
            better = value < least
            best[better], least[better] = params[better], value[better]
        value.sum().backward()
        moved.grad *= pace > 0
        optimiser.step()
        decay.step()
        with torch.no_grad():
            value = moved * pace.clamp(min=1e-9)
            inside = _bounded(torch.where(logarithm, value.exp(), value))
            inside = torch.where(logarithm, inside.clamp(min=1e-6).log(), inside)
            moved.copy_(inside / pace.clamp(min=1e-9))
    return best


def blind_fit(
    rng: np.random.Generator, data: Images, psf: PsfTransform, steps: int, bank: int = 600
) -> torch.Tensor:
    """Shapes from the image alone: the galaxy first, then the best of a bank of random lenses."""
    n = len(data.image)
    start = draw_lenses(rng, 1).repeat(n, 1)
    for name in PARAMETERS:
        if name.endswith(("_x", "_y", "e1", "e2")) or name.startswith("gamma"):
            start[:, AT[name]] = 0.0
    start[:, AT["lens_radius"]], start[:, AT["lens_sersic"]] = 0.8, 3.0
    start[:, AT["source_x"]] = 50.0  # no source in the image yet
    not_lens = tuple(name for name in PARAMETERS if not name.startswith("lens"))
    galaxy = fit(start, data, psf, steps // 3, fixed=not_lens)
    random = draw_lenses(rng, bank)
    with torch.no_grad():
        lens = render_batch(galaxy, GRID, psf)[:, :, :1]
        arcs = render_batch(random, GRID, psf)[:, :, 1:]
        chosen = []
        for one, image, variance in zip(lens, data.image, data.variance, strict=True):
            shapes = torch.cat([one.expand(bank, -1, -1, -1, -1), arcs], dim=2)
            images = image.expand(bank, -1, -1, -1), variance.expand(bank, -1, -1, -1)
            chosen.append(int(fit_amplitudes(*images, shapes).chi2.sum(1).argmin()))
    start = random[chosen]
    columns = [AT[name] for name in PARAMETERS if name.startswith("lens")]
    start[:, columns] = galaxy[:, columns]
    return fit(start, data, psf, steps)


@dataclass(frozen=True)
class Recovery:
    """Relative error of theta_E, S/N of the arcs, and objective above that of the truth, [n] each.

    excess : not above 0 where the fit found the minimum
    """

    error: np.ndarray
    snr: np.ndarray
    excess: np.ndarray


def recover(n: int, steps: int, seed: int = 1) -> Recovery:
    """Fit n lenses from starts near the truth."""
    rng, psf = np.random.default_rng(seed), transform()
    truth = draw_lenses(rng, n)
    shapes = render_batch(truth, GRID, psf)
    data = observe(rng, shapes[:, :, 0], shapes[:, :, 1])
    found = fit(perturbed(rng, truth), data, psf, steps)
    theta = found[:, AT["theta_e"]] / truth[:, AT["theta_e"]] - 1
    with torch.no_grad():
        excess = objective(found, data, psf) - objective(truth, data, psf)
    return Recovery(theta.numpy(), data.snr.numpy(), excess.numpy())


@dataclass(frozen=True)
class Separation:
    """Blind fits of lenses and impostors: label [n], S/N, gain, reduced chi2, and the images."""

    label: np.ndarray
    snr: np.ndarray
    gain: np.ndarray
    reduced: np.ndarray
    data: Images
    model: torch.Tensor

    @property
    def explained(self) -> np.ndarray:
        """Gain / (gain + misfit): how much of what the galaxy leaves over a lens explains."""
        misfit = np.maximum(self.reduced - 1, 0) * self.data.image[0].numel()
        return self.gain / (self.gain + misfit + 1)


def separate(n: int, steps: int, seed: int = 2, bank: int = 600) -> Separation:
    """n lenses and n rings and spirals of the same S/N, fitted by the same procedure."""
    rng, psf = np.random.default_rng(seed), transform()
    shapes = render_batch(draw_lenses(rng, 2 * n), GRID, psf)
    other = torch.cat([shapes[:n, :, 1], draw_impostors(rng, n, psf)])
    data = observe(rng, shapes[:, :, 0], other)
    found = blind_fit(rng, data, psf, steps, bank)
    with torch.no_grad():
        best = render_batch(found, GRID, psf)
        result = fit_amplitudes(data.image, data.variance, best)
        gain = chi2_gain(data.image, data.variance, torch.ones(2 * n, 2), best)
        model = (best * result.fluxes[..., None, None]).sum(dim=2)
    dof = data.image[0].numel() - len(PARAMETERS) + 1 - 4
    label = np.repeat([1, 0], n)
    reduced = (result.chi2.sum(1) / dof).numpy()
    return Separation(label, data.snr.numpy(), gain.numpy(), reduced, data, model)


def draw_figure(sep: Separation, path: Path) -> None:
    """Gain against reduced chi2, and images, models and residuals of some of either kind."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(4, 8, figsize=(16, 8.4), layout="constrained")
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, :3].flat:
        axis.remove()
    plot = figure.add_subplot(grid[:, :3])
    for value, name, mark in ((1, "lenses", "o"), (0, "rings, spirals", "x")):
        own = sep.label == value
        plot.scatter(sep.gain[own], sep.reduced[own], s=18, marker=mark, label=name)
    plot.set(xscale="log", yscale="log", xlabel="chi2 gain (sigma$^2$)", ylabel="chi2 / dof")
    plot.legend()
    n = len(sep.label) // 2
    bright = np.argsort(-sep.snr)
    chosen = [*[i for i in bright if i < n][2:5], *[i for i in bright if i >= n][2:4]]
    names = "image", "model", "residual"
    rows = sep.data.image, sep.model, sep.data.image - sep.model
    for column, i in enumerate(chosen):
        for row, (values, name) in enumerate(zip(rows, names, strict=True)):
            limit = 5 if name == "residual" else float(sep.data.image[i, 0].max()) / 2
            cell = axes[row, 3 + column]
            cell.imshow(values[i, 0], origin="lower", vmin=-limit if row == 2 else -2, vmax=limit)
            kind = "lens" if sep.label[i] else "no lens"
            cell.set_title(f"{kind}, S/N {sep.snr[i]:.0f}" if row == 0 else name, fontsize=9)
            cell.axis("off")
        axes[3, 3 + column].axis("off")
    figure.savefig(path, dpi=80)


def main() -> None:
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    start = time.perf_counter()
    result = recover(n, steps=300)
    error, snr = result.error, result.snr
    print(f"minimum found: {np.mean(result.excess < 10):.2f}")
    print(f"theta_E of {n} lenses from perturbed starts, {time.perf_counter() - start:.0f} s")
    for low, high in ((0, 10), (10, 20), (20, 50), (50, 200), (20, 200)):
        part = np.abs(error[(snr > low) & (snr <= high)])
        if part.size:
            within, median = np.mean(part < 0.02), np.median(part)
            print(
                f"  S/N {low:3d}-{high:3d}: {len(part):3d} lenses, within 2 %: {within:.2f}, "
                f"median {median:.4f}, worst {part.max():.4f}"
            )
    sep = separate(n, steps=210)
    for low, high in ((4, 150), (20, 150), (4, 20)):
        part = (sep.snr > low) & (sep.snr <= high)
        auc = {
            name: roc_auc_score(sep.label[part], values[part])
            for name, values in (
                ("gain", sep.gain), ("-chi2/dof", -sep.reduced), ("explained", sep.explained),
            )
        }  # fmt: skip
        print(f"S/N {low}-{high}, ROC AUC:", {name: round(value, 3) for name, value in auc.items()})
    if len(sys.argv) > 2:
        draw_figure(sep, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
