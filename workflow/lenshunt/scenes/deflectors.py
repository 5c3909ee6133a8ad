"""Lens galaxies: velocity dispersion, redshifts, Einstein radius, light; and ray-traced arcs."""

from dataclasses import dataclass

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.Util.param_util import phi_q2_ellipticity

from lenshunt.core.cosmology import demo_distances
from lenshunt.core.sersic import semi_major_of
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.profiles import TRUNCATION, Clumpy, Sersic, clumpy_brightness
from lenshunt.scenes.seds import I_BAND_UM, log_flux

#: Mean and scatter of the i magnitude of the lensed light, and its bounds: what surveys as deep as
#: KiDS find (`python tests/bench/demo_population.py` prints both), about a magnitude brighter: a
#: demo trains for minutes, on two thousand objects.
ARC_MAGNITUDE = (21.6, 0.75)
ARC_MAGNITUDE_BOUNDS = (19.8, 24.5)
#: Arcs of less than 3 per cent of the total light are lost in it: nobody lists them.
CONTRAST_MAG_MAX = 3.8


@dataclass(frozen=True)
class Deflector:
    """An early-type galaxy with its mass and the redshift of the source behind it.

    light : position, size, shape; magnitude_i, sed : its light (seds.py)
    theta_e : Einstein radius in arcsec for z_source, pi theta_e^2 = area in the critical curve
    slope : of the power-law mass profile, 2 is isothermal
    arc_magnitude_i : of the star-forming light beside it, lensed or not
    """

    light: Sersic
    magnitude_i: float
    sed: float
    z_lens: float
    z_source: float
    sigma_km_s: float
    theta_e: float
    q_mass: float
    angle_mass: float
    shear: tuple[float, float]
    slope: float = 2.0
    arc_magnitude_i: float = ARC_MAGNITUDE[0]


def early_type_magnitude(sigma_km_s: float, z: float, sed: float, scatter_mag: float) -> float:
    """Observed i magnitude by Faber & Jackson (1976): L ~ sigma^4, M_i = -22.5 at 220 km/s.

    Hyde & Bernardi 2009 (MNRAS 394, 1978) have log sigma at a given M: turned around it gives
    -23.1, which is too bright at a given sigma by the scatter of that relation.
    """
    absolute = -22.5 - 10.0 * np.log10(sigma_km_s / 220.0) + scatter_mag
    wavelength = np.array([I_BAND_UM])
    # K correction: the observed band sees the spectrum at lambda / (1 + z)
    k = -2.5 * (log_flux(sed, z, wavelength) - log_flux(sed, 0.0, wavelength))[0]
    return float(absolute + demo_distances().modulus(z) + k - 2.5 * np.log10(1 + z))


def draw_deflector(
    rng: np.random.Generator,
    theta_e_range: tuple[float, float] = (0.65, 3.0),
    z_lens_range: tuple[float, float] = (0.15, 0.75),
    slope_scatter: float = 0.0,
    magnitude_max: float = np.inf,
    arc_magnitude: tuple[float, float] = ARC_MAGNITUDE,
) -> Deflector:
    """A massive galaxy drawn by its velocity dispersion and the redshifts of lens and source.

    magnitude_max : faintest lens galaxy in i that the survey's sample takes
    arc_magnitude : mean and scatter of the i magnitude of arcs that the survey shows
    """
    while True:
        sigma = float(rng.normal(240.0, 50.0))
        z_lens = float(rng.uniform(*z_lens_range))
        z_source = float(z_lens + 0.25 + rng.gamma(2.6, 0.42))
        if sigma < 120 or z_source > 5:
            continue
        # numpy's float, with which float32 arrays become float64: the demo's bytes hang on it
        theta_e = np.float64(demo_distances().einstein_radius(sigma, z_lens, z_source))
        if not theta_e_range[0] <= theta_e <= theta_e_range[1]:
            continue
        sed = float(abs(rng.normal(0.0, 0.25)))
        magnitude = early_type_magnitude(sigma, z_lens, sed, float(rng.normal(0.0, 0.35)))
        arc = draw_arc_magnitude(rng, *arc_magnitude)
        if magnitude <= magnitude_max and arc - magnitude <= CONTRAST_MAG_MAX:
            break
    kpc_per_arcsec = demo_distances().kpc_per_arcsec(z_lens)
    # R ~ L^0.5, circularised; 4.3 kpc at 220 km/s lies between R at a given
    # sigma (Hyde & Bernardi 2009, 3.5 kpc) and R at the mass of such galaxies (Shen et al., 5.4)
    radius_kpc = 4.3 * (sigma / 220.0) ** 2.0 * np.exp(rng.normal(0.0, 0.3))
    q = float(np.clip(rng.normal(0.75, 0.13), 0.35, 0.98))
    angle = float(rng.uniform(0, np.pi))
    light = Sersic(
        x=float(rng.normal(0, 0.03)),
        y=float(rng.normal(0, 0.03)),
        semi_major=float(np.clip(semi_major_of(radius_kpc / kpc_per_arcsec, q), 0.25, 3.0)),
        n=round(float(np.clip(rng.normal(3.8, 0.9), 1.5, 6.0)), 1),
        q=q,
        angle=angle,
    )
    # Holder & Schechter 2003, ApJ 589, 688
    strength = min(0.05 * 10 ** float(rng.normal(0, 0.2)), 0.25)
    direction = rng.uniform(0, 2 * np.pi)
    return Deflector(
        light=light,
        magnitude_i=magnitude,
        sed=sed,
        z_lens=z_lens,
        z_source=z_source,
        sigma_km_s=sigma,
        theta_e=theta_e,
        q_mass=float(np.clip(q + rng.normal(0.03, 0.07), 0.5, 0.98)),
        angle_mass=angle + float(rng.normal(0, 0.12)),
        shear=(strength * float(np.cos(direction)), strength * float(np.sin(direction))),
        slope=2.0 + slope_scatter * float(rng.standard_normal()),
        arc_magnitude_i=arc,
    )


