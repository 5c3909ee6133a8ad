"""The cluster overlay: candidates and multiple images on the critical curves, on the sky."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.lines import Line2D

from lenshunt.config import Cluster, RelicsDataset
from lenshunt.core.cosmology import arcsec_per_kpc
from lenshunt.lensing import LensModel, critical_curves, curve_length
from lenshunt.reporting.figures.caustic_inset import (
    CLUSTER_CURVE_ARCSEC,
    LINE_STYLES,
    Curves,
    draw_caustics,
    system_style,
)
from lenshunt.reporting.figures.field_image import blank_wcs, field_rgb
from lenshunt.reporting.figures.labels import draw_labels
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save
from lenshunt.search.cluster import centre_of, mass_models, read_candidates, shown_field

MARGIN_ARCSEC = 6.0
SCALE_BAR_ARCSEC = 10.0
LABEL_POINTS = 4.5
# Bright on a dark sky, from the same palette; the blank page takes the dark ones.
ON_SKY = ("#56B4E9", "#F0E442", "#E69F00", "#CC79A7", "#009E73")
ON_PAPER = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3], COLOURS[4])
CANDIDATE = "#7CFC00"


def _half_width(model: LensModel, curves: dict[float, list[np.ndarray]]) -> float:
    """Arcsec: half side of a square that holds the cluster's curves and all published images."""
    reach = [float(np.abs(lines[0]).max()) for lines in curves.values() if lines]
    if len(model.images):
        x, y = model.tangent(np.asarray(model.images["ra"]), np.asarray(model.images["dec"]))
        reach.append(max(np.abs(x).max(), np.abs(y).max()))
    return float(max([10.0, *reach])) + MARGIN_ARCSEC


def _plot_curves(
    axes: WCSAxes, models: dict[str, LensModel], curves: Curves, colours: tuple[str, ...]
) -> None:
    for style, (name, model) in zip(LINE_STYLES * len(models), models.items(), strict=False):
        for colour, lines in zip(colours * 9, curves[name].values(), strict=False):
            for line in lines:
                axes.plot(
                    *model.sky(*line.T),
                    transform=axes.get_transform("icrs"),
                    color=colour,
                    linestyle=style,
                    linewidth=1.0 if curve_length(line) > CLUSTER_CURVE_ARCSEC else 0.4,
                )


def _plot_images(axes: WCSAxes, model: LensModel, ink: str) -> None:
    """Published multiple images: one symbol and colour per system, labelled with its number."""
    if len(model.images) == 0:
        return
    system = np.asarray(model.images["system"]).astype(str)
    for index, name in enumerate(dict.fromkeys(system)):
        own = model.images[system == name]
        symbol, colour = system_style(index)
        axes.scatter(
            own["ra"],
            own["dec"],
            transform=axes.get_transform("icrs"),
            marker=symbol,
            s=9,
            facecolors=[colour],
            edgecolors=ink,
            linewidths=0.4,
            zorder=4,
        )
    places = axes.wcs.world_to_pixel_values(model.images["ra"], model.images["dec"])
    labels = [str(label) for label in model.images["image"]]
    draw_labels(axes, np.column_stack(places), labels, [ink] * len(labels), LABEL_POINTS)


def _plot_candidates(axes: WCSAxes, candidates: pd.DataFrame, ink: str) -> None:
    axes.scatter(
        candidates["ra"],
        candidates["dec"],
        transform=axes.get_transform("icrs"),
        s=20 + 180 * candidates["probability_calibrated"] ** 2,
        facecolors="none",
        edgecolors=ink,
        linewidths=0.9,
        zorder=6,
    )


def _scale_bar_and_compass(axes: WCSAxes, model: LensModel, half_width: float, ink: str) -> None:
    """Drawn through the WCS, so that both hold for images of any orientation."""

    def pixel(x: float, y: float) -> np.ndarray:
        return np.array(axes.wcs.world_to_pixel_values(*model.sky(x, y)))

    left, right = pixel(half_width * 0.92 - SCALE_BAR_ARCSEC, 0), pixel(half_width * 0.92, 0)
    length = np.hypot(*(right - left)) / (axes.get_xlim()[1] - axes.get_xlim()[0])
    axes.plot([0.04, 0.04 + length], [0.04, 0.04], transform=axes.transAxes, color=ink, lw=1.5)
    text = {"transform": axes.transAxes, "color": ink, "fontsize": 7, "ha": "center"}
    kpc = SCALE_BAR_ARCSEC / arcsec_per_kpc(model.z_lens)
    axes.text(0.04 + length / 2, 0.05, f'{SCALE_BAR_ARCSEC:.0f}" = {kpc:.0f} kpc', **text)
    origin = np.array([0.09, 0.91])
    for name, (x, y) in {"N": (0.0, 1.0), "E": (-1.0, 0.0)}.items():
        step = pixel(x, y) - pixel(0.0, 0.0)
        tip = origin + 0.045 * step / np.hypot(*step)
        axes.annotate(
            "",
            tip,
            origin,
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "->", "color": ink, "lw": 1.0, "shrinkA": 0, "shrinkB": 0},
        )
        axes.text(*(origin + 0.06 * step / np.hypot(*step)), name, va="center", **text)


