"""The truth tables: what was painted on every host, with units in the file itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from lenshunt.core import whole_file
from lenshunt.scenes.inject import Injected
from lenshunt.schema import SLOTS

_TEXT, _NUMBER, _COUNT = pyarrow.large_string(), pyarrow.float64(), pyarrow.int64()
#: Column: (type, unit, meaning).
COLUMNS: dict[str, tuple[pyarrow.DataType, str, str]] = {
    "sample_id": (_TEXT, "", "record of the lens"),
    "host_id": (_TEXT, "", "record of the galaxy, in the data set of the hosts"),
    "system_id": (_TEXT, "", "system of lens, host and the galaxy's own record"),
    "theta_e": (_NUMBER, "arcsec", "Einstein radius: pi theta_e^2 = area in the critical curve"),
    "z_lens": (_NUMBER, "", "redshift of the lens of the population"),
    "z_source": (_NUMBER, "", "redshift of the source"),
    "sigma_km_s": (_NUMBER, "km/s", "velocity dispersion of the lens"),
    "q": (_NUMBER, "", "axis ratio of the mass"),
    "angle": (_NUMBER, "rad", "major axis of the mass, from +x of the image to +y"),
    "gamma1": (_NUMBER, "", "external shear along the axes"),
    "gamma2": (_NUMBER, "", "external shear along the diagonals"),
    "lens_x": (_NUMBER, "arcsec", "centre of the mass from the image centre"),
    "lens_y": (_NUMBER, "arcsec", "centre of the mass from the image centre"),
    "source_x": (_NUMBER, "arcsec", "source in the source plane, from the image centre"),
    "source_y": (_NUMBER, "arcsec", "source in the source plane, from the image centre"),
    "source_magnitude": (_NUMBER, "mag(AB)", "i magnitude of the source, unlensed"),
    "source_radius": (_NUMBER, "arcsec", "half-light radius of the source, circularised"),
    "source_sersic": (_NUMBER, "", "Sersic index of the source where it is no real galaxy"),
    "source_q": (_NUMBER, "", "axis ratio of the source where it is no real galaxy"),
    "source_name": (_TEXT, "", "record of the real galaxy whose light was lensed; else empty"),
    "magnification": (_NUMBER, "", "lensed / unlensed flux, within the image"),
    "n_images": (_COUNT, "", "number of images of the centre of the source"),
    "lensed_flux": (_NUMBER, "nJy", "lensed flux in i or the nearest band"),
    "flux_ratio": (_NUMBER, "", "lensed / (lensed + host) flux in that band, host within 3 arcsec"),
    "arc_snr": (_NUMBER, "", "S/N of the arcs over the noise, all bands"),
    "visible_snr": (_NUMBER, "", "of the best band, over the noise and 5 % of the host's light"),
    "host_magnitude": (_NUMBER, "mag(AB)", "host within 3 arcsec, in i or the nearest band"),
    **{
        f"arc_flux_{slot}": (_NUMBER, "nJy", f"flux of the arcs within the image, {slot}")
        for slot in SLOTS
    },
    **{
        f"host_magnitude_{slot}": (_NUMBER, "mag(AB)", f"catalogue magnitude of the host, {slot}")
        for slot in SLOTS
    },
}


#: The same of painted look-alikes.
LOOK_ALIKE_COLUMNS: dict[str, tuple[pyarrow.DataType, str, str]] = {
    "sample_id": (_TEXT, "", "record of the look-alike"),
    "system_id": COLUMNS["system_id"],
    "kind": (_TEXT, "", "kind of look-alike, a key of hard_negative_kinds"),
    "replaced_theta_e": (_NUMBER, "arcsec", "Einstein radius of the lens whose arcs it replaces"),
    "replaced_z_lens": (_NUMBER, "", "redshift of that lens"),
    "replaced_z_source": (_NUMBER, "", "redshift of that source"),
    "source_name": (_TEXT, "", "record of the real galaxy whose light is shown; else empty"),
    "light_flux": (_NUMBER, "nJy", "painted flux in i or the nearest band"),
    "visible_snr": COLUMNS["visible_snr"],
    **{f"light_flux_{slot}": (_NUMBER, "nJy", f"painted flux, {slot}") for slot in SLOTS},
}


def truth_row(made: Injected) -> dict[str, Any]:
    """One row of the table."""
    host, wanted = made.host.metadata, made.truth
    name = host.sample_id.removeprefix(f"{host.dataset}-").removesuffix("-host")
    magnitudes = zip(SLOTS, host.magnitude, strict=True)
    return {
        **wanted,
        "host_id": name,
        **{f"host_magnitude_{slot}": value for slot, value in magnitudes},
    }


def write_truth(
    rows: Sequence[dict[str, Any]],
    out: Path | str,
    columns: dict[str, tuple[pyarrow.DataType, str, str]] = COLUMNS,
) -> None:
    """Parquet with these columns; unit and meaning are metadata of each."""
    schema = pyarrow.schema(
        [
            pyarrow.field(name, kind, metadata={"unit": unit, "description": meaning})
            for name, (kind, unit, meaning) in columns.items()
        ]
    )
    arrays = [pyarrow.array([row[name] for row in rows], schema.field(name).type)
              for name in columns]  # fmt: skip
    table = pyarrow.Table.from_arrays(arrays, schema=schema)
    with whole_file(out) as partial:
        parquet.write_table(table, partial)


def read_truth(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Truth tables of all chunks in one."""
    parts = [parquet.read_table(path).to_pandas() for path in paths]
    return pd.concat(parts, ignore_index=True)
