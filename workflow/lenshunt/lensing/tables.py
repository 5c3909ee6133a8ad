"""Mass models from files: Lenstool's, or ECSV tables of potentials."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from lenshunt.lensing.dpie import Potentials
from lenshunt.lensing.lenstool import (
    fitted_redshifts,
    read_arcs,
    read_lenstool,
    read_members,
    with_units,
)
from lenshunt.lensing.mass_model import MassModel

#: Column of potentials.ecsv -> field of Potentials.
POTENTIAL_COLUMNS = {
    "name": "name",
    "x_arcsec": "x",
    "y_arcsec": "y",
    "ellipticity": "ellipticity",
    "angle_deg": "angle_deg",
    "core_arcsec": "core",
    "cut_arcsec": "cut",
    "sigma_km_s": "sigma_km_s",
}
IMAGE_COLUMNS = ("image", "system", "ra", "dec", "z", "z_source")
MEMBER_COLUMNS = ("id", "ra", "dec", "a_arcsec", "b_arcsec", "angle_deg", "magnitude", "scaled")
META_KEYS = ("ra0", "dec0", "z_lens")


def potentials_table(model: MassModel) -> Table:
    """Potentials of `model`, the reference position and the lens redshift in the meta data."""
    columns = {name: getattr(model.potentials, f) for name, f in POTENTIAL_COLUMNS.items()}
    table = with_units(Table(columns))
    table.meta = {
        "ra0": float(model.ra0),
        "dec0": float(model.dec0),
        "z_lens": float(model.z_lens),
        "profile": "dPIE (Lenstool 81); x = West, y = North of (ra0, dec0); angle from +x",
    }
    return table


def _read_ecsv(path: Path, columns: tuple[str, ...]) -> Table:
    table = Table.read(path, format="ascii.ecsv")
    missing = [name for name in columns if name not in table.colnames]
    if missing:
        raise ValueError(f"{path}: no columns {missing}; expected {list(columns)}")
    return table


def _read_potentials(path: Path) -> MassModel:
    table = _read_ecsv(path, tuple(POTENTIAL_COLUMNS))
    missing = [key for key in META_KEYS if key not in table.meta]
    if missing:
        raise ValueError(f"{path}: meta data lacks {missing}")
    values = {field: np.asarray(table[name]) for name, field in POTENTIAL_COLUMNS.items()}
    values["name"] = values["name"].astype(str)
    ra0, dec0, z_lens = (float(table.meta[key]) for key in META_KEYS)
    return MassModel(
        str(table.meta.get("model", path.stem)),
        Potentials(**values),
        ra0,
        dec0,
        z_lens,
        citation=str(table.meta.get("citation", "")),
    )


def read_images(path: Path, redshifts: dict[str, float]) -> Table:
    """Multiple images: ECSV, or a Lenstool arcs file with `redshifts` for the free systems."""
    if path.suffix != ".ecsv":
        return read_arcs(path, redshifts)
    table = _read_ecsv(path, IMAGE_COLUMNS)
    for name in ("image", "system"):
        table[name] = table[name].astype(str)
    return table


def read_member_table(path: Path | str | None) -> Table | None:
    if path is None:
        return None
    ecsv = Path(path).suffix == ".ecsv"
    return _read_ecsv(Path(path), MEMBER_COLUMNS) if ecsv else read_members(path)


def load_mass_model(
    potentials: Path | str, images: Path | str, members: Path | str | None = None
) -> MassModel:
    """Mass model with its multiple images, from Lenstool files or from ECSV tables.

    potentials : Lenstool .par, or ECSV of dPIE potentials
    images : Lenstool arcs file, or ECSV. Systems without a redshift take the model's fitted one
    members : Lenstool galaxy list, or ECSV
    """
    potentials, images = Path(potentials), Path(images)
    lenstool = potentials.suffix != ".ecsv"
    model = read_lenstool(potentials) if lenstool else _read_potentials(potentials)
    return replace(
        model,
        images=read_images(images, fitted_redshifts(potentials) if lenstool else {}),
        members=read_member_table(members),
    )
