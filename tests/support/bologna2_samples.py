"""Challenge 2.0 in its official layout, small: catalogue and images of noise."""

import csv
import io

import numpy as np
from astropy.io import fits
from raw_samples import common

from lenshunt.config import Bologna2Dataset

BANDS = ("EUC_VIS", "EUC_Y", "EUC_J", "EUC_H")
SIDE = {"EUC_VIS": 200, "EUC_Y": 66, "EUC_J": 66, "EUC_H": 66}
NJY = 3.631e12  # nJy of one count at AB zero point 0
COLUMNS = (
    "ID x_crit y_crit source_ID z_source z_lens mag_source ein_area n_crit r_source crit_area "
    "n_pix_source source_flux n_pix_lens lens_flux n_source_im mag_eff sb_contrast color_diff "
    "n_gal_3 n_gal_5 n_gal_10 halo_mass star_mass mag_lens n_sources"
)
HEADER = COLUMNS.split()
LENS = {
    "z_source": 1.9,
    "z_lens": 0.55,
    "mag_source": 25.1,
    "ein_area": 1.0e-10,
    "n_pix_source": 240,
    "source_flux": 2e-9,
    "n_pix_lens": 900,
    "lens_flux": 8e-9,
    "n_source_im": 2,
    "mag_eff": 5.5,
    "mag_lens": 19.7,
    "n_sources": 1,
}
EMPTY = {"z_lens": 0.4, "lens_flux": 8e-9, "n_pix_lens": 500, "mag_lens": 20.1, "n_sources": 0}


def catalogue_text(rows, header=HEADER):
    """The catalogue as shipped: 28 lines of #, a running number without a name, empty cells."""
    out = io.StringIO()
    out.writelines(f"# {line}: what a column means, with, commas\n" for line in range(28))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["", *header])
    for number, row in enumerate(rows):
        writer.writerow([number, *(row.get(column, "") for column in header)])
    return out.getvalue()


def challenge(folder, rows, bands=BANDS, sigma=1e-11, signal=0.0, **more):
    """Write a catalogue with the images of all its rows; noise per pixel of each band."""
    rows = [{"ID": 200000 + k, **row} for k, row in enumerate(rows)]
    (folder / "catalogue.csv").write_text(catalogue_text(rows))
    rng = np.random.default_rng(3)
    for row in rows:
        for band in bands:
            image = rng.normal(0, sigma, (SIDE[band],) * 2) + signal
            path = folder / "Public" / band / f"image{band}-{row['ID']}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.writeto(path, image.astype(np.float32))
    return dataset(folder, **more)


def dataset(folder, **more):
    return Bologna2Dataset(
        reader="bologna2",
        catalogue=str(folder / "catalogue.csv"),
        images=str(folder / "Public"),
        **common("bologna2"),
        **more,
    )
