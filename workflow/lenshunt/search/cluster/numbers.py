"""Numbers of one mass model: how well it fits, and where the candidates lie in it."""

from typing import Any

import numpy as np
import pandas as pd

from lenshunt.lensing import (
    LensModel,
    curve_length,
    distance_to_curves,
    effective_einstein_radius,
    image_plane_rms,
    predicted_images,
)
from lenshunt.search.cluster.scan import matching_magnitude
from lenshunt.search.cluster.significance import magnitude_strata, matched_subsets, p_value

Curves = dict[float, list[np.ndarray]]
#: A published image counts as recovered when a candidate lies this close: the matching radius
#: that is used between all catalogues of the project.
RECOVERY_ARCSEC = 2.0


def model_numbers(model: LensModel, curves: Curves) -> dict[str, Any]:
    """Image-plane RMS in total and by system, and the size of the critical curves."""
    predicted = predicted_images(model)
    total, by_system = image_plane_rms(predicted)
    system = np.asarray(predicted["system"]).astype(str)
    redshift = np.asarray(predicted["z"], dtype=float)
    return {
        "citation": model.citation,
        "z_lens": model.z_lens,
        "made_of": model.description,
        "n_images": len(predicted),
        "n_images_not_made_by_model": int(np.isnan(predicted["residual"]).sum()),
        "n_systems": len(by_system),
        "image_plane_rms_arcsec": total,
        "systems": [
            {
                "system": name,
                "z": float(redshift[system == name][0]),
                "n_images": int(np.sum(system == name)),
                "rms_arcsec": rms,
            }
            for name, rms in by_system.items()
        ],
        "critical_curves": {
            f"{z:g}": {
                "n_curves": len(lines),
                "length_arcsec": float(sum(curve_length(line) for line in lines)),
                "einstein_radius_arcsec": effective_einstein_radius(model, lines, z),
            }
            for z, lines in curves.items()
        },
    }


def places_in_model(scanned: pd.DataFrame, model: LensModel, curves: Curves) -> pd.DataFrame:
    """Where objects lie in the lens, one row per object of `scanned` (needs ra, dec).

    distance_arcsec : to the nearest critical curve of any z_s
    distance_main_arcsec : to the nearest of the longest curve of each z_s, the cluster's own;
        a cluster member always lies close to the small curve that it makes itself
    distance_zZ_arcsec, abs_mu_zZ, kappa_zZ : for source redshift Z alone
    """
    x, y = model.tangent(scanned["ra"].to_numpy(), scanned["dec"].to_numpy())
    places = pd.DataFrame(index=scanned.index)
    main = [distance_to_curves(x, y, lines[:1]) for lines in curves.values()]
    every = [distance_to_curves(x, y, lines) for lines in curves.values()]
    places["distance_arcsec"] = np.fmin.reduce(every)
    places["distance_main_arcsec"] = np.fmin.reduce(main)
    for z_source, distance in zip(curves, every, strict=True):
        suffix = f"z{z_source:g}"
        places[f"distance_{suffix}_arcsec"] = distance
        places[f"abs_mu_{suffix}"] = np.abs(model.magnification(x, y, z_source))
        places[f"kappa_{suffix}"] = model.kappa(x, y, z_source)
    return places


def _near_images(model: LensModel, scanned: pd.DataFrame) -> np.ndarray:
    """[image, object] bool: the object lies within RECOVERY_ARCSEC of the published image."""
    x, y = model.tangent(scanned["ra"].to_numpy(), scanned["dec"].to_numpy())
    u, v = model.tangent(np.asarray(model.images["ra"]), np.asarray(model.images["dec"]))
    return np.hypot(x[None, :] - u[:, None], y[None, :] - v[:, None]) <= RECOVERY_ARCSEC


def candidate_numbers(
    scanned: pd.DataFrame,
    chosen: np.ndarray,
    places: pd.DataFrame,
    model: LensModel,
    random_catalogues: int,
    seed: int,
) -> dict[str, Any]:
    """Median distance to critical curves and recovered images, against matched random subsets.

    scanned : every object that was scored; chosen : [object] bool, the candidates
    With no candidate there is nothing to compare: the numbers are None and `note` says so.
    """
    band, magnitude = matching_magnitude(scanned)
    near = _near_images(model, scanned)
    numbers: dict[str, Any] = {
        "n_scanned": len(scanned),
        "n_candidates": int(chosen.sum()),
        "matched_in": band,
        "recovery_radius_arcsec": RECOVERY_ARCSEC,
        "n_images": len(near),
        "n_images_near_scanned_objects": int(near.any(axis=1).sum()),
    }
    if not chosen.any():
        return numbers | {"note": "no candidate above the threshold: no distance, no p-value"}
    subsets = matched_subsets(magnitude_strata(magnitude), chosen, random_catalogues, seed)
    for name in ("distance_arcsec", "distance_main_arcsec"):
        distance = places[name].to_numpy()
        observed = float(np.median(distance[chosen]))
        random = np.median(distance[subsets], axis=1)
        numbers[f"median_{name}"] = observed
        numbers[f"median_{name}_random"] = float(np.median(random))
        numbers[f"p_value_{name}"] = p_value(observed, random)
    recovered = int(near[:, chosen].any(axis=1).sum())
    random_recovered = np.array([near[:, subset].any(axis=1).sum() for subset in subsets])
    numbers["n_images_recovered"] = recovered
    numbers["recovered_fraction"] = recovered / len(near) if len(near) else float("nan")
    numbers["n_images_recovered_random"] = float(np.mean(random_recovered))
    numbers["p_value_recovered"] = p_value(-recovered, -random_recovered)
    return numbers
