"""The images of one RELICS field, all filters on one pixel grid, opened without reading them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from lenshunt.config.datasets import RelicsField
from lenshunt.raw.calibration import njy_per_hst_count
from lenshunt.raw.fits_image import (
    Keywords,
    celestial_wcs,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
)
from lenshunt.records import filter_named


@dataclass(frozen=True)
class FieldImage:
    """One filter: memory-mapped counts [y, x] and inverse-variance weights, nJy per count."""

    filter_name: str
    path: str
    weight_path: str | None
    pixels: np.ndarray
    weight: np.ndarray | None
    header: Keywords
    njy: float

    @property
    def instrument(self) -> str:
        return str(self.header.get("INSTRUME", "")).strip() or "HST"


@dataclass(frozen=True)
class FieldImages:
    """All filters of a field on one grid."""

    images: list[FieldImage]
    wcs: WCS
    pixel_scale_arcsec: float

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.images[0].pixels.shape
        return height, width

    def pixel(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """0-based pixel (x, y) of ICRS positions in degrees."""
        x, y = self.wcs.all_world2pix(ra, dec, 0) if len(ra) else (np.empty(0), np.empty(0))
        return x, y

    def sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ICRS position in degrees of 0-based pixels."""
        ra, dec = self.wcs.all_pix2world(x, y, 0)
        return ra, dec

    def observed(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Bool [n]: the nearest pixel lies on the image and has data in at least one filter."""
        height, width = self.shape
        column, row = np.round(x).astype(int), np.round(y).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        exposed = np.zeros(len(inside), bool)
        for image in self.images:
            values = image.pixels[row, column]
            if image.weight is None:
                exposed |= np.isfinite(values) & (values != 0)
            else:
                exposed |= np.isfinite(values) & (image.weight[row, column] > 0)
        return inside & exposed


@contextmanager
def open_field(field: RelicsField) -> Iterator[FieldImages]:
    """Open the images of a field.

    Raises ValueError where filters do not share one pixel grid, or an image has no WCS.
    """
    with ExitStack() as stack:
        images = [
            _open_image(stack, name, path, field.weights.get(name))
            for name, path in field.images.items()
        ]
        if not images:
            raise ValueError(f"{field.catalogue}: its field names no image")
        reference = images[0]
        wcs, scale = celestial_wcs(reference.header), pixel_scale_of(reference.header)
        if wcs is None or scale is None:
            raise ValueError(f"{reference.path}: no celestial WCS, so sources cannot be placed")
        for image in images[1:]:
            _check_same_grid(reference, wcs, image)
        yield FieldImages(images, wcs, scale)


def _open_image(
    stack: ExitStack, filter_name: str, path: str, weight_path: str | None
) -> FieldImage:
    hdus = stack.enter_context(open_fits(path))
    science = next((hdu for hdu in image_planes(hdus) if hdu.shape and len(hdu.shape) == 2), None)
    if science is None:
        raise ValueError(f"{path}: no 2-D image in the file")
    header = keywords(hdus, science)
    weight = None
    if weight_path is not None:
        weight_hdus = image_planes(stack.enter_context(open_fits(weight_path)))
        if not weight_hdus or weight_hdus[0].shape != science.shape:
            raise ValueError(f"{weight_path}: weights do not have the shape of {path}")
        weight = weight_hdus[0].data
    return FieldImage(
        filter_name=filter_named(filter_name, path).name,
        path=path,
        weight_path=weight_path,
        pixels=science.data,
        weight=weight,
        header=header,
        njy=njy_per_hst_count(header, path),
    )


def _check_same_grid(reference: FieldImage, wcs: WCS, image: FieldImage) -> None:
    """All filters must lie on the pixels of the first, within 0.1 px at both corners."""
    remedy = "name images of one pixel scale and field (RELICS ships 30mas and 60mas sets)"
    if image.pixels.shape != reference.pixels.shape:
        raise ValueError(
            f"{image.path}: shape {image.pixels.shape}, but {reference.path} has "
            f"{reference.pixels.shape}; {remedy}"
        )
    other = celestial_wcs(image.header)
    height, width = reference.pixels.shape
    x, y = np.array([0.0, width - 1.0]), np.array([0.0, height - 1.0])
    if other is None:
        raise ValueError(f"{image.path}: no celestial WCS")
    moved = wcs.all_world2pix(*other.all_pix2world(x, y, 0), 0)
    if np.abs(np.subtract(moved, (x, y))).max() > 0.1:
        raise ValueError(f"{image.path}: not on the pixel grid of {reference.path}; {remedy}")
