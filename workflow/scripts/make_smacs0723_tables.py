"""Make resources/smacs0723/*.ecsv from the published Lenstool files of SMACS J0723.3-7327."""

import argparse
from dataclasses import replace
from pathlib import Path

from lenshunt.core import file_sha256, write_ecsv
from lenshunt.lensing import load_mass_model, potentials_table

META = {
    "model": "Mahler et al. 2023",
    "citation": "Mahler et al. 2023, ApJ 945, 49",
    "origin": "https://github.com/guillaumemahler/SMACS0723-mahler2022",
    "commit": "f36a41c365865df252a6da08cd79955f9cd68f11",
    "licence": "CC0-1.0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="folder ICLv2 with best.par, arcs.dat, galcat.cat"
    )
    parser.add_argument("out", type=Path, help="folder of the tables, resources/smacs0723")
    args = parser.parse_args()
    sources = {name: args.folder / name for name in ("best.par", "arcs.dat", "galcat.cat")}
    model = replace(load_mass_model(*sources.values()), name=META["model"])
    assert model.members is not None
    tables = {
        "potentials.ecsv": (potentials_table(model), "best.par"),
        "images.ecsv": (model.images, "arcs.dat"),
        "members.ecsv": (model.members, "galcat.cat"),
    }
    for name, (table, source) in tables.items():
        table.meta.update(META, file=f"ICLv2/{source}", sha256=file_sha256(sources[source]))
        write_ecsv(table, args.out / name)


if __name__ == "__main__":
    main()
