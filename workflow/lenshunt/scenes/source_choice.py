"""Galaxies that serve as sources, chosen among the records of data sets."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from lenshunt.scenes.host_records import cutouts_of, seed_of
from lenshunt.scenes.real_sources import RealSource, real_sources
from lenshunt.schema import read_metadata


def choose_sources(
    key: str, chunks: Sequence[tuple[Path | str, Path | str]], sources_max: int, seed: int
) -> list[RealSource]:
    """Galaxies of these records, the same in every run.

    key : of the configuration that names them, for messages and the random order
    chunks : (pixels, metadata) of the records; of more than sources_max a random part is read
    Raises ValueError where none of them shows a whole galaxy.
    """
    labels = [read_metadata(path, ("sample_id", "label")) for _, path in chunks]
    # a lensed galaxy would be lensed twice
    names = pd.concat([table.loc[table["label"] != 1, "sample_id"] for table in labels])
    wanted = set(sorted(names, key=lambda name: seed_of(seed, key, name))[:sources_max])
    records = (one for pixels, path in chunks for one in cutouts_of(pixels, path, wanted))
    bar = tqdm(records, total=len(wanted), desc="reading sources", unit="galaxy", disable=None)
    sources, refused = real_sources(bar)
    print(f"{key}: {len(sources)} galaxies serve as sources, {len(refused)} do not")
    for reason in sorted(refused.values()):
        print(f"  {reason}")
    if not sources:
        raise ValueError(
            f"{key}: none of the {len(wanted)} records shows a whole galaxy; name other data "
            "sets, or none for clumpy Sersic galaxies"
        )
    return sources
