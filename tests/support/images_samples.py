"""A small survey's FITS cutouts of stars with known fluxes, to test the images room."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from raw_samples import hst_header, write_records

from lenshunt.config import CastlesDataset, CutoutsDataset, Dataset, Grid, QualityConfig
from lenshunt.core import raw_manifest
from lenshunt.images import homogenise_chunk, make_kernels
from lenshunt.readers import raw_files
from lenshunt.readers.zero_points import njy_per_hst_count
from lenshunt.schema import njy_per_count, survey_named, survey_psf

GROUND = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
BANDS = ("g", "r", "i")
SCALE = 0.168


def star_counts(band: str, flux_njy: float, side: int) -> np.ndarray:
    """Counts [side, side] of a point source in the middle of an HSC cutout, odd side."""
    survey = survey_named("hsc")
    psf = survey_psf(survey, band, SCALE).astype(float)
    margin = (psf.shape[0] - side) // 2
    stamp = psf[margin : margin + side, margin : margin + side] if margin > 0 else psf
    if margin < 0:
        stamp = np.pad(psf, -margin)
    return stamp * flux_njy / njy_per_count(survey.zero_point(band))


def write_cutouts(
    folder: Path, fluxes_njy: np.ndarray, sigma_njy: float = 1.0, sky: float = 0.3, side: int = 81
) -> CutoutsDataset:
    """One multi-extension FITS file per flux; the same flux in every band.

    sigma_njy : noise per pixel; sky : level in counts, to be removed
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    count = njy_per_count(survey_named("hsc").zero_point("i"))
    for index, flux in enumerate(fluxes_njy):
        planes = [fits.PrimaryHDU()]
        for band in BANDS:
            noise = rng.normal(0, sigma_njy / count, (side, side))
            data = (star_counts(band, flux, side) + noise + sky).astype(np.float32)
            planes.append(fits.ImageHDU(data, name=band))
        fits.HDUList(planes).writeto(folder / f"star{index:03d}.fits", overwrite=True)
    return CutoutsDataset(
        reader="cutouts",
        images=[str(folder / "*.fits")],
        bands=list(BANDS),
        pixel_scale_arcsec=SCALE,
        survey="hsc",
        role="search",
        grids=["ground"],
    )


def write_manifest(dataset: CutoutsDataset, folder: Path) -> str:
    """Manifest CSV of the data set's raw files."""
    path = folder / "manifest.csv"
    raw_manifest(raw_files(dataset), folder / "cache.json").write(path)
    return str(path)


#: Grid of HST-like cutouts.
SPACE = Grid(psf_fwhm_arcsec=0.2, pixel_scale_arcsec=0.06, size_px=128)


def run_chain(dataset: Dataset, folder: Path, grid: Grid, name: str = "set") -> dict[str, str]:
    """write_records, make_kernels and homogenise_chunk of a whole data set.

    Returns the paths of pixels, metadata, rejected, kernels, psf_table, cutouts and table.
    """
    files = {
        "pixels": "p.h5",
        "metadata": "m.parquet",
        "rejected": "r.ecsv",
        "kernels": "k.h5",
        "psf_table": "k.csv",
        "cutouts": "t.tif",
        "table": "t.parquet",
    }
    out = {key: str(folder / file) for key, file in files.items()}
    write_records(
        name=name,
        dataset=dataset,
        chunk=0,
        chunks=1,
        manifest=write_manifest(dataset, folder),
        pixels=out["pixels"],
        metadata=out["metadata"],
        rejected=out["rejected"],
    )
    chunk = (out["pixels"], out["metadata"])
    make_kernels(chunks=[chunk], grid=grid, out=out["kernels"], table=out["psf_table"])
    homogenise_chunk(
        pixels=out["pixels"],
        metadata=out["metadata"],
        kernels=out["kernels"],
        grid=grid,
        quality=QualityConfig(),
        out=out["cutouts"],
        out_metadata=out["table"],
    )
    return out


def write_planes(
    folder: Path,
    planes_njy: np.ndarray,
    bands: tuple[str, ...],
    survey: str,
    variance_njy2: np.ndarray | None = None,
    psf: np.ndarray | None = None,
    sky: float = 0.0,
) -> CutoutsDataset:
    """Cutouts [n, band, y, x] as FITS files in the survey's own unit, a set for `cutouts`.

    HST files are in ELECTRONS of 2000 s with PHOTFLAM and PHOTPLAM of ACS F814W, 0.05 arcsec/px.
    variance_njy2 : the same shape, shipped beside; psf : [n, band, h, w], shipped beside
    sky : level in units of the file; pixels that are NaN stay so
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = planes_njy.shape[2:]
    if survey == "hst":
        header = hst_header(shape, "F814W", BUNIT="ELECTRONS")
        unit = njy_per_hst_count(dict(header), "made")
    else:
        header = fits.Header()
        unit = njy_per_count(survey_named(survey).zero_point(bands[0]))
    arrays = {"": planes_njy / unit + sky}
    if variance_njy2 is not None:
        arrays["_var"] = variance_njy2 / unit**2
    if psf is not None:
        arrays["_psf"] = psf
    for suffix, planes in arrays.items():
        for index, one in enumerate(planes):
            hdus = [fits.PrimaryHDU()]
            for band, plane in zip(bands, one, strict=True):
                hdus.append(fits.ImageHDU(plane.astype(np.float32), header, name=band))
            fits.HDUList(hdus).writeto(folder / f"img{index:04d}{suffix}.fits")
    return CutoutsDataset(
        reader="cutouts",
        images=[str(folder / "img????.fits")],
        bands=list(bands),
        pixel_scale_arcsec=survey_named(survey).pixel_scale_arcsec,
        survey=survey,
        role="search",
        grids=["any"],
        variance_suffix=None if variance_njy2 is None else "_var",
        psf_pattern=None if psf is None else (r"(img\d+)", r"\1_psf"),
        label_source="unlabelled",
    )


def write_castles(
    folder: Path, planes_njy: np.ndarray, sigma_njy: float, sky: float = 0.0
) -> CastlesDataset:
    """One F814W file (SCI, ERR) per plane [n, y, x] in ELECTRONS of 2000 s; a set for `castles`.

    sigma_njy : error per pixel, in ERR; sky : level in electrons
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = hst_header(planes_njy.shape[1:], "F814W", BUNIT="ELECTRONS")
    unit = njy_per_hst_count(dict(header), "made")
    errors = np.full(planes_njy.shape[1:], sigma_njy / unit, np.float32)
    for index, plane in enumerate(planes_njy):
        counts = (plane / unit + sky).astype(np.float32)
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(counts, header, name="SCI")]
        hdus.append(fits.ImageHDU(errors, name="ERR"))
        fits.HDUList(hdus).writeto(folder / f"MADE{index:04d}_F814W.fits")
    columns = ["Lens name", "G", "zs", "zl", "RA (J2000)", "Dec (J2000)", 'size (")']
    row = ["HE0435-1223", "B", "1.689", "0.46", "04:38:14.9", "-12:17:14.4", "2.42"]
    table = folder / "castles.tsv"
    table.write_text("\t".join(columns) + "\n" + "\t".join(row) + "\n")
    return CastlesDataset(
        reader="castles",
        images=[str(folder / "*.fits")],
        table=str(table),
        survey="hst",
        role="labelled",
        grids=["any"],
    )
