"""The whole configuration, config/config.yaml, and the checks across its sections."""

from typing import Literal

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.config.datasets import Dataset
from lenshunt.config.models import TrainingConfig


class Grid(Strict):
    """A common grid: what every cutout of a training looks like."""

    psf_fwhm_arcsec: float = Field(gt=0)
    """FWHM of the Moffat target PSF."""
    moffat_beta: float = Field(3.0, gt=1)
    """Moffat exponent of the target PSF."""
    pixel_scale_arcsec: float = Field(gt=0)
    """Size of a pixel."""
    size_px: int = Field(64, ge=16)
    """Side of the cutouts."""
    psf_residual_max: float = Field(0.01, gt=0)
    """Gate on the growth-curve difference between matched and target PSF."""
    unmatched: Literal["error", "keep", "drop"] = "error"
    """Cutouts whose PSF is broader than the target: refuse the configuration when a survey's
    PSF is, keep them (psf_matched is false), or drop them."""


class SplitConfig(Strict):
    """Leak-proof stratified splits, per data set."""

    train: float = Field(0.70, gt=0, lt=1)
    """Fraction of the groups for training."""
    val: float = Field(0.15, gt=0, lt=1)
    """Halved into val_select and val_calibrate; the rest is test."""
    match_radius_arcsec: float = Field(2.0, ge=0)
    """Objects closer than this on the sky are one group."""
    min_stratum_groups: int = Field(20, ge=1)
    """Strata with fewer groups are merged along the order of factors."""


class QualityConfig(Strict):
    threshold: float = Field(0.7, ge=0, le=1)
    """Cutouts below this quality stay out of the shards; they are listed with their flags."""


class Pretraining(Strict):
    """Pretraining of backbones on unlabelled galaxies."""

    grid: str
    """Key of `grids`; experiments that use it are on the same grid."""
    datasets: list[str] = Field(min_length=1)
    """Data sets of role pretrain."""
    training: dict[str, int | float | str | bool | None] = {}
    """Keys of `training` that differ in pretraining."""


class Experiment(Strict):
    """One training set-up: models x seeds on one grid."""

    grid: str
    """Key of `grids`."""
    train: list[str] = Field(min_length=1)
    """Data sets of role labelled or negatives."""
    evaluate: list[str] = Field(min_length=1)
    """Data sets whose test split is scored."""
    models: list[str] = Field(min_length=1)
    """Names of files in config/models."""
    seeds: list[int] = Field(min_length=1)
    """One training job per model and seed."""
    pretraining: str | None = None
    """Key of `pretraining`, or none to start from random weights."""


class Search(Strict):
    """Score unlabelled cutouts with the fused models of an experiment."""

    dataset: str
    """Data set of role search."""
    experiment: str
    """Key of `experiments`: its models and their fusion give the scores."""
    prevalence: float = Field(1e-3, gt=0, lt=1)
    """Fraction of lenses expected among the objects that are scored."""
    top: int = Field(24, ge=1)
    """Candidates shown in the gallery."""


class MassModel(Strict):
    """A published lens model."""

    potentials: str
    """Lenstool .par file, or ECSV of dPIE potentials."""
    images: str
    """Multiple images: Lenstool arcs file, or ECSV."""
    members: str | None = None
    """Cluster members: Lenstool catalogue, or ECSV."""


class Cluster(Strict):
    """The overlay of candidates on the critical curves of a cluster."""

    models: dict[str, MassModel] = Field(min_length=1)
    """Mass models by the name in the figure's legend."""
    z_sources: list[float] = [1.0, 2.0, 9.0]
    """Source redshifts of the critical curves."""
    dataset: str | None = None
    """Data set of role search whose fields show the cluster; none draws the model alone."""
    field: str | None = None
    """Name of the field in that data set."""
    search: str | None = None
    """Key of `search` that scores it."""
    random_catalogues: int = Field(1000, ge=10)
    """Magnitude-matched random subsets for the p-value."""
    probability_min: float = Field(0.5, ge=0, le=1)
    """Candidates below this calibrated probability are not counted in the numbers."""


class Demo(Strict):
    """The synthetic survey of `make run`, written in the official raw formats."""

    folder: str = "results/demo"
    """Where the raw files of the demo are written."""
    galaxiesml: int = Field(2000, ge=10)
    """Number of GalaxiesML galaxies."""
    bologna_ground: int = Field(2000, ge=10)
    """Number of Bologna ground objects, half of them lenses."""
    sdss: int = Field(300, ge=10)
    """Number of SDSS-like objects, for scores across surveys."""
    castles_systems: int = Field(30, ge=2)
    """Number of CASTLES-like systems, each in two filters."""
    relics_fields: int = Field(4, ge=1)
    """Number of RELICS-like cluster fields."""


class Config(Strict):
    """The whole configuration."""

    seed: int = 20260
    """Seed of the demo, splits, bootstraps and random catalogues; trainings have their own."""
    results: str = "results"
    """Folder of everything that is made."""
    demo: Demo = Demo()
    grids: dict[str, Grid] = Field(min_length=1)
    """Common grids by name."""
    datasets: dict[str, Dataset] = Field(min_length=1)
    """Data sets by name."""
    splits: SplitConfig = SplitConfig()
    quality: QualityConfig = QualityConfig()
    training: TrainingConfig = TrainingConfig()
    pretraining: dict[str, Pretraining] = {}
    """Pretrainings by name."""
    experiments: dict[str, Experiment] = {}
    """Trainings with their evaluation, by name."""
    search: dict[str, Search] = {}
    """Searches by name."""
    clusters: dict[str, Cluster] = {}
    """Cluster overlays by name."""
    bootstraps: int = Field(1000, ge=50)
    """Bootstrap resamples of the metric intervals."""
