"""Lens equation, dPIE cluster models, multiple images, critical curves and caustics."""

from lenshunt.lensing.critical import caustics, critical_curves, curve_length, distance_to_curves
from lenshunt.lensing.dpie import Potentials, deflection, hessian
from lenshunt.lensing.lenstool import read_lenstool
from lenshunt.lensing.mass_model import MassModel
from lenshunt.lensing.multiple_images import (
    ImageSolver,
    follow_images,
    image_plane_rms,
    mean_source,
    predicted_images,
)
from lenshunt.lensing.tables import load_mass_model, potentials_table, write_ecsv
from lenshunt.records.cosmology import COSMOLOGY, arcsec_per_kpc, distance_ratio

__all__ = [
    "COSMOLOGY",
    "ImageSolver",
    "MassModel",
    "Potentials",
    "arcsec_per_kpc",
    "caustics",
    "critical_curves",
    "curve_length",
    "deflection",
    "distance_ratio",
    "distance_to_curves",
    "follow_images",
    "hessian",
    "image_plane_rms",
    "load_mass_model",
    "mean_source",
    "potentials_table",
    "predicted_images",
    "read_lenstool",
    "write_ecsv",
]
