"""A cluster mass model made of dPIE potentials on the sky."""

from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table

from lenshunt.lensing import dpie
from lenshunt.lensing.lens_model import LensModel, Points


@dataclass(frozen=True)
class MassModel(LensModel):
    """dPIE potentials around a reference position, in Lenstool's flat coordinates.

    x = -(RA - RA0) cos(Dec0) and y = Dec - Dec0 in arcsec.
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

    def unit_deflection(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(alpha_x, alpha_y) in arcsec at D_LS / D_S = 1."""
        return dpie.deflection(self.potentials, x, y)

    def unit_hessian(self, x: Points, y: Points) -> tuple[np.ndarray, ...]:
        """(psi_xx, psi_xy, psi_yy) at D_LS / D_S = 1."""
        return dpie.hessian(self.potentials, x, y)

    def seeds(self, z_source: float, smallest_arcsec: float) -> np.ndarray:
        """[n, 2] centres of the potentials heavy enough for a curve of their own."""
        heavy = self.potentials.b0 * self.distance_ratio(z_source) > smallest_arcsec
        return np.column_stack([self.potentials.x[heavy], self.potentials.y[heavy]])

    @property
    def description(self) -> str:
        """What the model is made of, in a few words."""
        return f"{len(self.potentials)} dPIE potentials"
