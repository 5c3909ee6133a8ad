"""What castles and the cluster fields share: ACS headers, depth, PSF, lensed quasars."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from lenshunt.scenes.canvas import Exposure
from lenshunt.scenes.deflectors import Deflector
from lenshunt.scenes.demo.files import tan_header
from lenshunt.scenes.seds import STARBURST, band_fluxes
from lenshunt.schema import njy_per_count, survey_named

#: Drizzled pixels of all HST demo images: that of the RELICS 60mas set, for castles as well, so
#: that resampling does not tell lenses from members.
PIXEL_SCALE = 0.06
#: One orbit.
EXPOSURE_S = 2100.0
#: Einstein radii that fit the cutout; the separations of CASTLES systems are about twice these.
THETA_E_RANGE = (0.45, 1.6)
#: Share of lensed quasars; the rest are arcs and Einstein rings of galaxies alone.
QUASARS = 0.5


@dataclass(frozen=True)
class AcsFilter:
    """Photometric keywords (ACS zero-point tables) and sky noise in electrons/s per pixel."""

    photflam: float
    photplam: float
    sky_sigma: float

    @property
    def zero_point(self) -> float:
        """AB magnitude of one electron per second."""
        return -2.5 * np.log10(self.photflam) - 5 * np.log10(self.photplam) - 2.408

    @property
    def njy(self) -> float:
        """nJy of one electron per second."""
        return njy_per_count(self.zero_point)

    def exposure(self) -> Exposure:
        """Depth in nJy."""
        return Exposure(self.sky_sigma * self.njy, EXPOSURE_S / self.njy)


ACS = {
    "F555W": AcsFilter(1.956e-19, 5361.0, 0.0068),
    "F606W": AcsFilter(7.862e-20, 5921.1, 0.0085),
    "F814W": AcsFilter(7.033e-20, 8045.5, 0.0082),
}


def psf(filters: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """FWHM in arcsec and Moffat beta of each filter."""
    survey = survey_named("hst")
    fwhm = tuple(survey.psf_fwhm(name) for name in filters)
    return fwhm, (survey.moffat_beta,) * len(filters)


def acs_header(
    filter_name: str, target: str, ra: float, dec: float, shape: tuple[int, int]
) -> fits.Header:
    """Header of a drizzled ACS/WFC image in electrons per second, North up, East left."""
    facts = ACS[filter_name]
    header = tan_header(ra, dec, PIXEL_SCALE, shape)
    # F814W sits in the second wheel, F555W and F606W in the first
    wheels = ("CLEAR1L", filter_name) if filter_name == "F814W" else (filter_name, "CLEAR2L")
    for key, value in (
        ("TELESCOP", "HST"),
        ("INSTRUME", "ACS"),
        ("DETECTOR", "WFC"),
        ("TARGNAME", target),
        ("FILTER1", wheels[0]),
        ("FILTER2", wheels[1]),
        ("EXPTIME", EXPOSURE_S),
        ("BUNIT", "ELECTRONS/S"),
        ("PHOTFLAM", facts.photflam),
        ("PHOTPLAM", facts.photplam),
        # the ST zero, as in every HST header; never an AB zero point
        ("PHOTZPT", -21.1),
        ("D001SCAL", PIXEL_SCALE),
    ):
        header[key] = value
    return header


def draw_quasar_fluxes(
    rng: np.random.Generator, deflector: Deflector, filters: tuple[str, ...]
) -> np.ndarray:
    """Unlensed flux [band] of a quasar: i = 20 to 23, bluer than a starburst by a spread."""
    return band_fluxes(
        float(rng.uniform(20.0, 23.0)), STARBURST, deflector.z_source, filters,
        float(rng.normal(-0.03, 0.06)),
    )  # fmt: skip
