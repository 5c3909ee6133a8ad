"""Variance and unusable pixels of HST images, from ERR, WHT and DQ."""

import numpy as np
from astropy.stats import sigma_clip

from lenshunt.raw.castles_chips import Chip
from lenshunt.raw.fits_image import Keywords
from lenshunt.raw.hst_counts import hst_unit

#: DQ bits with which a pixel is usable, by INSTRUME; any other bit makes it unusable.
#: WFPC2: 256 above a charge trap, 1024 repaired warm pixel (stsci.edu, WFPC2 data quality flags).
#: ACS: 64 warm pixel, dark subtracted (stsci.edu, ACS DQ flag definitions).
#: WFC3: 64 and 512 (blobs), the default of AstroDrizzle for the IR channel (WFC3 data handbook,
#: section 7.9); UVIS keeps 64 alone, where 512 is a defect of the flat.
#: NICMOS: 1024 pixel holds a source, 2048 signal in the zeroth read (NICMOS data handbook,
#: table 2.3; the bits were taken over without looking them up).
USABLE_BITS = {"WFPC2": 256 | 1024, "ACS": 64, "WFC3": 64, "WFC3/IR": 64 | 512, "NICMOS": 3072}

#: DN from which WFPC2 pixels are likely saturated (stsci.edu, WFPC2 data quality flags).
WFPC2_SATURATION_DN = 3500.0

#: Header keys in which a pipeline may name the kind of its weights.
_KIND_KEYS = ("WHTTYPE", "WHT_TYPE", "WEIGHTTY")
_KINDS = {
    "EXP": "exposure",
    "EXPTIME": "exposure",
    "IVM": "inverse_variance",
    "IVAR": "inverse_variance",
    "ERR": "inverse_variance",
    "MAP_WEIGHT": "inverse_variance",
    "MAP_RMS": "rms",
    "RMS": "rms",
}
#: Weights are exposure times where their maximum is EXPTIME within this fraction.
_EXPOSURE_TOLERANCE = 0.1
#: Weights agree with inverse variances where weight times measured variance is in this range:
#: drizzling correlates neighbouring pixels, which lowers the variance of single ones to a
#: quarter (Casertano et al. 2000, AJ 120, 2747). The range itself is ours.
_INVERSE_VARIANCE = (0.1, 1.5)


def unusable_pixels(chip: Chip, counts: np.ndarray) -> np.ndarray:
    """Bool [y, x]: flagged in DQ, without weight or error, saturated, or exactly 0.

    Drizzled images are exactly 0 where no exposure contributes.
    """
    instrument = str(chip.header.get("INSTRUME", "")).strip().upper().split("/")[0]
    bad = ~np.isfinite(counts) | (counts == 0)
    flags = chip.companion("DQ")
    if flags is not None:
        detector = f"{instrument}/{str(chip.header.get('DETECTOR', '')).strip().upper()}"
        usable = USABLE_BITS.get(detector, USABLE_BITS.get(instrument, 0))
        bad |= (flags.astype(np.int64) & 0xFFFF & ~usable) != 0
    elif instrument == "WFPC2" and hst_unit(chip.header, chip.path) == ("DN", False):
        bad |= counts >= WFPC2_SATURATION_DN
    weight = chip.companion("WHT")
    return bad if weight is None else bad | ~(weight > 0)


def variance_of(
    chip: Chip, counts: np.ndarray, bad: np.ndarray, weight_kind: str
) -> tuple[np.ndarray | None, str]:
    """(variance [y, x] in image unit^2 or None, word for `flags` or "").

    ERR is squared; else WHT is read by `weight_kind`, for "auto" by `kind_of_weights`. Exposure
    times and weights of unknown kind are relative: variance = sky variance * median(WHT) / WHT
    with the measured sky variance at the median weight; the unknown ones are flagged
    weight_relative. The Poisson noise of the objects is in ERR alone.
    """
    error = chip.companion("ERR")
    if error is not None:
        return error**2, ""
    weight = chip.companion("WHT")
    if weight is None:
        return None, ""
    kind = weight_kind
    sky = float("nan")
    if kind in ("auto", "exposure"):
        sky = sky_variance(counts, weight, bad, chip.path)
    if kind == "auto":
        kind = kind_of_weights(weight, bad, chip.header, sky)
    if kind == "rms":
        return weight**2, ""
    inverse = np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0)
    if kind == "inverse_variance":
        return inverse, ""
    flag = "" if kind == "exposure" else "weight_relative"
    return sky * float(np.median(weight[~bad])) * inverse, flag


def kind_of_weights(
    weight: np.ndarray, bad: np.ndarray, header: Keywords, sky_variance: float
) -> str:
    """ "exposure", "inverse_variance", "rms", or "relative" where nothing tells.

    A header key that names the kind goes first. AstroDrizzle writes none (D001WTSC is a factor
    per input, D001WKEY the version of the WCS), but its EXP weights reach the exposure time: the
    sum over the inputs times the area of output to input pixels (D001SCAL / D001ISCL squared).
    Else weights that agree with the measured sky variance are inverse variances.
    """
    for key in _KIND_KEYS:
        named = _KINDS.get(str(header.get(key, "")).strip().upper())
        if named:
            return named
    good = weight[~bad]
    exposure = float(header.get("EXPTIME") or 0.0)
    sides = [float(header.get(key) or 0.0) for key in ("D001SCAL", "D001ISCL")]
    areas = {1.0, (sides[0] / sides[1]) ** 2 if min(sides) > 0 else 1.0}
    # a few pixels at corners of inputs exceed it
    largest = float(np.percentile(good, 99.5))
    if any(abs(largest / (exposure * a) - 1) < _EXPOSURE_TOLERANCE for a in areas if exposure > 0):
        return "exposure"
    low, high = _INVERSE_VARIANCE
    return "inverse_variance" if low < np.median(good) * sky_variance < high else "relative"


def sky_variance(counts: np.ndarray, weight: np.ndarray, bad: np.ndarray, path: str) -> float:
    """Variance of the sky per pixel at the median weight, in image unit^2.

    Residuals from the median, scaled to one weight and sigma-clipped (3 sigma). ValueError naming
    the file where fewer than 100 pixels are usable.
    """
    good = ~bad & (weight > 0)
    values, weights = counts[good], weight[good]
    if len(values) < 100:
        raise ValueError(f"{path}: {len(values)} usable pixels, too few to measure the sky noise")
    # 200,000 pixels tell the variance to 0.3 %
    step = max(1, len(values) // 200_000)
    values, weights = values[::step], weights[::step]
    scaled = (values - np.median(values)) * np.sqrt(weights / np.median(weight[good]))
    kept = sigma_clip(scaled, sigma=3.0, maxiters=10, cenfunc="median", stdfunc="mad_std")
    # a normal distribution cut at 3 sigma keeps 0.97334 of its variance
    return float(np.ma.var(kept)) / 0.97334
