"""FITS maps of convergence, shear and magnification with a sky WCS."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from lenshunt.core import whole_file
from lenshunt.lensing import LensModel

PIXEL_SCALE_ARCSEC = 0.2


def tangent_wcs(model: LensModel, half_width_arcsec: float, scale_arcsec: float) -> WCS:
    """TAN projection around the model's reference: North up, East left, square, odd size."""
    size = 2 * round(half_width_arcsec / scale_arcsec) + 1
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [model.ra0, model.dec0]
    wcs.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    wcs.wcs.cdelt = [-scale_arcsec / 3600.0, scale_arcsec / 3600.0]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.array_shape = (size, size)
    return wcs


def lens_maps(model: LensModel, wcs: WCS, z_sources: list[float]) -> dict[str, np.ndarray]:
    """KAPPA, GAMMA (modulus) and MU (signed) per source redshift, each [y, x] on `wcs`."""
    rows, columns = np.indices(wcs.array_shape)
    x, y = model.tangent(*wcs.pixel_to_world_values(columns, rows))
    normalised = model.unit_hessian(x, y)
    maps: dict[str, np.ndarray] = {}
    for z_source in z_sources:
        xx, xy, yy = (model.distance_ratio(z_source) * part for part in normalised)
        kappa, gamma = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        with np.errstate(divide="ignore"):
            mu = 1.0 / ((1.0 - kappa) ** 2 - gamma**2)
        for name, values in (("KAPPA", kappa), ("GAMMA", gamma), ("MU", mu)):
            maps[f"{name}_Z{z_source:g}"] = values
    return maps


def write_lens_maps(
    models: dict[str, LensModel],
    z_sources: list[float],
    half_width_arcsec: float,
    out: Path | str,
) -> None:
    """One FITS file: extension KAPPA_Z2, GAMMA_Z2, MU_Z2 ..., EXTVER 1, 2, ... per mass model."""
    primary = fits.PrimaryHDU()
    primary.header["HISTORY"] = "convergence, shear modulus and signed magnification"
    hdus = fits.HDUList([primary])
    for version, (name, model) in enumerate(models.items(), start=1):
        wcs = tangent_wcs(model, half_width_arcsec, PIXEL_SCALE_ARCSEC)
        for extension, values in lens_maps(model, wcs, z_sources).items():
            hdu = fits.ImageHDU(values.astype(np.float32), wcs.to_header(), name=extension)
            hdu.ver = version
            hdu.header["MODEL"] = name
            hdu.header["ZLENS"] = model.z_lens
            hdu.header["ZSOURCE"] = float(extension.split("_Z")[1])
            hdus.append(hdu)
    with whole_file(out) as partial:
        hdus.writeto(partial, overwrite=True)
