"""lenshunt: find strong gravitational lenses, from raw survey files to a calibrated list.

Rooms, from the ground floor up; a room imports only from rooms below it:

core         hashes, code digests, versions, manifests; formulas that several rooms share
records      Cutout and its metadata (schema v2), band slots, units: the one type that flows
surveys      what is known of each survey: pixel scale, zero points, filters, PSF
config       the typed definition of every configuration file, and the checks across sections
raw          one reader per public format: file -> iterator of Cutout
images       psf, resampling, photometry, quality, 16-bit files
lensing      lens equation, differentiable simulator, physics terms, dPIE, critical curves
simulate     synthetic surveys in raw formats
injection    arcs of a lens population painted onto real galaxies, in files or while training
dataset      splits, exclusion lists, shards, streaming loader
models       the registry and one file per architecture
training     Lightning module, losses, augmentations, callbacks, prediction
evaluation   Bologna metrics, calibration, ensembles
evidence     what each architecture promises, measured on its trained models
cluster      lens-model files, overlay numbers
figures      one function per figure
report       the summary page and its tables
"""

__version__ = "0.1.0"

#: Rooms in building order; tests/unit/test_layers.py holds every import to it.
ROOMS = (
    "core",
    "records",
    "surveys",
    "config",
    "raw",
    "images",
    "lensing",
    "simulate",
    "injection",
    "dataset",
    "models",
    "training",
    "evaluation",
    "evidence",
    "cluster",
    "figures",
    "report",
)
