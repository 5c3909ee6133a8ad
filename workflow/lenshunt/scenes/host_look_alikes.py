"""Look-alikes painted on real hosts: what else has the colour and the flux of a lens's arcs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.config import InjectionDataset
from lenshunt.core.sersic import semi_major_of
from lenshunt.scenes.arcs import ray_grid, supersampling, through_psf
from lenshunt.scenes.inject import Painted, visible_lens
from lenshunt.scenes.injected_records import matched_negative, with_light
from lenshunt.scenes.painted_noise import visible_snr, with_arcs
from lenshunt.scenes.profiles import Sersic, sersic_brightness
from lenshunt.scenes.real_sources import RealSource
from lenshunt.schema import SLOTS, Cutout

#: Distance of companions from the host in Einstein radii.
_DISTANCE = (0.7, 1.7)
#: Offset of the centre of a single image in Einstein radii, before it is moved outwards, and the
#: part of its light that may be seen twice.
_SINGLE, _TWICE = (1.15, 2.2), 0.1


@dataclass(frozen=True)
class LookAlike:
    """A host with unlensed light, the host as it was, and the light that was painted.

    light_njy : float32 [band, y, x], noiseless; truth : `kind` and what the table of lenses has
    """

    record: Cutout
    host: Cutout
    light_njy: np.ndarray
    truth: dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """Rays of the host's image (arcsec from its centre), and the lens whose arcs are replaced."""

    x: np.ndarray
    y: np.ndarray
    painted: Painted
    rng: np.random.Generator

    def around(self, distance: float, angle: float) -> tuple[float, float]:
        """Point at a distance in Einstein radii and an angle from the host."""
        lens = self.painted.lens.mass
        reach = distance * lens.theta_e
        return lens.x + reach * float(np.cos(angle)), lens.y + reach * float(np.sin(angle))

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in the image: no flux is given to the outskirts of what does not."""
        return abs(x) <= float(self.x.max()) and abs(y) <= float(self.y.max())

    def galaxy(self, x: float, y: float, radius: float) -> np.ndarray:
        """The source itself, unlensed, at x, y with a half-light radius in arcsec."""
        if not self.holds(x, y):
            return np.zeros(self.x.shape)
        lens = self.painted.lens
        zoom = lens.row["source_radius"] / radius
        # seen from the source plane: the galaxy stays where it is, the rays move
        ray_x = lens.source[0] + (self.x - x) * zoom
        ray_y = lens.source[1] + (self.y - y) * zoom
        return lens.brightness(ray_x, ray_y)


def _size(place: _Place) -> float:
    """Radius in arcsec of a galaxy with the flux of the arcs, not of the faint source.

    Lensing keeps surface brightness: an unlensed galaxy of the arcs' flux and brightness has the
    root of the magnification times the size of the source.
    """
    row, magnified = place.painted.lens.row, place.painted.magnification
    return float(np.clip(row["source_radius"] * np.sqrt(magnified), 0.1, 0.9))


def _companions(place: _Place) -> np.ndarray:
    """Two to four galaxies around the Einstein radius, of the colour of one source."""
    light = np.zeros(place.x.shape)
    shares = place.rng.dirichlet(np.full(int(place.rng.integers(2, 5)), 2.0))
    for share in shares:
        x, y = place.around(place.rng.uniform(*_DISTANCE), place.rng.uniform(0, 2 * np.pi))
        light += share * place.galaxy(x, y, _size(place) * np.sqrt(share))
    return light


def _companion(place: _Place) -> np.ndarray:
    """One galaxy near the Einstein radius."""
    x, y = place.around(place.rng.uniform(*_DISTANCE), place.rng.uniform(0, 2 * np.pi))
    return place.galaxy(x, y, _size(place))


def _tangential(place: _Place) -> np.ndarray:
    """One edge-on disc beside the host that happens to lie tangentially."""
    angle = place.rng.uniform(0, 2 * np.pi)
    x, y = place.around(place.rng.uniform(*_DISTANCE), angle)
    if not place.holds(x, y):
        return np.zeros(place.x.shape)
    q = float(place.rng.uniform(0.15, 0.4))
    turn = float(angle + np.pi / 2 + place.rng.normal(0.0, 0.3))
    body = Sersic(x, y, semi_major_of(_size(place), q), 1.0, q, turn)
    dx, dy = (place.x - x).astype(np.float32), (place.y - y).astype(np.float32)
    return sersic_brightness(dx, dy, body, softening_arcsec=0.02)


def _single_image(place: _Place) -> np.ndarray:
    """The source beyond the region of multiple images: sheared by the lens, but one image.

    It is moved outwards until no more than _TWICE of its light comes from within an Einstein
    radius of the lens's axis, where every ray has a second one: else it would be a lens.
    """
    lens, angle = place.painted.lens, place.rng.uniform(0, 2 * np.pi)
    distance = place.rng.uniform(*_SINGLE)
    ray_x, ray_y = lens.mass.source_position(place.x, place.y)
    within = np.hypot(ray_x - lens.mass.x, ray_y - lens.mass.y) < lens.mass.theta_e
    # the single image is magnified too, by about 1 + 1 / distance
    zoom = lens.row["source_radius"] / (_size(place) / np.sqrt(1.0 + 1.0 / distance))
    while True:
        x, y = place.around(distance, angle)
        light = lens.brightness(
            lens.source[0] + (ray_x - x) * zoom, lens.source[1] + (ray_y - y) * zoom
        )
        if light[within].sum() <= _TWICE * light.sum():
            # one Einstein radius farther out than the source
            return light if place.holds(*place.around(distance + 1.0, angle)) else 0.0 * light
        distance += 0.1


def _knots(place: _Place, azimuth: np.ndarray, contrast: float) -> np.ndarray:
    """Brightness along a ring or arm: a few low azimuthal orders, never negative."""
    light = np.ones_like(azimuth)
    for order in range(1, 6):
        amplitude = contrast * place.rng.normal(0.0, 0.6) / np.sqrt(order)
        light += amplitude * np.cos(order * azimuth + place.rng.uniform(0, 2 * np.pi))
    return np.maximum(light, 0.02)


def _disc_coordinates(place: _Place) -> tuple[np.ndarray, np.ndarray]:
    """Radius in Einstein radii, and azimuth, in the plane of an inclined disc of the host."""
    lens, shape = place.painted.lens.mass, place.painted.shape
    angle = shape.angle + place.rng.normal(0.0, 0.3)
    # as round as the host looks or rounder: a face-on disc may sit in any early type
    q = float(place.rng.uniform(max(shape.q - 0.15, 0.3), 1.0))
    dx, dy = place.x - lens.x, place.y - lens.y
    along = np.cos(angle) * dx + np.sin(angle) * dy
    across = (np.cos(angle) * dy - np.sin(angle) * dx) / q
    return np.hypot(along, across) / lens.theta_e, np.arctan2(across, along)


def _ring(place: _Place) -> np.ndarray:
    """A ring of star formation around the host, as wide as the arcs, with knots."""
    radius, azimuth = _disc_coordinates(place)
    middle, width = place.rng.uniform(0.8, 1.3), place.rng.uniform(0.1, 0.3)
    profile = np.exp(-0.5 * ((radius - middle) / width) ** 2)
    return profile * _knots(place, azimuth, place.rng.uniform(0.2, 1.0))


def _spiral(place: _Place) -> np.ndarray:
    """Two to four blue arms in the host's light."""
    radius, azimuth = _disc_coordinates(place)
    radius = radius + 1e-3
    pitch, arms = np.radians(place.rng.uniform(10, 35)), int(place.rng.choice([2, 2, 2, 3, 4]))
    phase = azimuth * place.rng.choice([-1, 1]) - np.log(radius) / np.tan(pitch)
    start = place.rng.uniform(0, 2 * np.pi)
    crest = np.exp(place.rng.uniform(1.0, 3.0) * (np.cos(arms * phase + start) - 1.0))
    hole = 1.0 - np.exp(-((radius / 0.5) ** 2))
    return np.exp(-1.5 * radius) * crest * hole * _knots(place, azimuth, 0.4)