def draw_arc_magnitude(rng: np.random.Generator, mean: float, scatter: float) -> float:
    """i magnitude of lensed light; that of the lens galaxy has no say in it."""
    while True:
        magnitude = float(rng.normal(mean, scatter))
        if ARC_MAGNITUDE_BOUNDS[0] <= magnitude <= ARC_MAGNITUDE_BOUNDS[1]:
            return magnitude


def lens_model(deflector: Deflector) -> tuple[LensModel, list[dict[str, float]]]:
    """lenstronomy's model and keywords: SIE for slope 2 (closed form), EPL otherwise; shear."""
    e1, e2 = phi_q2_ellipticity(deflector.angle_mass, deflector.q_mass)
    mass = {
        "theta_E": deflector.theta_e,
        "e1": float(e1),
        "e2": float(e2),
        "center_x": deflector.light.x,
        "center_y": deflector.light.y,
    }
    kind = "SIE"
    if deflector.slope != 2.0:
        kind, mass["gamma"] = "EPL", deflector.slope
    shear = {"gamma1": deflector.shear[0], "gamma2": deflector.shear[1]}
    return LensModel([kind, "SHEAR"]), [mass, shear]


@dataclass(frozen=True)
class Arcs:
    """Lensed light of one source: where on the canvas, and its brightness.

    light : [h, w], fraction of the lensed flux per fine pixel
    magnification : lensed over unlensed flux
    """

    rows: slice
    columns: slice
    light: np.ndarray
    magnification: float


def trace_arcs(canvas: Canvas, deflector: Deflector, source: Clumpy, subpixels: int = 2) -> Arcs:
    """Ray-trace a source once, on `subpixels` times the canvas's fine grid; for all bands.

    source : in the source plane, arcsec, same axes as the canvas
    Surface brightness is conserved; the box reaches as far as the source can appear.
    """
    offset = np.hypot(source.body.x - deflector.light.x, source.body.y - deflector.light.y)
    reach = min(TRUNCATION, 4.0) * source.body.semi_major
    half = 1.3 * deflector.theta_e + offset + reach
    patch = canvas.patch(deflector.light.x, deflector.light.y, half)
    steps = ((np.arange(subpixels) + 0.5) / subpixels - 0.5) * patch.step
    x = (patch.dx[0][:, None] + steps).ravel().astype(float) + deflector.light.x
    y = (patch.dy[:, 0][:, None] + steps).ravel().astype(float) + deflector.light.y
    grid_x, grid_y = np.meshgrid(x, y)
    model, keywords = lens_model(deflector)
    beta_x, beta_y = model.ray_shooting(grid_x.ravel(), grid_y.ravel(), keywords)
    shape = grid_x.shape
    brightness = clumpy_brightness(
        beta_x.reshape(shape).astype(np.float32), beta_y.reshape(shape).astype(np.float32), source
    )
    height, width = patch.dx.shape
    light = brightness.reshape(height, subpixels, width, subpixels).mean(axis=(1, 3))
    light = light * np.float32(patch.step**2)
    magnification = float(light.sum())
    return Arcs(patch.rows, patch.columns, light / np.float32(magnification), magnification)
