"""One number 0..1 for how far a homogenised cutout can be trusted, and the reasons."""

from dataclasses import dataclass

import numpy as np

from lenshunt.schema import SLOTS

#: Radius about the centre, in units of the side, inside which masked pixels hide a lens.
CORE_RADIUS = 1 / 6
#: Radius in pixels of the very centre: saturated there, the deflector is lost.
CENTRE_RADIUS_PX = 3.0
SNR_MIN = 5.0


@dataclass(frozen=True)
class Quality:
    """quality [n] in 0..1; reasons [n], words joined by ";" ("" where nothing is wrong)."""

    quality: np.ndarray
    reasons: list[str]


def _disc(size: int, radius_px: float) -> np.ndarray:
    offset = np.arange(size) - (size - 1) / 2
    return np.hypot(offset[:, None], offset) < radius_px


def assess(
    variance: np.ndarray,
    band_flags: np.ndarray,
    covered: np.ndarray,
    snr: np.ndarray,
    psf_matched: np.ndarray,
) -> Quality:
    """Quality of n cutouts.

    variance : [n, band, y, x], +inf where unusable
    band_flags : bool [n, band]
    covered : [n], fraction of the grid that lies on the raw image
    snr : [n], of the object in its 3 arcsec aperture; NaN where unknown
    psf_matched : bool [n]
    Each fault multiplies the quality by a factor; a fault that hides the lens itself (masked core,
    no usable band) weighs most, one that every cutout of a survey shares (a missing band) least.
    """
    size = variance.shape[-1]
    present = np.maximum(band_flags.sum(axis=1), 1)
    masked = ~np.isfinite(variance) & band_flags[:, :, None, None]
    core = masked[:, :, _disc(size, size * CORE_RADIUS)].mean(axis=2).sum(axis=1) / present
    centre = masked[:, :, _disc(size, CENTRE_RADIUS_PX)].any(axis=2).sum(axis=1) / present
    missing = 1 - band_flags.mean(axis=1)
    weak = np.where(np.isfinite(snr), np.clip(1 - snr / SNR_MIN, 0, 1), 1.0)
    faults = {
        "masked_core": (core > 0.02, 1 - core),
        "saturated_centre": (centre > 0, 1 - 0.6 * centre),
        "missing_band": (missing > 0, 1 - 0.15 * missing),
        "edge": (covered < 0.95, 1 - 0.2 * (1 - covered)),
        "low_snr": (weak > 0, 1 - 0.4 * weak),
        "psf_unmatched": (~psf_matched, np.where(psf_matched, 1.0, 0.85)),
        "no_usable_pixel": (core > 0.999, np.where(core > 0.999, 0.0, 1.0)),
    }
    quality = np.prod([factor for _, factor in faults.values()], axis=0)
    reasons = []
    for row in range(len(variance)):
        words = [name for name, (found, _) in faults.items() if found[row]]
        if "missing_band" in words:
            gone = "".join(s for s, f in zip(SLOTS, band_flags[row], strict=True) if not f)
            words[words.index("missing_band")] = f"missing_band:{gone}"
        reasons.append(";".join(words))
    return Quality(np.clip(quality, 0.0, 1.0), reasons)
