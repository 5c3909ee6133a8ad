"""Which lenses a survey shows: its depth and seeing, the S/N of the arcs, the cuts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.scenes.population_priors import SIGMA_OF_FWHM, log_spectrum
from lenshunt.scenes.seds import I_BAND_UM
from lenshunt.schema import njy_from_magnitude

#: S/N within the best aperture, which Collett 2015 cuts at, over the estimate of `arc_snr`:
#: 0.82 for 100 arcs painted on the sky and light of their lens (scatter 13 per cent).
_APERTURE_SNR = 0.82
#: Half-width of the astroid caustic over theta_E (1 - q), as far as it limits the magnification.
_CAUSTIC = 0.4


@dataclass(frozen=True)
class Band:
    """A further band of a survey; as in `Survey`. wavelength_um : of its middle."""

    wavelength_um: float
    seeing_arcsec: float
    depth_5sigma: float
    sky_mag_arcsec2: float


@dataclass(frozen=True)
class Survey:
    """What decides whether a lens is seen.

    wavelength_um : middle of the first band
    seeing_arcsec : FWHM in i (or VIS, or the first band)
    depth_5sigma : AB magnitude of a point source at 5 sigma
    sky_mag_arcsec2 : brightness of the sky, against which the lens's light adds Poisson noise
    others : further bands; a lens counts where its S/N is greatest. Blue arcs on red galaxies are
        seen in g: of Collett's DES lenses only a quarter reach S/N 20 in i.
    """

    seeing_arcsec: float
    depth_5sigma: float
    sky_mag_arcsec2: float
    others: tuple[Band, ...] = ()
    wavelength_um: float = I_BAND_UM

    @property
    def bands(self) -> tuple[Band, ...]:
        """The first band (i, or VIS) and the others."""
        first = Band(
            self.wavelength_um, self.seeing_arcsec, self.depth_5sigma, self.sky_mag_arcsec2
        )
        return (first, *self.others)

    @property
    def sky_sigma_njy(self) -> float:
        """Noise of the sky in nJy in one square arcsec, in i."""
        return _sky_sigma_njy(self.bands[0])


def _psf_area(band: Band) -> float:
    """Noise-equivalent area of a Gaussian PSF in square arcsec."""
    return 4.0 * np.pi * (band.seeing_arcsec * SIGMA_OF_FWHM) ** 2


def _sky_sigma_njy(band: Band) -> float:
    return float(njy_from_magnitude(band.depth_5sigma) / 5.0 / np.sqrt(_psf_area(band)))


@dataclass(frozen=True)
class Selection:
    """Which lenses count as found: Collett 2015, sect. 3, with the factors of his code.

    snr_min : signal to noise ratio of the lensed light in its best band
    magnification_min : of the whole source
    seeing_fraction, source_fraction : theta_E^2 > (source_fraction x r_source)^2 +
        (seeing_fraction x seeing)^2. The paper's text has 1 and 1/2; the code behind its table
        takes both twice as large in square (2 theta_E^2 > 4 r^2 + s^2).
    resolved : magnification x r_source is larger than the seeing (tangential stretching is seen)
    theta_e_range : Einstein radii in arcsec that are kept
    """

    snr_min: float = 20.0
    magnification_min: float = 3.0
    seeing_fraction: float = 0.5**0.5
    resolved: bool = True
    theta_e_range: tuple[float, float] = (0.0, 10.0)
    source_fraction: float = 2.0**0.5


def _columns(table: pd.DataFrame, *names: str) -> list[np.ndarray]:
    return [table[name].to_numpy(float) for name in names]


def magnification(table: pd.DataFrame) -> np.ndarray:
    """Total magnification of an exponential disc behind a nearly isothermal sphere.

    2 / y for a point at y theta_E; 2 theta_E / h for a disc of scale length h (half-light radius
    / 1.678) behind the centre; 2 / 0.4 (1 - q) in the middle of the astroid caustic, where it is
    finite even for a point; joined in quadrature. For the selection alone.
    """
    theta_e, radius, x, y, q = _columns(
        table, "theta_e", "source_radius", "source_x", "source_y", "q"
    )
    offset = np.hypot(x, y) / theta_e
    return 2.0 / np.sqrt(offset**2 + (radius / 1.678 / theta_e) ** 2 + (_CAUSTIC * (1.0 - q)) ** 2)


def _colour(table: pd.DataFrame, galaxy: str, wavelength_um: float) -> np.ndarray:
    """Flux of `galaxy` (lens, source) at a wavelength over that in i, without dust."""
    sed, z = _columns(table, f"{galaxy}_sed", f"z_{galaxy}")
    return 10 ** (log_spectrum(sed, z, wavelength_um) - log_spectrum(sed, z, I_BAND_UM))


def _band_snr(table: pd.DataFrame, band: Band) -> np.ndarray:
    """`arc_snr` in one band."""
    mu = magnification(table)
    radius, theta_e, lens_radius = _columns(table, "source_radius", "theta_e", "lens_radius")
    # noise-equivalent area of an exponential disc is about 2.3 x pi r_e^2 (matched filter)
    area = 2.0 * _psf_area(band) + mu * 2.3 * np.pi * radius**2
    source_flux = njy_from_magnitude(table["source_magnitude"].to_numpy())
    lens_flux = njy_from_magnitude(table["lens_magnitude"].to_numpy())
    if band.wavelength_um != I_BAND_UM:
        source_flux = source_flux * _colour(table, "source", band.wavelength_um)
        # as in simulate.seds.band_fluxes
        steps = (band.wavelength_um / 0.55) ** -1.3 - (I_BAND_UM / 0.55) ** -1.3
        source_flux = source_flux * 10 ** (
            -0.4 * 3.1 * steps * table["source_reddening"].to_numpy(float)
        )
        lens_flux = lens_flux * _colour(table, "lens", band.wavelength_um)
    shape = np.exp(-7.669 * ((theta_e / lens_radius) ** 0.25 - 1.0)) / (22.67 * lens_radius**2)
    sky = njy_from_magnitude(band.sky_mag_arcsec2)
    noise = _sky_sigma_njy(band) * np.sqrt(area * (1.0 + lens_flux * shape / sky))
    return _APERTURE_SNR * mu * source_flux / noise


def arc_snr(table: pd.DataFrame, survey: Survey) -> np.ndarray:
    """Signal to noise ratio of the lensed light over sky and light of the lens, in the best band.

    Two images, each as large as the PSF and its share of the source's magnified area; the lens
    (de Vaucouleurs) adds Poisson noise of its brightness at theta_E.
    """
    return np.max([_band_snr(table, band) for band in survey.bands], axis=0)


def with_snr(table: pd.DataFrame, survey: Survey) -> pd.DataFrame:
    """Columns `arc_snr` (`arc_snr`) and `arc_seeing` (FWHM in arcsec in that band) added."""
    snr = np.stack([_band_snr(table, band) for band in survey.bands])
    seeing = np.array([band.seeing_arcsec for band in survey.bands])
    return table.assign(arc_snr=snr.max(axis=0), arc_seeing=seeing[snr.argmax(axis=0)])


def selected(table: pd.DataFrame, survey: Survey, selection: Selection) -> np.ndarray:
    """bool [n]: lenses that the survey shows."""
    if "arc_seeing" not in table:
        table = with_snr(table, survey)
    radius, theta_e, mu, seeing = _columns(
        table, "source_radius", "theta_e", "magnification", "arc_seeing"
    )
    smallest = np.hypot(selection.source_fraction * radius, selection.seeing_fraction * seeing)
    keep = (theta_e > smallest) & (mu > selection.magnification_min)
    if selection.resolved:
        keep &= mu * radius > seeing
    low, high = selection.theta_e_range
    keep &= (theta_e > low) & (theta_e < high)
    return np.asarray(keep & (table["arc_snr"].to_numpy() > selection.snr_min))


def sharpest(survey: Survey) -> float:
    """FWHM in arcsec of the survey's sharpest band."""
    return min(band.seeing_arcsec for band in survey.bands)
