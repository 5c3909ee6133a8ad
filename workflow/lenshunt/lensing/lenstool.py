"""Lenstool files: best-fit model (.par), multiple images (arcs file), cluster members."""

import re
from pathlib import Path

import numpy as np
from astropy.table import Table

from lenshunt.core.cosmology import H0_KM_S_MPC, OMEGA_M, arcsec_per_kpc
from lenshunt.lensing.dpie import Potentials
from lenshunt.lensing.mass_model import MassModel

DPIE = 81
#: Lenstool accepts French keywords too.
ENGLISH = {
    "potentiel": "potential",
    "cosmologie": "cosmology",
    "profil": "profile",
    "ellipticite": "ellipticity",
}
Section = tuple[str, str, dict[str, list[str]]]


def _sections(path: Path) -> list[Section]:
    """(keyword, name, {key: values}) of every section, in the order of the file."""
    found: list[Section] = []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] in ("end", "finish", "fini"):
            continue
        key = ENGLISH.get(words[0], words[0])
        if line[0].isspace():
            if not found:
                raise ValueError(f"{path}: value {key} outside any section; not a Lenstool file?")
            found[-1][2][key] = words[1:]
        else:
            found.append((key, words[1] if len(words) > 1 else "", {}))
    return found


def _number(path: Path, section: Section, key: str) -> float:
    keyword, name, values = section
    try:
        return float(values[key][0])
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"{path}: {keyword} {name} has no number for {key}") from None


def _radius(path: Path, section: Section, key: str) -> float:
    """A radius in arcsec, given in arcsec or in kpc."""
    if key in section[2]:
        return _number(path, section, key)
    return _number(path, section, f"{key}_kpc") * arcsec_per_kpc(_number(path, section, "z_lens"))


def _reference(path: Path, sections: list[Section]) -> tuple[float, float]:
    for keyword, _, values in sections:
        if keyword == "runmode" and "reference" in values:
            mode, ra, dec = values["reference"][:3]
            if mode != "3":
                raise ValueError(f"{path}: reference mode {mode}; only 3 (RA, Dec in degrees)")
            return float(ra), float(dec)
    raise ValueError(
        f"{path}: no `reference` in section runmode; the model has no place on the sky"
    )


def _check_cosmology(path: Path, sections: list[Section]) -> None:
    wanted = {"H0": H0_KM_S_MPC, "omegaM": OMEGA_M, "omegaX": 1.0 - OMEGA_M}
    for section in sections:
        if section[0] != "cosmology":
            continue
        for key, value in wanted.items():
            if key in section[2] and not np.isclose(_number(path, section, key), value):
                raise ValueError(
                    f"{path}: cosmology {key} = {section[2][key][0]}; the cosmology here has "
                    f"{value}. Rescale v_disp and the redshift ratios before using this model"
                )


def _angle_0_to_180(degrees: np.ndarray) -> np.ndarray:
    # Rounded: the file has six decimals, and 180 - 62.382771 should not gain nine more.
    return np.round(np.asarray(degrees) % 180.0, 6)


def read_lenstool(path: Path | str) -> MassModel:
    """Mass model of a Lenstool parameter file (best.par); without images and members.

    Raises ValueError naming file, potential and key where a value is missing, where a potential
    is not a dPIE (profile 81), or where the potentials lie at several redshifts.
    """
    path = Path(path)
    sections = _sections(path)
    ra0, dec0 = _reference(path, sections)
    _check_cosmology(path, sections)
    found = [section for section in sections if section[0] == "potential"]
    if not found:
        raise ValueError(f"{path}: no potential; is this a Lenstool best.par?")
    for section in found:
        profile = _number(path, section, "profile")
        if profile != DPIE:
            raise ValueError(f"{path}: potential {section[1]} has profile {profile:g}; only {DPIE}")

    def column(key: str) -> np.ndarray:
        return np.array([_number(path, section, key) for section in found])

    z_lens = np.unique(column("z_lens"))
    if len(z_lens) > 1:
        raise ValueError(f"{path}: potentials at redshifts {z_lens}; one lens plane is supported")
    potentials = Potentials(
        name=np.array([section[1] for section in found]),
        x=column("x_centre"),
        y=column("y_centre"),
        ellipticity=column("ellipticity"),
        angle_deg=_angle_0_to_180(column("angle_pos")),
        core=np.array([_radius(path, section, "core_radius") for section in found]),
        cut=np.array([_radius(path, section, "cut_radius") for section in found]),
        sigma_km_s=column("v_disp"),
    )
    return MassModel(path.stem, potentials, ra0, dec0, float(z_lens[0]))