def _legend(
    axes: WCSAxes,
    models: dict[str, LensModel],
    redshifts: list[float],
    colours: tuple[str, ...],
    candidate_ink: str | None,
    probability_min: float,
) -> None:
    handles = [
        Line2D([], [], color=colour, label=f"critical curve $z_s$ = {z:g}")
        for colour, z in zip(colours * 9, redshifts, strict=False)
    ]
    handles.append(
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            ms=3.5,
            mec="black",
            mew=0.4,
            mfc="0.7",
            label="multiple images, by system",
        )
    )
    if candidate_ink is not None:
        handles.append(
            Line2D(
                [],
                [],
                ls="",
                marker="o",
                ms=8,
                mfc="none",
                mec=candidate_ink,
                mew=1,
                label=f"candidates, p $\\geq$ {probability_min:g}, size by p",
            )
        )
    if len(models) > 1:
        handles += [
            Line2D([], [], color="0.3", ls=style, label=name)
            for style, name in zip(LINE_STYLES * len(models), models, strict=False)
        ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=3)


def _shown(value: float | None, digits: int) -> str:
    """A number as text; a dash for the None that JSON has in place of NaN."""
    return "-" if value is None else f"{value:.{digits}f}"


def _distance(found: dict[str, Any], kind: str) -> str:
    """Median distance of the candidates, that of random subsets, and the p-value."""
    here, random = (_shown(found[f"median_{kind}_arcsec{end}"], 1) for end in ("", "_random"))
    return f'{here}" (random {random}", p = {_shown(found[f"p_value_{kind}_arcsec"], 3)})'


def _summary(numbers: dict[str, Any]) -> str:
    """One line per mass model: how well it fits, and what the candidates do in it."""
    lines = []
    for name, entry in numbers["models"].items():
        rms, found = _shown(entry["image_plane_rms_arcsec"], 2), entry["candidates"]
        line = f'{name}: image-plane RMS {rms}" ({entry["n_images"]} images)'
        if found and found["n_candidates"]:
            main, nearest = (_distance(found, kind) for kind in ("distance_main", "distance"))
            line += (
                f"\n{found['n_candidates']} candidates; median distance to the cluster's own "
                f"curve {main},\nto any curve, members' included, {nearest}"
            )
        elif found:
            line += f"; no candidate among {found['n_scanned']} scanned objects"
        lines.append(line)
    return "\n".join(lines)


def draw_overlay(
    *,
    cluster: Cluster,
    name: str,
    candidates: str | None,
    dataset: RelicsDataset | None,
    numbers: str,
    out: str,
) -> None:
    """Draw the field with critical curves, caustics, multiple images and candidates.

    candidates : ECSV of a search, or None; dataset : images of the field, or None for a blank sky
    numbers : JSON of `write_cluster_products`; out : PDF, a PNG is written beside it
    """
    models = mass_models(cluster)
    model = next(iter(models.values()))
    curves: Curves = {
        label: {z: critical_curves(m, z, centre=centre_of(m, model)) for z in cluster.z_sources}
        for label, m in models.items()
    }
    half_width = _half_width(model, curves[next(iter(models))])
    field = shown_field(cluster, dataset)
    if field is None:
        wcs, rgb = blank_wcs(model, half_width), None
    else:
        wcs, rgb = field_rgb(field, model, half_width)
    colours, ink = (ON_PAPER, "black") if rgb is None else (ON_SKY, "white")
    candidate_ink = COLOURS[3] if rgb is None else CANDIDATE
    with paper_style():
        figure = plt.figure(figsize=(PAGE_INCHES, PAGE_INCHES))
        axes = figure.add_subplot(projection=wcs)
        if rgb is not None:
            axes.imshow(rgb, interpolation="nearest")
        size_y, size_x = wcs.array_shape
        axes.set_xlim(-0.5, size_x - 0.5)
        axes.set_ylim(-0.5, size_y - 0.5)
        axes.set_aspect("equal")
        axes.coords[0].set_axislabel("RA (ICRS)")
        axes.coords[1].set_axislabel("Dec (ICRS)")
        _plot_curves(axes, models, curves, colours)
        if candidates is not None:
            table = read_candidates(candidates)
            table = table[table["probability_calibrated"] >= cluster.probability_min]
            _plot_candidates(axes, table, candidate_ink)
        _scale_bar_and_compass(axes, model, half_width, ink)
        shown = candidate_ink if candidates is not None else None
        _legend(axes, models, list(cluster.z_sources), colours, shown, cluster.probability_min)
        axes.set_title(f"{name}\n{_summary(json.loads(Path(numbers).read_text()))}")
        # Labels and the inset look for free places: only in the final layout are these known.
        figure.draw_without_rendering()
        _plot_images(axes, model, ink)
        draw_caustics(axes, models, curves, colours, ink)
        save(figure, out)
        plt.close(figure)
