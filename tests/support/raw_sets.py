"""One small, faultless data set per raw format, in its official layout, for tests to break."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from raw_samples import common, hst_header, noise_image, tan_header

from lenshunt.config import (
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Dataset,
    GalaxiesMLDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    RelicsDataset,
    RelicsField,
    StampsDataset,
)
from lenshunt.core.moffat import moffat_psf

NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class RawSet:
    """A data set of several objects; `broken` is the file that faults are done to.

    spared : ids of the objects that a fault of `broken` must leave as they are
    """

    dataset: Dataset
    broken: Path
    spared: set[str]


def cutouts(folder: Path) -> RawSet:
    for seed, name in enumerate(NAMES):
        hdus = [fits.PrimaryHDU()]
        for band in "gri":
            header = tan_header((40, 40), 0.168, ra=150.0 + seed)
            hdus.append(fits.ImageHDU(noise_image((40, 40), seed), header, name=band))
        fits.HDUList(hdus).writeto(folder / f"{name}.fits")
    rows = "".join(f"{name},{k % 2},sim:injection\n" for k, name in enumerate(NAMES))
    (folder / "catalogue.csv").write_text("name,label,label_source\n" + rows)
    dataset = CutoutsDataset(
        reader="cutouts",
        images=[f"{folder}/*.fits"],
        bands=["g", "r", "i"],
        catalogue=f"{folder}/catalogue.csv",
        **common("hsc"),
    )
    return RawSet(dataset, folder / "b.fits", {"set-a", "set-c"})


def stamps(folder: Path) -> RawSet:
    for seed, name in enumerate(NAMES):
        images = np.stack([noise_image((50, 50), seed)] * 5)
        np.savez(
            folder / f"{name}.npz",
            images=images,
            variance=np.ones_like(images),
            mask=np.zeros(images.shape, np.int32),
            psfs=np.stack([moffat_psf(4.0, 3.0, 1.0, size_px=21)] * 5),
        )
    dataset = StampsDataset(
        reader="stamps", images=[f"{folder}/*.npz"], **common("hsc", role="search")
    )
    return RawSet(dataset, folder / "b.npz", {"set-a", "set-c"})


def bologna(folder: Path) -> RawSet:
    bands = (("Band1", "SDSS_R"), ("Band2", "SDSS_I"), ("Band3", "SDSS_G"), ("Band4", "SDSS_U"))
    for band, stem in bands:
        (folder / "Public" / band).mkdir(parents=True)
        for seed in range(3):
            image = 1e-12 * noise_image((101, 101), seed)
            fits.writeto(folder / f"Public/{band}/image{stem}-{100 + seed}.fits", image)
    header = "ID,is_lens,Einstein_area,numb_pix_lensed_image,flux_lensed_image_in_sigma\n"
    rows = "".join(f"{100 + k},{k % 2},2e-11,{50 * (k % 2)},{300.0 * (k % 2)}\n" for k in range(3))
    (folder / "labels.csv").write_text(header + rows)
    dataset = BolognaDataset(
        reader="bologna",
        labels=f"{folder}/labels.csv",
        images=f"{folder}/Public",
        variant="ground",
        **common("bologna_ground"),
    )
    broken = folder / "Public/Band2/imageSDSS_I-101.fits"
    return RawSet(dataset, broken, {"set-100", "set-102"})


def castles(folder: Path) -> RawSet:
    table = '#\tLens Name\tG\tz_s\tz_l\tRA (J2000)\tDec (J2000)\tsize (")\n'
    for seed, name in enumerate(("HE0435-1223", "B1422+231", "Q2237+030")):
        image = noise_image((60, 60), seed)
        fits.writeto(folder / f"{name}_F814W.fits", image, hst_header((60, 60), "F814W"))
        table += f"{seed}\t{name}\tA\t1.5\t0.4\t10:00:00\t+02:00:00\t2.0\n"
    (folder / "castles.tsv").write_text(table)
    dataset = CastlesDataset(
        reader="castles",
        images=[f"{folder}/*.fits"],
        table=f"{folder}/castles.tsv",
        **common("hst"),
    )
    spared = {"set-HE0435-1223_F814W", "set-Q2237+030_F814W"}
    return RawSet(dataset, folder / "B1422+231_F814W.fits", spared)


def hst_lenses(folder: Path) -> RawSet:
    for seed, name in enumerate(NAMES):
        with h5py.File(folder / f"image_{name}_F814W.h5", "w") as file:
            file["image_data"] = noise_image((40, 40), seed) * 0.01
            file["background_rms"] = 0.01
            file["exposure_time"] = np.full((40, 40), 1000.0)
            file["ra_at_xy_0"], file["dec_at_xy_0"] = 0.8, -0.8
            file["transform_pix2angle"] = np.array([[-0.04, 0.0], [0.0, 0.04]])
        with h5py.File(folder / f"psf_{name}_F814W.h5", "w") as file:
            file["kernel_point_source"] = moffat_psf(2.0, 3.0, 1.0, size_px=15)
    dataset = HstLensesDataset(
        reader="hst_lenses", images=[f"{folder}/image_*.h5"], **common("hst_wfc3")
    )
    return RawSet(dataset, folder / "image_b_F814W.h5", {"set-a", "set-c"})


def galaxiesml(folder: Path) -> RawSet:
    splits = ("training", "validation", "testing")
    for seed, split in enumerate(splits):
        path = folder / f"5x64x64_{split}_with_morphology.hdf5"
        with h5py.File(path, "w") as file:
            file["image"] = np.stack([[noise_image((64, 64), seed)] * 5] * 2)
            file["object_id"] = np.array([10 * seed, 10 * seed + 1])
            file["ra"], file["dec"] = np.array([150.0, 150.1]) + seed, np.array([2.0, 2.0])
    dataset = GalaxiesMLDataset(
        reader="galaxiesml",
        files=[f"{folder}/5x64x64_{split}_with_morphology.hdf5" for split in splits],
        **common("hsc", role="pretrain"),
    )
    broken = folder / "5x64x64_validation_with_morphology.hdf5"
    return RawSet(dataset, broken, {f"set-{k}" for k in (0, 1, 20, 21)})


def hst_galaxies(folder: Path) -> RawSet:
    for seed, band in enumerate(("F606W", "F814W")):
        images = [fits.ImageHDU(noise_image((40, 40), seed + k)) for k in range(2)]
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(folder / f"gal_{band}.fits")
        psf = moffat_psf(3.0, 3.0, 1.0, size_px=21)
        fits.writeto(folder / f"psf_{band}.fits", psf)
        text = {
            "BAND": band,
            "GAL_FILENAME": f"gal_{band}.fits",
            "PSF_FILENAME": f"psf_{band}.fits",
        }
        columns = [fits.Column(key, "20A", array=[value] * 2) for key, value in text.items()]
        whole = {"IDENT": [10 * seed, 10 * seed + 1], "GAL_HDU": [1, 2], "PSF_HDU": [0, 0]}
        columns += [fits.Column(key, "K", array=values) for key, values in whole.items()]
        facts = {"RA": 150.0, "DEC": 2.0, "MAG": 22.0, "PIXEL_SCALE": 0.03, "NOISE_VARIANCE": 1.0}
        columns += [fits.Column(key, "D", array=[value] * 2) for key, value in facts.items()]
        fits.BinTableHDU.from_columns(columns).writeto(folder / f"catalogue_{band}.fits")
    dataset = HstGalaxiesDataset(
        reader="hst_galaxies",
        catalogues=[f"{folder}/catalogue_{band}.fits" for band in ("F606W", "F814W")],
        **common("hst", role="search"),
    )
    return RawSet(dataset, folder / "gal_F814W.fits", {"set-0", "set-1"})


def relics(folder: Path) -> RawSet:
    fields = {}
    for seed, cluster in enumerate(NAMES):
        stem = f"{folder}/hlsp_relics_hst_acs-60mas_{cluster}_f814w_v1"
        header = hst_header((200, 200), "F814W", scale_arcsec=0.06)
        fits.writeto(f"{stem}_drc.fits", noise_image((200, 200), seed), header)
        fits.writeto(f"{stem}_wht.fits", np.ones((200, 200), np.float32), header)
        catalogue = f"{folder}/hlsp_relics_hst_acs-wfc3ir_{cluster}_multi_v1_cat.txt"
        columns = ("id", "RA", "Dec", "f814w_mag", "zb")
        lines = [f"# {k} {name}" for k, name in enumerate(columns, start=1)]
        lines += ["1 150.0 2.0 20.0 0.4", "2 150.0005 2.0005 21.0 0.4"]
        Path(catalogue).write_text("\n".join(lines) + "\n")
        images, weights = {"F814W": f"{stem}_drc.fits"}, {"F814W": f"{stem}_wht.fits"}
        fields[cluster] = RelicsField(images=images, weights=weights, catalogue=catalogue)
    dataset = RelicsDataset(
        reader="relics", fields=fields, size_px=32, **common("hst", role="search")
    )
    broken = folder / "hlsp_relics_hst_acs-60mas_b_f814w_v1_drc.fits"
    return RawSet(dataset, broken, {f"set-{c}-{k}" for c in "ac" for k in (1, 2)})


MAKERS: dict[str, Callable[[Path], RawSet]] = {
    maker.__name__: maker
    for maker in (
        cutouts,
        stamps,
        bologna,
        castles,
        hst_lenses,
        galaxiesml,
        hst_galaxies,
        relics,
    )
}
