"""A cluster mass model: potentials on the sky, and what they do to a source at redshift z_s."""

from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from lenshunt.lensing import dpie
from lenshunt.records.cosmology import distance_ratio

Points = np.ndarray | float


@dataclass(frozen=True)
class MassModel:
    """dPIE potentials around a reference position.

    Coordinates are Lenstool's: x = -(RA - RA0) cos(Dec0) and y = Dec - Dec0 in arcsec, so +x is
    West and the picture on the sky has North up and East left.

    ra0, dec0 : ICRS degrees
    images : multiple images: image, system, ra, dec (deg), z, z_source
    members : cluster galaxies: id, ra, dec (deg), a_arcsec, b_arcsec, angle_deg, magnitude
    """

    name: str
    potentials: dpie.Potentials
    ra0: float
    dec0: float
    z_lens: float
    images: Table = field(default_factory=Table, compare=False)
    members: Table | None = field(default=None, compare=False)
    citation: str = ""

    def tangent(self, ra: Points, dec: Points) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) in arcsec of ICRS positions in degrees."""
        # A reference beside RA = 0 needs the difference the short way round.
        d_ra = (np.asarray(ra, dtype=float) - self.ra0 + 180.0) % 360.0 - 180.0
        x = -d_ra * np.cos(np.radians(self.dec0)) * 3600.0
        return x, (np.asarray(dec, dtype=float) - self.dec0) * 3600.0

    def sky(self, x: Points, y: Points) -> tuple[np.ndarray, np.ndarray]:
        """(ra, dec) in degrees of (x, y) in arcsec; the inverse of `tangent`."""
        scale = 3600.0 * np.cos(np.radians(self.dec0))
        ra = (self.ra0 - np.asarray(x, dtype=float) / scale) % 360.0
        return ra, self.dec0 + np.asarray(y, dtype=float) / 3600.0

    def distance_ratio(self, z_source: float) -> float:
        """D_LS / D_S; ValueError when the source is not behind the cluster."""
        return distance_ratio(self.z_lens, float(z_source))

    def deflection(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, np.ndarray]:
        """(alpha_x, alpha_y) in arcsec at (x, y) in arcsec, any shape."""
        ratio = self.distance_ratio(z_source)
        alpha_x, alpha_y = dpie.deflection(self.potentials, x, y)
        return ratio * alpha_x, ratio * alpha_y

    def ray_trace(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, np.ndarray]:
        """Source-plane position (arcsec) of the image-plane position (x, y): x - alpha(x)."""
        alpha_x, alpha_y = self.deflection(x, y, z_source)
        return x - alpha_x, y - alpha_y

    def hessian(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, ...]:
        """(psi_xx, psi_xy, psi_yy) at (x, y); the Jacobian of the lens map is 1 minus this."""
        ratio = self.distance_ratio(z_source)
        xx, xy, yy = dpie.hessian(self.potentials, x, y)
        return ratio * xx, ratio * xy, ratio * yy

    def kappa(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Convergence."""
        xx, _, yy = self.hessian(x, y, z_source)
        return 0.5 * (xx + yy)

    def shear(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, np.ndarray]:
        """(gamma_1, gamma_2) in the x, y frame."""
        xx, xy, yy = self.hessian(x, y, z_source)
        return 0.5 * (xx - yy), xy

    def gamma(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Modulus of the shear."""
        return np.hypot(*self.shear(x, y, z_source))

    def inverse_magnification(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Determinant of the Jacobian, (1 - kappa)^2 - gamma^2; zero on critical curves."""
        xx, xy, yy = self.hessian(x, y, z_source)
        return (1.0 - xx) * (1.0 - yy) - xy**2

    def magnification(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Signed magnification; infinite exactly on a critical curve."""
        with np.errstate(divide="ignore"):
            return 1.0 / self.inverse_magnification(x, y, z_source)