def fitted_redshifts(path: Path | str) -> dict[str, float]:
    """Redshift by system that the model fitted, from the header lines `#4.0 z:2.17 dlsds:...`."""
    pattern = re.compile(r"^#\s*(\S+)\s+z:([0-9.eE+-]+)", re.MULTILINE)
    matches = pattern.findall(Path(path).read_text())
    return {system_of(label): float(z) for label, z in matches}


def system_of(image: str) -> str:
    """System of an image label: `4.2` -> `4`."""
    return image.split(".")[0]


def _rows(path: Path, width: int) -> list[list[str]]:
    """Words of every line of a Lenstool object list; `#` stays as the first word."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.replace("#", "# ").split()
        if not words or words[0] == "#REFERENCE" or words[:2] == ["#", "REFERENCE"]:
            continue
        values = words[1:] if words[0] == "#" else words
        if len(values) < width:
            raise ValueError(f"{path}, line {number}: {len(values)} columns, {width} expected")
        rows.append(words)
    return rows


def read_arcs(path: Path | str, redshifts: dict[str, float]) -> Table:
    """Multiple images of a Lenstool arcs file (id ra dec a b theta z mag).

    redshifts : by system, for the systems whose redshift in the file is 0 (free in the model)
    Returns image, system, ra, dec (deg), z, z_source (`measured` or `model`).
    Raises ValueError when a system has no redshift in either.
    """
    path = Path(path)
    rows = [words for words in _rows(path, 8) if words[0] != "#"]
    systems = [system_of(words[0]) for words in rows]
    z = [float(words[6]) for words in rows]
    source = ["measured" if value > 0 else "model" for value in z]
    missing = sorted({s for s, value in zip(systems, z, strict=True) if not value} - set(redshifts))
    if missing:
        raise ValueError(
            f"{path}: no redshift for systems {missing}, nor in the header of the model"
        )
    table = Table()
    table["image"] = [words[0] for words in rows]
    table["system"] = systems
    table["ra"] = [float(words[1]) for words in rows]
    table["dec"] = [float(words[2]) for words in rows]
    table["z"] = [value or redshifts[s] for s, value in zip(systems, z, strict=True)]
    table["z_source"] = source
    return with_units(table)


def read_members(path: Path | str) -> Table:
    """Cluster members of a Lenstool galaxy list (id ra dec a b theta mag z).

    A row that is commented out is a galaxy too: the model gives it its own potential instead of
    one from the scaling relation. `scaled` tells the two apart.
    Returns id, ra, dec (deg), a_arcsec, b_arcsec, angle_deg (from +x = West), magnitude, scaled.
    """
    rows = _rows(Path(path), 7)
    values = [words[1:] if words[0] == "#" else words for words in rows]
    table = Table()
    table["id"] = [row[0] for row in values]
    for index, name in enumerate(("ra", "dec", "a_arcsec", "b_arcsec"), start=1):
        table[name] = [float(row[index]) for row in values]
    table["angle_deg"] = _angle_0_to_180(np.array([float(row[5]) for row in values]))
    table["magnitude"] = [float(row[6]) for row in values]
    table["scaled"] = [words[0] != "#" for words in rows]
    return with_units(table)


def with_units(table: Table) -> Table:
    """Give every column of the known names its unit."""
    for name in table.colnames:
        if name in ("ra", "dec", "angle_deg"):
            table[name].unit = "deg"
        elif name.endswith("_arcsec"):
            table[name].unit = "arcsec"
        elif name == "magnitude":
            table[name].unit = "mag"
        elif name == "sigma_km_s":
            table[name].unit = "km / s"
    return table
