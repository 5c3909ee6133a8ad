"""A second, independent survey of made-up lenses, in the format of the ground-based lens challenge.

A recipe tuned on one simulator may have learned that simulator. This survey shares no code and no
modelling choice with the project's own one: light profiles, colours, look-alikes, PSF, noise and
ray tracing are its own. Half of the objects are lenses; the others are what fools people.

Run it by hand: `python tests/bench/second_survey.py FOLDER N [--seed 1] [--processes 1]`.
Its parts: `second_sky`, `second_lensing`, `second_lookalikes`, `second_telescope`.
"""

import argparse
import csv
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from astropy.io import fits
from second_lensing import draw_arcs, draw_lens
from second_lookalikes import LOOKALIKES
from second_sky import ARCSEC, BANDS, PIXEL, SIZE, I, add_galaxy, add_surroundings, draw_galaxy
from second_telescope import SKY_SIGMA, add_noise, draw_psf, mask_something, observe
from tqdm import tqdm

LENS_FRACTION = 0.5
MASKED_FRACTION = 0.1


def make_object(k: int, seed: int) -> tuple[np.ndarray, dict]:
    """Images (4, 101, 101) of object k in maggies, and its row of the table without the ID.

    Under `kind`, `arcs` and `galaxy` the row also keeps what the table does not tell: the kind of
    object, and the noiseless images (4, 101, 101) of the arcs alone and of all else.
    """
    rng = np.random.default_rng([seed, k])
    is_lens = rng.random() < LENS_FRACTION
    sigma = SKY_SIGMA * np.exp(rng.normal(0, 0.03, 4))
    psf = draw_psf(rng)
    galaxy = draw_galaxy(rng)
    scene = np.zeros((4, 2 * SIZE, 2 * SIZE), np.float32)
    add_galaxy(scene, galaxy, rng)
    lens, kind = draw_lens(galaxy, rng), "lens"
    if not is_lens:
        add_lookalike = rng.choice(list(LOOKALIKES), p=list(LOOKALIKES.values()))
        add_lookalike(scene, galaxy, rng)
        kind = add_lookalike.__name__.removeprefix("add_")
    add_surroundings(scene, galaxy, rng)
    light = observe(scene, psf)
    arcs = draw_arcs(lens, psf, sigma, rng) if is_lens else np.zeros_like(light)
    images = add_noise(light + arcs, sigma, rng)
    if rng.random() < MASKED_FRACTION:
        mask_something(images, rng)
    visible = arcs[I] > sigma[I]
    row = {
        "is_lens": int(is_lens),
        "Einstein_area": f"{np.pi * (lens.einstein_radius * ARCSEC) ** 2:.4g}",
        "numb_pix_lensed_image": int(visible.sum()),
        "flux_lensed_image_in_sigma": f"{arcs[I][visible].sum() / sigma[I]:.6g}",
    }
    return images, row | {"kind": kind, "arcs": arcs, "galaxy": light}


def challenge_header() -> bytes:
    """FITS header of a challenge image: a tangential projection with north up, at (0, 0)."""
    header = fits.PrimaryHDU(np.zeros((SIZE, SIZE), np.float32)).header
    middle, degrees = (SIZE + 1) / 2, PIXEL / 3600
    header.update(WCSAXES=2, CRPIX1=middle, CRPIX2=middle, CRVAL1=0.0, CRVAL2=0.0)
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg")
    header.update(CD1_1=-degrees, CD1_2=0.0, CD2_1=0.0, CD2_2=degrees)
    return header.tostring().encode("ascii")


HEADER = challenge_header()


def write_object(k: int, folder: Path, seed: int, first_id: int) -> dict:
    """Make object k, write its four images, and return its row of the table."""
    images, row = make_object(k, seed)
    name = first_id + k
    for number, (band, image) in enumerate(zip(BANDS, images, strict=True), start=1):
        # All headers are alike, so that they are written as bytes: ten times as fast.
        data = image.astype(">f4").tobytes()
        path = folder / "Public" / f"Band{number}" / f"imageSDSS_{band}-{name}.fits"
        path.write_bytes(HEADER + data + bytes(-len(data) % 2880))
    return {"ID": name} | {key: row[key] for key in list(row)[:4]}


def write_survey(
    folder: Path, n: int, seed: int, first_id: int = 500000, processes: int = 1
) -> None:
    """Write n objects below folder; the table comes last, and a finished folder is left as it is.

    Object k depends on (seed, k) alone, so that a larger survey begins with the smaller one.
    """
    folder = Path(folder)
    table = folder / "classifications.csv"
    if table.exists() and len(table.read_text().splitlines()) == n + 1:
        return
    table.unlink(missing_ok=True)
    for number in range(1, len(BANDS) + 1):
        (folder / "Public" / f"Band{number}").mkdir(parents=True, exist_ok=True)
    write = partial(write_object, folder=folder, seed=seed, first_id=first_id)
    if processes == 1:
        rows = list(tqdm(map(write, range(n)), total=n, desc="second survey"))
    else:
        with Pool(processes) as pool:
            made = pool.imap(write, range(n), chunksize=16)
            rows = list(tqdm(made, total=n, desc="second survey"))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a survey of made-up lenses.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    write_survey(args.folder, args.n, args.seed, processes=args.processes)


if __name__ == "__main__":
    main()
