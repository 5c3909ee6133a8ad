"""Single-filter planes of one object, and how they take the five band slots."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lenshunt.core.robust import mad_sigma
from lenshunt.readers.psfs import common_size
from lenshunt.schema import SLOTS, filter_named


@dataclass(frozen=True)
class Plane:
    """One object in one filter.

    image : [y, x] nJy; any value on unusable pixels
    unusable : bool [y, x], masked, saturated or without data
    variance : [y, x] nJy^2 or None where the format ships none
    psf : float32 [h, w], unit sum, odd sides, or None
    psf_missing : whether a PSF file was named but is not there
    """

    filter_name: str
    image: np.ndarray
    unusable: np.ndarray
    variance: np.ndarray | None = None
    psf: np.ndarray | None = None
    psf_missing: bool = False


def plane(
    filter_name: str,
    counts: np.ndarray,
    njy: float,
    *,
    variance: np.ndarray | None = None,
    unusable: np.ndarray | None = None,
    psf: np.ndarray | None = None,
    psf_missing: bool = False,
) -> Plane:
    """A plane from counts and variance [counts^2]; pixels that are not finite are unusable.

    njy : nJy per count
    """
    image = np.asarray(counts, dtype=np.float64) * njy
    bad = ~np.isfinite(image)
    if unusable is not None:
        bad |= unusable
    if variance is not None:
        variance = np.asarray(variance, dtype=np.float64) * njy**2
        bad |= ~np.isfinite(variance) | (variance <= 0)
    return Plane(filter_name, image, bad, variance, psf, psf_missing)


def signal_to_noise(one: Plane) -> float:
    """S/N of the central quarter of a plane above the median of its border.

    The noise is the plane's variance where shipped, else the `mad_sigma` of its border.
    """
    height, width = one.image.shape
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    usable = ~one.unusable
    centre = usable & (radius <= min(height, width) / 4)
    border = usable & (radius > 0.45 * min(height, width))
    if not centre.any() or not border.any():
        return 0.0
    background = np.median(one.image[border])
    if one.variance is None:
        noise = mad_sigma(one.image[border]) * np.sqrt(centre.sum())
    else:
        noise = np.sqrt(one.variance[centre].sum())
    signal = float((one.image[centre] - background).sum())
    return signal / float(noise) if noise > 0 else 0.0


def fill_slots(planes: list[Plane], where: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata fields of one object: (arrays for Cutout, fields for Metadata).

    A plane without a usable pixel leaves its slot empty. Where two filters share a slot, one that
    is not a fallback wins, then the higher S/N; the loser is listed in `flags` as unused:FILTER.
    A PSF file that was named but is not there is flagged psf_missing:FILTER.
    A slot filled by a fallback filter (u on g) is flagged fallback:FILTER.
    Raises ValueError where the shapes differ or no plane has a usable pixel.
    """
    shapes = {one.image.shape for one in planes}
    if len(shapes) > 1:
        raise ValueError(f"{where}: filters of one object have different shapes {sorted(shapes)}")
    usable = [one for one in planes if not one.unusable.all()]
    if not usable:
        raise ValueError(f"{where}: no usable pixel in any filter")
    chosen, flags = _choose(usable, where)
    flags += [f"psf_missing:{filter_named(p.filter_name).name}" for p in usable if p.psf_missing]
    flags += [f"empty:{filter_named(p.filter_name).name}" for p in planes if p.unusable.all()]
    shape = (len(SLOTS), *usable[0].image.shape)
    image = np.zeros(shape, np.float32)
    variance = np.full(shape, np.inf, np.float32)
    bands, band_flags = [""] * len(SLOTS), [0] * len(SLOTS)
    for slot, one in chosen.items():
        good = ~one.unusable
        np.copyto(image[slot], one.image, casting="same_kind", where=good)
        spread = np.nan if one.variance is None else one.variance
        np.copyto(variance[slot], spread, casting="same_kind", where=good)
        bands[slot], band_flags[slot] = filter_named(one.filter_name).name, 1
    psf = _stack_psfs(chosen)
    arrays = {"image": image, "variance": variance}
    fields: dict[str, Any] = {
        "bands": tuple(bands),
        "band_flags": tuple(band_flags),
        "variance_available": all(one.variance is not None for one in chosen.values()),
        "flags": ";".join(flags),
    }
    if psf is not None:
        arrays["psf"] = psf
        fields["psf_source"] = "shipped"
    return arrays, fields


def _choose(planes: list[Plane], where: str) -> tuple[dict[int, Plane], list[str]]:
    """The plane of each slot, and flags for those that lost or that are fallbacks."""
    by_slot: dict[int, list[Plane]] = {}
    for one in planes:
        slot = SLOTS.index(filter_named(one.filter_name, where).slot)
        by_slot.setdefault(slot, []).append(one)
    chosen: dict[int, Plane] = {}
    flags: list[str] = []
    for slot, rivals in sorted(by_slot.items()):
        regular = [one for one in rivals if not filter_named(one.filter_name).fallback]
        fit = regular or rivals
        winner = fit[0] if len(fit) == 1 else max(fit, key=signal_to_noise)
        losers = [one for one in rivals if one is not winner]
        chosen[slot] = winner
        known = filter_named(winner.filter_name)
        flags += [f"fallback:{known.name}"] if known.fallback else []
        flags += [f"unused:{filter_named(loser.filter_name).name}" for loser in losers]
    return chosen, flags


def _stack_psfs(chosen: dict[int, Plane]) -> np.ndarray | None:
    """PSFs [5, h, w] where every chosen plane ships one, padded to one size; else None."""
    if any(one.psf is None for one in chosen.values()):
        return None
    sized = common_size([one.psf for one in chosen.values() if one.psf is not None])
    psf = np.zeros((len(SLOTS), *sized[0].shape), np.float32)
    for slot, array in zip(chosen, sized, strict=True):
        psf[slot] = array
    return psf
