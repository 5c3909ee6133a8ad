"""The source plane in a corner of the cluster overlay: caustics and sources."""

import matplotlib.pyplot as plt
import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.axes import Axes

from lenshunt.lensing import LensModel, caustics, curve_length, mean_source

#: Caustics of single members would fill the inset; only those of curves longer than this.
CLUSTER_CURVE_ARCSEC = 8.0
SCALE_BAR_ARCSEC = 5.0
LINE_STYLES = ("-", "--", ":", "-.")
SYMBOLS = ("o", "s", "D", "^", "v", "P", "X")
INSET_WIDTH, INSET_HEIGHT = 0.40, 0.22

Curves = dict[str, dict[float, list[np.ndarray]]]


def system_style(index: int) -> tuple[str, tuple[float, float, float, float]]:
    """Symbol and colour of the images and the source of a system."""
    return SYMBOLS[index % len(SYMBOLS)], plt.get_cmap("tab20")(index % 20)


def draw_caustics(
    axes: WCSAxes,
    models: dict[str, LensModel],
    curves: Curves,
    colours: tuple[str, ...],
    ink: str,
) -> None:
    """Add the inset: the sources of the first model, and the caustics of every model.

    Every model is shown in the coordinates of the first, through the sky.
    """
    reference = next(iter(models.values()))
    inset = axes.inset_axes(_corner(axes, reference), axes_class=Axes, zorder=10)
    extent = []
    for style, (label, model) in zip(LINE_STYLES * len(models), models.items(), strict=False):
        for colour, (z, lines) in zip(colours * 9, curves[label].items(), strict=False):
            large = [line for line in lines if curve_length(line) > CLUSTER_CURVE_ARCSEC]
            for index, line in enumerate(caustics(model, large, z)):
                x, y = reference.tangent(*model.sky(*line.T))
                inset.plot(x, y, color=colour, linestyle=style, linewidth=0.6)
                # Group members drag their own caustics far out; the cluster's sets the frame.
                extent += [np.column_stack([x, y])] if index == 0 else []
    extent += _draw_sources(inset, reference, ink)
    if extent:
        _frame(inset, np.concatenate(extent), ink)
    inset.set_aspect("equal", adjustable="box")
    inset.set(xticks=[], yticks=[], facecolor="black" if ink == "white" else "white")
    title = "source plane, North up: caustics and sources"
    inset.text(0.02, 0.97, title, transform=inset.transAxes, color=ink, fontsize=6, va="top")
    for spine in inset.spines.values():
        spine.set(visible=True, edgecolor=ink, linewidth=0.6)


def _draw_sources(inset: Axes, model: LensModel, ink: str) -> list[np.ndarray]:
    """Mean source of every published system; their places [1, 2]."""
    if len(model.images) == 0:
        return []
    places = []
    system = np.asarray(model.images["system"]).astype(str)
    for index, name in enumerate(dict.fromkeys(system)):
        own = model.images[system == name]
        x, y = model.tangent(np.asarray(own["ra"]), np.asarray(own["dec"]))
        source = mean_source(model, x, y, float(own["z"][0]))
        if np.isfinite(source).all():
            places.append(np.array([source]))
            symbol, colour = system_style(index)
            inset.plot(*source, symbol, ms=2.6, mfc=colour, mec=ink, mew=0.25)
    return places


def _frame(inset: Axes, points: np.ndarray, ink: str) -> None:
    """Limits around `points`, of the shape of the inset, and a scale bar below them."""
    (left, bottom), (right, top) = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    height = (top - bottom) / 0.68
    width = max(right - left + 2.0, height * INSET_WIDTH / INSET_HEIGHT)
    height = max(height, width * INSET_HEIGHT / INSET_WIDTH)
    middle_x, middle_y = 0.5 * (left + right), 0.5 * (bottom + top)
    left, bottom = middle_x - width / 2, middle_y - 0.48 * height
    inset.set(xlim=(left, left + width), ylim=(bottom, bottom + height))
    start, level = left + 0.03 * width, bottom + 0.06 * height
    inset.plot([start, start + SCALE_BAR_ARCSEC], [level, level], color=ink, linewidth=1)
    text = f'{SCALE_BAR_ARCSEC:.0f}"'
    inset.text(
        start + SCALE_BAR_ARCSEC + 0.01 * width, level, text, color=ink, fontsize=6, va="center"
    )


def _corner(axes: WCSAxes, model: LensModel) -> tuple[float, float, float, float]:
    """Where the inset hides fewer images: lower or upper right, in fractions of the axes."""
    left = 0.98 - INSET_WIDTH
    low = (left, 0.02, INSET_WIDTH, INSET_HEIGHT)
    high = (left, 0.98 - INSET_HEIGHT, INSET_WIDTH, INSET_HEIGHT)
    if len(model.images) == 0:
        return low
    places = axes.wcs.world_to_pixel_values(model.images["ra"], model.images["dec"])
    x, y = axes.transAxes.inverted().transform(axes.transData.transform(np.array(places).T)).T
    right = x > left
    hidden = [np.sum(right & (y > box[1]) & (y < box[1] + box[3])) for box in (low, high)]
    return low if hidden[0] <= hidden[1] else high
