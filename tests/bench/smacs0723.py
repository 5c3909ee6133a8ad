"""Image-plane RMS of the published model of SMACS J0723, per system: tables and Lenstool files.

python tests/bench/smacs0723.py [FOLDER]: FOLDER holds the published best.par and arcs.dat
(github.com/guillaumemahler/SMACS0723-mahler2022, ICLv2). Without it, the tables of this project
alone. The published value is 0.32" over 60 images (Mahler et al. 2023, ApJ 945, 49).
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table

from lenshunt.core import RESOURCES
from lenshunt.lensing import (
    MassModel,
    critical_curves,
    effective_einstein_radius,
    image_plane_rms,
    load_mass_model,
    predicted_images,
)

PUBLISHED_ARCSEC, TOLERANCE_ARCSEC = 0.32, 0.01
Z_SOURCES = (1.0, 2.0, 9.0)


def models(folder: Path | None) -> dict[str, MassModel]:
    """The model of this project's tables and, where a folder is named, of Lenstool's files."""
    tables = RESOURCES / "smacs0723"
    found = {"tables": load_mass_model(tables / "potentials.ecsv", tables / "images.ecsv")}
    if folder is not None:
        found["lenstool"] = load_mass_model(folder / "best.par", folder / "arcs.dat")
    return found


def systems(predicted: dict[str, Table]) -> Table:
    """One row per system: redshift, images, and the RMS (arcsec) of every model."""
    first = next(iter(predicted.values()))
    system = np.asarray(first["system"]).astype(str)
    names = list(dict.fromkeys(system))
    table = Table({"system": names})
    table["z"] = [float(first["z"][system == name][0]) for name in names]
    table["z_source"] = [str(first["z_source"][system == name][0]) for name in names]
    table["images"] = [int(np.sum(system == name)) for name in names]
    for label, images in predicted.items():
        by_system = image_plane_rms(images)[1]
        table[f"rms_{label}"] = [by_system[name] for name in names]
        table[f"rms_{label}"].format = "%.4f"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="published best.par and arcs.dat")
    known = models(parser.parse_args().folder)
    predicted = {label: predicted_images(model) for label, model in known.items()}
    table = systems(predicted)
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    for label, images in predicted.items():
        total = image_plane_rms(images)[0]
        made = int(np.isfinite(images["residual"]).sum())
        verdict = "reached" if abs(total - PUBLISHED_ARCSEC) <= TOLERANCE_ARCSEC else "MISSED"
        print(
            f'{label}: image-plane RMS {total:.4f}" over {made} of {len(images)} images, '
            f'published {PUBLISHED_ARCSEC}" +- {TOLERANCE_ARCSEC}": {verdict}'
        )
    model = next(iter(known.values()))
    for z in Z_SOURCES:
        curves = critical_curves(model, z)
        radius = effective_einstein_radius(model, curves, z)
        print(f'effective Einstein radius, z_s = {z:g}: {radius:.2f}" ({len(curves)} curves)')


if __name__ == "__main__":
    main()
