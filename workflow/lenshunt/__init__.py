"""lenshunt: find strong gravitational lenses, from raw survey files to a calibrated list.

Rooms, in the order in which a cutout meets them; a room imports only from rooms above it here:

core         files written whole, digests, logs, statistics; formulas that several rooms share
schema       Cutout, its metadata (schema v2), bands, units, surveys: what flows, and its words
config       the typed definition of every configuration file, its checks, where products lie
readers      one reader per public format: file -> iterator of Cutout
images       background, PSF matching, resampling, photometry, quality, segments, 16-bit files
lensing      lens equation, differentiable simulator, physics terms, dPIE, critical curves
scenes       populations of lenses, lenses and look-alikes painted on real galaxies; demo/
dataset      splits, exclusion lists, matched negatives, shards, streaming loader
models       the registry and one file per architecture
training     Lightning module, losses, augmentations, pretraining, prediction
evaluation   Bologna metrics, calibration, ensembles; diagnostics/ of each architecture
search       the list of candidates; cluster/, candidates on critical curves
reporting    the summary page and its tables; figures/
"""

__version__ = "0.1.0"

#: Rooms in building order; tests/unit/test_layers.py holds every import to it.
ROOMS = (
    "core",
    "schema",
    "config",
    "readers",
    "images",
    "lensing",
    "scenes",
    "dataset",
    "models",
    "training",
    "evaluation",
    "search",
    "reporting",
)