#: Kinds of look-alike: light per ray, scaled to the arcs' flux afterwards.
KINDS: dict[str, Callable[[_Place], np.ndarray]] = {
    "companions": _companions,
    "companion": _companion,
    "tangential": _tangential,
    "single_image": _single_image,
    "ring": _ring,
    "spiral": _spiral,
}
#: Their fractions where none are given: those of the configuration.
FRACTIONS: dict[str, float] = InjectionDataset.model_fields[
    "hard_negative_kinds"
].default.model_dump()


def inject_look_alike(
    rng: np.random.Generator,
    host: Cutout,
    population: pd.DataFrame,
    dataset: str,
    sources: list[RealSource] | None = None,
    snr_min: float = 20.0,
    tries: int = 20,
    fractions: Mapping[str, float] = FRACTIONS,
) -> LookAlike | None:
    """A look-alike on a host: light with the fluxes of the arcs that `inject` would paint.

    A lens is drawn as `inject` draws it; its source, unlensed, or a ring or arms of its colours,
    are painted with the flux of its arcs in every band instead, around its Einstein radius. So
    neither colour nor flux tells it from a lens, the shape alone does. Label 0 (sim:injection).
    fractions : of KINDS, summing to 1; the other arguments as `inject`
    None where no lens of `tries`, or not its replacement, is seen with S/N above `snr_min`.
    Raises UnsuitableHostError as `inject`.
    """
    painted = visible_lens(rng, host, population, sources, snr_min, tries)
    if painted is None:
        return None
    names = list(fractions)
    for _ in range(tries):
        kind = str(rng.choice(names, p=[fractions[name] for name in names]))
        light = _paint(rng, host, painted, kind)
        visible = visible_snr(light, host, painted.noise)
        if visible >= snr_min:
            image, variance = with_arcs(rng, host, light, painted.noise)
            added = float(light[painted.band].sum())
            share = added / (added + painted.host_njy)
            made = with_light(host, image, variance, light, share).with_metadata(
                sample_id=f"{dataset}-{host.metadata.sample_id}-{kind}",
                dataset=dataset,
                label=0,
                label_source="sim:injection",
                label_confidence=1.0,
                einstein_radius=float("nan"),
                flux_ratio=float("nan"),
                arc_snr=float("nan"),
            )
            truth = _truth(made, painted, kind, light, visible)
            return LookAlike(made, matched_negative(host, dataset), light, truth)
    return None


