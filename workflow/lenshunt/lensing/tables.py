"""Mass models from files: Lenstool's, ECSV tables of potentials, or deflection maps."""

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
from lenshunt.lensing.map_model import MapModel, map_model
from lenshunt.lensing.mass_model import MassModel
from lenshunt.raw.deflection_maps import read_deflection_maps

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


def write_ecsv(table: Table, path: Path | str) -> None:
    """Write `table` as ECSV under its final name only when it is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    table.write(partial, format="ascii.ecsv", overwrite=True)
    partial.replace(path)


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


def _read_images(path: Path, redshifts: dict[str, float]) -> Table:
    """Multiple images: ECSV, or a Lenstool arcs file with `redshifts` for the free systems."""
    if path.suffix != ".ecsv":
        return read_arcs(path, redshifts)
    table = _read_ecsv(path, IMAGE_COLUMNS)
    for name in ("image", "system"):
        table[name] = table[name].astype(str)
    return table


def _read_member_table(path: Path | str | None) -> Table | None:
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
        images=_read_images(images, fitted_redshifts(potentials) if lenstool else {}),
        members=_read_member_table(members),
    )


def load_map_model(
    deflection_x: Path | str,
    deflection_y: Path | str,
    z_lens: float,
    images: Path | str,
    members: Path | str | None = None,
    kappa: Path | str | None = None,
) -> MapModel:
    """Mass model of deflection maps at D_LS / D_S = 1, with the multiple images to test it.

    deflection_x, deflection_y : FITS maps in arcsec; kappa : the deflections are checked against it
    images : as in `load_mass_model`; every system needs a redshift, a map has none of its own
    """
    maps = read_deflection_maps(
        str(deflection_x), str(deflection_y), None if kappa is None else str(kappa)
    )
    table, galaxies = _read_images(Path(images), {}), _read_member_table(members)
    return map_model(Path(deflection_x).stem, maps, z_lens, table, galaxies)
