"""Real HST galaxies as sources: noise masked, unit flux, any size; read between the pixels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lenshunt.core.robust import mad_sigma
from lenshunt.schema import Cutout

#: Light below this many sigma of the smoothed image is not taken for the galaxy; the second and
#: third are for galaxies whose fainter outskirts touch the edge or a neighbour.
_THRESHOLDS = (2.0, 4.0, 8.0)
_SMOOTHING_PX = 2.0
#: Pixels over which the light fades out beyond the segmentation.
_MARGIN_PX = 2


@dataclass(frozen=True)
class RealSource:
    """Surface brightness of a galaxy, without noise outside its outline.

    name : of the record that it was taken from
    light : float32 [y, x], unit sum; zero outside the outline
    pixel_scale_arcsec : of `light`
    half_light_radius : arcsec, of the circle around the centroid that holds half the light
    centre : (x, y) of the centroid in pixels
    The HST PSF stays in: a source looks smoother than it is by its FWHM (0.1 arcsec), shrunk with
    the galaxy when it is placed at a higher redshift, and stretched with it by the lens.
    """

    name: str
    light: np.ndarray
    pixel_scale_arcsec: float
    half_light_radius: float
    centre: tuple[float, float]

    def brightness(
        self,
        x: np.ndarray,
        y: np.ndarray,
        position: tuple[float, float],
        half_light_radius: float,
        angle: float,
        mirrored: bool,
    ) -> np.ndarray:
        """Fraction of the flux per square arcsec at x, y arcsec of the source plane, bilinear.

        position : of the centroid; half_light_radius : arcsec, to which the galaxy is scaled
        angle : radians by which it is turned; mirrored : before turning
        """
        zoom = half_light_radius / self.half_light_radius
        step = self.pixel_scale_arcsec * zoom
        cosine, sine = np.cos(angle), np.sin(angle)
        dx, dy = x - position[0], y - position[1]
        along, across = cosine * dx + sine * dy, cosine * dy - sine * dx
        column = (-along if mirrored else along) / step + self.centre[0]
        row = across / step + self.centre[1]
        values = ndimage.map_coordinates(
            self.light, [row, column], order=1, mode="constant", cval=0.0, prefilter=False
        )
        return values / np.float32(step**2)


def real_source(record: Cutout) -> RealSource:
    """The central galaxy of an HST record, in the band where it is seen best.

    Raises ValueError where nothing stands out of the noise at the centre, or where the outline
    reaches the edge of the stamp.
    """
    name = record.metadata.sample_id
    image = _best_band(record)
    outline = _outline(image, name)
    distance = ndimage.distance_transform_edt(~outline)
    light = image * np.clip(1.0 - distance / (_MARGIN_PX + 1), 0.0, 1.0)
    light = np.maximum(light, 0.0)
    light = np.pad(light / light.sum(), 1).astype(np.float32)
    row, column = (float(value) for value in ndimage.center_of_mass(light))
    y, x = np.indices(light.shape)
    radius = np.hypot(x - column, y - row).ravel()
    order = np.argsort(radius)
    half = np.interp(0.5, np.cumsum(light.ravel()[order]), radius[order])
    scale = record.metadata.pixel_scale
    return RealSource(name, light, scale, float(half * scale), (column, row))


def _outline(image: np.ndarray, name: str) -> np.ndarray:
    """Pixels [y, x] of the galaxy at the centre."""
    smooth = ndimage.gaussian_filter(image, _SMOOTHING_PX)
    border = np.concatenate([smooth[:4].ravel(), smooth[-4:].ravel(), smooth[:, :4].ravel()])
    # measured, not taken from the catalogue: drizzled noise is correlated
    sky = float(np.median(border))
    sigma = mad_sigma(border)
    middle = tuple(slice(side // 2 - 3, side // 2 + 4) for side in image.shape)
    for threshold in _THRESHOLDS:
        labels, _ = ndimage.label(smooth > sky + threshold * sigma)
        found = np.bincount(labels[middle].ravel(), minlength=2)
        found[0] = 0
        if not found.any():
            raise ValueError(f"{name}: no galaxy at the centre; leave it out of the sources")
        outline = labels == found.argmax()
        if not (outline[[0, -1]].any() or outline[:, [0, -1]].any()):
            return outline
    raise ValueError(f"{name}: the galaxy reaches the edge of its stamp; a larger one is needed")


def real_sources(records: Iterable[Cutout]) -> tuple[list[RealSource], dict[str, str]]:
    """Sources of those records that can serve, and the reason by name for the others."""
    sources, refused = [], {}
    for record in records:
        try:
            sources.append(real_source(record))
        except ValueError as error:
            refused[record.metadata.sample_id] = str(error)
    return sources, refused


def _best_band(record: Cutout) -> np.ndarray:
    """Image [y, x] of the band with the highest S/N."""
    best, best_snr = None, -np.inf
    for band, flag in enumerate(record.metadata.band_flags):
        usable = np.isfinite(record.variance[band])
        if not flag or not usable.any():
            continue
        image = np.where(usable, record.image[band], 0.0)
        sigma = float(np.sqrt(np.median(record.variance[band][usable])))
        if image.sum() / sigma > best_snr:
            best, best_snr = image, image.sum() / sigma
    if best is None:
        raise ValueError(f"{record.metadata.sample_id}: no band with a variance")
    return best