def _paint(rng: np.random.Generator, host: Cutout, painted: Painted, kind: str) -> np.ndarray:
    """Light in nJy [band, y, x] through the host's PSFs, with the flux of the arcs per band."""
    assert host.psf is not None
    scale, (height, width) = host.metadata.pixel_scale, host.image.shape[1:]
    rays = supersampling(painted.lens.row["source_radius"], scale)
    x, y = ray_grid((height, width), scale, rays)
    light = KINDS[kind](_Place(x, y, painted, rng))
    if not light.any():
        return np.zeros_like(host.image)
    fine = (light / light.sum()).astype(np.float32)
    present = np.flatnonzero(host.metadata.band_flags)
    unit = np.maximum(through_psf(fine, host.psf[present], rays), 0.0)
    flux = painted.arcs_njy[present].sum(axis=(1, 2)) / unit.sum(axis=(1, 2))
    out = np.zeros_like(host.image)
    out[present] = unit * flux[:, None, None].astype(np.float32)
    return out


def _truth(
    made: Cutout, painted: Painted, kind: str, light: np.ndarray, visible: float
) -> dict[str, Any]:
    """kind; the Einstein radius and source of the lens whose arcs it replaces; fluxes in nJy."""
    row, totals = painted.lens.row, light.sum(axis=(1, 2))
    return {
        "sample_id": made.metadata.sample_id,
        "system_id": made.metadata.system_id,
        "kind": kind,
        **{f"replaced_{name}": float(row[name]) for name in ("theta_e", "z_lens", "z_source")},
        "source_name": painted.lens.real.name if painted.lens.real else "",
        "light_flux": float(totals[painted.band]),
        "visible_snr": visible,
        **{f"light_flux_{slot}": float(v) for slot, v in zip(SLOTS, totals, strict=True)},
    }
