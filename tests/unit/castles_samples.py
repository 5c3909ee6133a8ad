"""HST files and headers that the tests of the CASTLES reader share."""

from pathlib import Path

from astropy.io import fits
from raw_samples import read_all, tan_header
from test_raw_castles import dataset, table

SHAPE = (60, 64)


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
