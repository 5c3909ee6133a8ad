"""DS9 region file: critical curves, multiple images and candidates on the sky."""

from itertools import pairwise

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord
from regions import (
    CircleSkyRegion,
    LineSkyRegion,
    PointSkyRegion,
    PolygonSkyRegion,
    Region,
    Regions,
    RegionVisual,
)

from lenshunt.lensing import LensModel

COLOURS = ("cyan", "magenta", "yellow", "blue", "red")
VERTEX_ARCSEC = 0.2
CANDIDATE_RADIUS_ARCSEC = 1.0


def _curve_regions(model: LensModel, curve: np.ndarray, colour: str, label: str) -> list[Region]:
    """A closed curve as one polygon, an open one (cut by the edge of the field) as lines."""
    spacing = float(np.median(np.hypot(*np.diff(curve, axis=0).T)))
    # Small loops keep every vertex; on long ones DS9 needs no more than one per 0.2".
    stride = max(1, min(round(VERTEX_ARCSEC / max(spacing, 1e-6)), len(curve) // 12))
    closed = bool(np.array_equal(curve[0], curve[-1]))
    index = np.append(np.arange(0, len(curve) - 1, stride), [] if closed else [len(curve) - 1])
    ra, dec = model.sky(*curve[index.astype(int)].T)
    points = SkyCoord(ra, dec, unit="deg")
    style = {"visual": RegionVisual(color=colour), "meta": {"text": label}}
    if closed:
        return [PolygonSkyRegion(points, **style)]
    return [LineSkyRegion(a, b, **style) for a, b in pairwise(points)]


def region_text(
    models: dict[str, LensModel],
    curves: dict[str, dict[float, list[np.ndarray]]],
    candidates: pd.DataFrame,
) -> str:
    """DS9 regions (ICRS): curves[model][z_source] coloured by redshift; images; candidates."""
    found: list[Region] = []
    for name, model in models.items():
        for colour, (z_source, lines) in zip(
            COLOURS * len(curves[name]), curves[name].items(), strict=False
        ):
            for line in lines:
                found.extend(_curve_regions(model, line, colour, f"{name} z={z_source:g}"))
        if len(model.images):
            places = SkyCoord(model.images["ra"], model.images["dec"], unit="deg")
            for place, label in zip(places, model.images["image"], strict=True):
                visual = RegionVisual(color="white", marker="x")
                found.append(PointSkyRegion(place, visual=visual, meta={"text": str(label)}))
    for row in candidates.itertuples():
        place = SkyCoord(row.ra, row.dec, unit="deg")
        radius = CANDIDATE_RADIUS_ARCSEC * units.arcsec
        meta = {"text": f"{row.sample_id} p={row.probability_calibrated:.3f}"}
        found.append(CircleSkyRegion(place, radius, visual=RegionVisual(color="green"), meta=meta))
    return str(Regions(found).serialize(format="ds9", precision=7))
