"""Tables of votes and cutouts in the form of Galaxy Zoo, and their section of the config."""

import csv

from astropy.io import fits
from raw_samples import common, noise_image

from lenshunt.config import GalaxyZooDataset
from lenshunt.readers.galaxy_zoo import PRESETS

GZ2 = PRESETS["gz2"]
HEADER = ["dr7objid", "ra", "dec", "rastring", GZ2.featured, GZ2.spiral, GZ2.ring]
SHAPE = (40, 40)


def zoo(table, **more):
    return GalaxyZooDataset(
        reader="galaxy_zoo",
        table=str(table),
        bands=more.pop("bands", ["g", "r", "i"]),
        **common(more.pop("survey", "sdss"), more.pop("role", "pretrain")),
        **more,
    )


def write_table(path, rows, header=HEADER):
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_image(path, names="gri", header=None):
    hdus = [fits.PrimaryHDU()]
    hdus += [fits.ImageHDU(noise_image(SHAPE, k), header, name=n) for k, n in enumerate(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList(hdus).writeto(path)
