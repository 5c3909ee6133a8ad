"""Records of an injection: the host with light added, and the host alone as its negative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lenshunt.schema import Cutout, magnitude_from_njy, njy_from_magnitude

#: Confidence in the label of a host: unknown lenses are rare.
HOST_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Injected:
    """A lens made from a host, the host as its negative, and what was painted.

    arcs_njy : float32 [band, y, x], noiseless; truth : one value per column of the truth table
    """

    lens: Cutout
    host: Cutout
    arcs_njy: np.ndarray
    truth: dict[str, Any]


def with_light(
    host: Cutout, image: np.ndarray, variance: np.ndarray, light_njy: np.ndarray, share: float
) -> Cutout:
    """The host with other pixels, its flux, magnitude and S/N raised by the light painted on it.

    light_njy : [band, y, x]; share : of the light in the flux of both, in i or the nearest band
    """
    added = light_njy.sum(axis=(1, 2), dtype=float)
    flux = np.array(host.metadata.flux) + added
    # unknown magnitudes stay unknown
    magnitude = magnitude_from_njy(njy_from_magnitude(np.array(host.metadata.magnitude)) + added)
    # S/N of a galaxy fainter than the sky grows as its flux
    brighter = 1.0 / (1.0 - share) if share < 1.0 else float("nan")
    return replace(host, image=image, variance=variance).with_metadata(
        snr=host.metadata.snr * brighter,
        flux=tuple(float(value) for value in flux),
        magnitude=tuple(float(value) for value in magnitude),
    )


def lens_records(
    host: Cutout,
    image: np.ndarray,
    variance: np.ndarray,
    arcs: np.ndarray,
    truth: dict[str, Any],
    dataset: str,
) -> Injected:
    """The lens (label 1, sim:injection) and its host (label 0, obs:matched), of one system."""
    lens = with_light(host, image, variance, arcs, truth["flux_ratio"]).with_metadata(
        sample_id=f"{dataset}-{host.metadata.sample_id}-lens",
        dataset=dataset,
        label=1,
        label_source="sim:injection",
        label_confidence=1.0,
        einstein_radius=truth["theta_e"],
        flux_ratio=truth["flux_ratio"],
        arc_snr=truth["arc_snr"],
    )
    truth = {"sample_id": lens.metadata.sample_id, "system_id": lens.metadata.system_id, **truth}
    return Injected(lens, matched_negative(host, dataset), arcs, truth)


def matched_negative(host: Cutout, dataset: str) -> Cutout:
    """A host without arcs as a record of its own: the negative to lenses made of such hosts."""
    return host.with_metadata(
        sample_id=f"{dataset}-{host.metadata.sample_id}-host",
        dataset=dataset,
        label=0,
        label_source="obs:matched",
        label_confidence=HOST_CONFIDENCE,
        einstein_radius=float("nan"),
        flux_ratio=float("nan"),
        arc_snr=float("nan"),
    )
