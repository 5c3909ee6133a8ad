"""A small field of a survey team: its images, its catalogue and its section of the config."""

from astropy.io import fits
from astropy.table import Table
from raw_samples import common, noise_image, tan_header

from lenshunt.config import FieldDataset

SHAPE = (180, 200)
SCALE = 0.168
#: 1-based pixel positions of the objects, magnitude in i, redshift.
OBJECTS = ((100.5, 90.5, 20.0, 0.4), (30.0, 150.0, 22.0, 0.6), (196.0, 90.0, 99.0, -99.0))


def image(folder, name, seed=0, shape=SHAPE, scale=SCALE, compress=False, **more):
    """Write one image of noise with a blob in the middle; returns its path."""
    header = tan_header(shape, scale, **more)
    pixels = noise_image(shape, seed)
    path = folder / f"{name}.fits"
    if compress:
        hdu = fits.CompImageHDU(pixels, header, compression_type="RICE_1", quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        fits.writeto(path, pixels, header)
    return str(path)


def catalogue(folder, kind="csv", rows=OBJECTS, names=("x", "y", "magnitude", "z_phot")):
    table = Table(rows=list(rows), names=names)
    path = folder / f"objects.{kind}"
    table.write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}[kind])
    return str(path)


def field(folder, role="search", **more):
    if "images" not in more:
        more["images"] = {name: image(folder, name, k) for k, name in enumerate("gi")}
    if "catalogue" not in more and "scan_step_arcsec" not in more:
        more["catalogue"] = catalogue(folder)
    return FieldDataset(reader="field", **common("hsc", role), **{"size_px": 32, **more})
