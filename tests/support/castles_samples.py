"""HST files and headers that the tests of the CASTLES reader share."""

from pathlib import Path

from astropy.io import fits
from raw_samples import common, read_all, tan_header

from lenshunt.config import CastlesDataset

SHAPE = (60, 64)
COLUMNS = (
    "#",
    "Lens name",
    "G",
    "zs",
    "zl",
    "RA (J2000)",
    "Dec (J2000)",
    "E(B-V)",
    "ms (mag)",
    "ml (mag)",
    "FGHz (mJy)",
    "Nim",
    'size (")',
    "dt (days)",
    "sigma (km/s)",
)
ROW = "1\tHE0435-1223\tB\t1.689\t0.46\t10:00:00\t+02:00:00\t0.05\tI=17\tI=18\t\t4\t2.42\t\t"


def table(folder, *rows):
    (folder / "castles.tsv").write_text("\n".join(["\t".join(COLUMNS), *(rows or (ROW,))]) + "\n")
    return folder / "castles.tsv"


def dataset(folder, **more):
    return CastlesDataset(
        reader="castles",
        images=[str(folder / "*.fits")],
        table=str(folder / "castles.tsv"),
        **common("hst"),
        **more,
    )


def write(folder, name, pixels, header, extensions=(), primary=None):
    """One SCI extension with its companions; all in the primary HDU where primary is given."""
    if primary is not None:
        hdus = [fits.PrimaryHDU(pixels, header)]
    else:
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="SCI")]
    hdus += [fits.ImageHDU(values, name=key) for key, values in extensions]
    fits.HDUList(hdus).writeto(Path(folder) / name, overwrite=True)


def acs(**more):
    header = tan_header(SHAPE, 0.05)
    header.update(
        TELESCOP="HST", INSTRUME="ACS", FILTER1="CLEAR1L", FILTER2="F814W", EXPTIME=2000.0,
        BUNIT="ELECTRONS/S", PHOTFLAM=7.0331891e-20, PHOTPLAM=8045.529,
    )  # fmt: skip
    header.update({key: value for key, value in more.items() if value is not None})
    for key, value in more.items():
        if value is None:
            header.remove(key)
    return header


NJY = 10 ** (0.4 * (31.4 - 25.947))


def read_one(folder, **more):
    table(folder)
    read, rejected = read_all(dataset(folder, **more), folder)
    assert not rejected, rejected[0].reason
    return read[0]
