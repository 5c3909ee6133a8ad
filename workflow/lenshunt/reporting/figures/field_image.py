"""A cluster field as an asinh RGB image on its own WCS."""

import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.nddata.utils import NoOverlapError
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS, FITSFixedWarning

from lenshunt.config import RelicsField
from lenshunt.core.robust import lower_half_sigma
from lenshunt.lensing import LensModel
from lenshunt.schema import filter_named

#: Larger images are averaged down: print resolves no more.
SIDE_MAX_PX = 1400


def blank_wcs(model: LensModel, half_width_arcsec: float, scale_arcsec: float = 0.1) -> WCS:
    """TAN WCS of an empty square around the model, North up and East left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [model.ra0, model.dec0]
    size = 2 * round(half_width_arcsec / scale_arcsec) + 1
    wcs.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    wcs.wcs.cdelt = [-scale_arcsec / 3600.0, scale_arcsec / 3600.0]
    wcs.wcs.radesys = "ICRS"
    wcs.array_shape = (size, size)
    return wcs


def _cut(path: Path, model: LensModel, half_width_arcsec: float) -> tuple[np.ndarray, WCS]:
    """The square around the model of the first image of a FITS file, averaged down for print."""
    with fits.open(path) as hdus:
        image = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2), None)
        if image is None:
            raise ValueError(f"{path}: no two-dimensional image in the file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(image.header).celestial
        if not wcs.has_celestial:
            raise ValueError(f"{path}: no celestial WCS; the overlay needs one")
        scale = float(np.sqrt(wcs.proj_plane_pixel_area().to_value("arcsec2")))
        centre = wcs.world_to_pixel_values(model.ra0, model.dec0)
        size = round(2 * half_width_arcsec / scale)
        try:
            cut = Cutout2D(image.data, centre, size, wcs=wcs, mode="partial", fill_value=np.nan)
        except NoOverlapError:
            raise ValueError(
                f"{path}: the mass model at RA {model.ra0:.5f}, Dec {model.dec0:.5f} lies outside "
                "this image; check `field` of the cluster"
            ) from None
        pixels, cut_wcs = np.array(cut.data, dtype=float), cut.wcs
    step = int(np.ceil(size / SIDE_MAX_PX))
    side = (pixels.shape[0] // step) * step
    blocks = pixels[:side, :side].reshape(side // step, step, side // step, step)
    return blocks.mean(axis=(1, 3)), binned_wcs(cut_wcs, step, side // step)


def binned_wcs(wcs: WCS, step: int, side: int) -> WCS:
    """WCS [side, side] of an image whose pixels are means of `step` x `step` pixels of `wcs`.

    Slicing a WCS by steps leaves a CD matrix as it was (astropy 8.0): it is scaled here.
    """
    binned = wcs.deepcopy()
    binned.wcs.crpix = (wcs.wcs.crpix - 0.5) / step + 0.5
    if wcs.wcs.has_cd():
        binned.wcs.cd = wcs.wcs.cd * step
    else:
        binned.wcs.cdelt = wcs.wcs.cdelt * step
    binned.array_shape = (side, side)
    return binned


def _scaled(image: np.ndarray) -> np.ndarray:
    """Background 0, unit of the background noise: bands of any depth and unit look alike."""
    known = image[np.isfinite(image)]
    if known.size == 0:
        raise ValueError("no finite pixel of the field image around the mass model")
    middle = np.median(known)
    # The half below the median: galaxies only lie above it.
    sigma = lower_half_sigma(known)
    return np.nan_to_num((image - middle) / (sigma if sigma > 0 else 1.0))


def field_rgb(
    field: RelicsField, model: LensModel, half_width_arcsec: float
) -> tuple[WCS, np.ndarray]:
    """WCS and [y, x, 3] uint8 image (Lupton et al. 2004) around the mass model.

    The reddest filter is red, the bluest blue, green the one in the middle or their mean. All
    images must have the same pixel grid, as drizzled fields have.
    """
    order = sorted(field.images, key=lambda name: filter_named(name, "field").wavelength_um)
    cuts = {name: _cut(Path(field.images[name]), model, half_width_arcsec) for name in order}
    shapes = {image.shape for image, _ in cuts.values()}
    if len(shapes) > 1:
        raise ValueError(f"field images of {', '.join(order)} have different pixel grids: {shapes}")
    bands = [_scaled(cuts[name][0]) for name in order]
    blue, red = bands[0], bands[-1]
    green = bands[len(bands) // 2] if len(bands) > 2 else 0.5 * (blue + red)
    # Brightest members must not be flat white: the stretch follows the brightest percent.
    stretch = max(12.0, float(np.percentile(green, 99.0)) / 2.0)
    rgb = make_lupton_rgb(red, green, blue, minimum=0.0, stretch=stretch, Q=8)
    return cuts[order[0]][1], rgb
