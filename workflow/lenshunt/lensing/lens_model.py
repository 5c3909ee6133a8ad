"""What every mass model of a cluster gives, whatever it is made of: potentials or maps."""

from abc import ABC, abstractmethod

import numpy as np
from astropy.table import Table

from lenshunt.core.cosmology import distance_ratio

Points = np.ndarray | float


class LensModel(ABC):
    """A thin lens at one redshift, around a reference position.

    Coordinates are arcsec from (ra0, dec0), x to the West and y to the North, so that the picture
    on the sky has North up and East left. beta = theta - D_LS / D_S alpha.

    ra0, dec0 : ICRS degrees
    images : multiple images: image, system, ra, dec (deg), z, z_source
    members : cluster galaxies: id, ra, dec (deg), a_arcsec, b_arcsec, angle_deg, magnitude
    """

    name: str
    ra0: float
    dec0: float
    z_lens: float
    images: Table
    members: Table | None
    citation: str

    @abstractmethod
    def tangent(self, ra: Points, dec: Points) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) in arcsec of ICRS positions in degrees."""

    @abstractmethod
    def sky(self, x: Points, y: Points) -> tuple[np.ndarray, np.ndarray]:
        """(ra, dec) in degrees of (x, y) in arcsec; the inverse of `tangent`."""

    @abstractmethod
    def unit_deflection(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(alpha_x, alpha_y) in arcsec at D_LS / D_S = 1; NaN where the model says nothing."""

    @abstractmethod
    def unit_hessian(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(psi_xx, psi_xy, psi_yy) at D_LS / D_S = 1; NaN where the model says nothing."""

    @abstractmethod
    def seeds(self, z_source: float, smallest_arcsec: float) -> np.ndarray:
        """[n, 2] (x, y): where a critical curve of at least this size may hide in a coarse grid."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What the model is made of, in a few words."""

    def distance_ratio(self, z_source: float) -> float:
        """D_LS / D_S; ValueError when the source is not behind the cluster."""
        return distance_ratio(self.z_lens, float(z_source))

    def deflection(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, np.ndarray]:
        """(alpha_x, alpha_y) in arcsec at (x, y) in arcsec, any shape."""
        ratio = self.distance_ratio(z_source)
        alpha_x, alpha_y = self.unit_deflection(x, y)
        return ratio * alpha_x, ratio * alpha_y

    def ray_trace(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, np.ndarray]:
        """Source-plane position (arcsec) of the image-plane position (x, y): x - alpha(x)."""
        alpha_x, alpha_y = self.deflection(x, y, z_source)
        return x - alpha_x, y - alpha_y

    def hessian(self, x: Points, y: Points, z_source: float) -> tuple[np.ndarray, ...]:
        """(psi_xx, psi_xy, psi_yy) at (x, y); the Jacobian of the lens map is 1 minus this."""
        ratio = self.distance_ratio(z_source)
        return tuple(ratio * part for part in self.unit_hessian(x, y))

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
        gamma_1, gamma_2 = self.shear(x, y, z_source)
        return (gamma_1**2 + gamma_2**2) ** 0.5

    def inverse_magnification(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Determinant of the Jacobian, (1 - kappa)^2 - gamma^2; zero on critical curves."""
        xx, xy, yy = self.hessian(x, y, z_source)
        return (1.0 - xx) * (1.0 - yy) - xy**2

    def magnification(self, x: Points, y: Points, z_source: float) -> np.ndarray:
        """Signed magnification; infinite exactly on a critical curve."""
        with np.errstate(divide="ignore"):
            return 1.0 / self.inverse_magnification(x, y, z_source)
