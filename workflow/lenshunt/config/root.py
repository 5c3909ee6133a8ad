"""The whole configuration, config/config.yaml, and the checks across its sections."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lenshunt.config.base import Strict
from lenshunt.config.comparisons import Comparison, with_baseline
from lenshunt.config.datasets import Dataset
from lenshunt.config.demo import Demo
from lenshunt.config.models import TrainingConfig
from lenshunt.config.online import Online
from lenshunt.config.pretraining import Pretraining

#: Ends an entry of `models` that is the path of a file, no name of one in config/models.
MODEL_SUFFIXES = (".yaml", ".yml")


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
    """Cutouts whose PSF cannot be matched to the target within `psf_residual_max`, mostly as it is
    broader: stop (before any job where a survey's PSF is broader, else when the kernels are made,
    naming the cutouts), keep them (psf_matched is false), or keep them out of the shards."""


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
    folds: int | None = Field(None, ge=3)
    """Number of cross-validation folds; experiments name theirs with `fold`. None makes none."""

    @model_validator(mode="after")
    def _leaves_a_test_split(self) -> Self:
        if self.train + self.val >= 1:
            raise ValueError(f"train {self.train} and val {self.val} leave nothing to test")
        return self


class KnownLensRadii(Strict):
    """How far from the listed position of a known lens a negative must lie, by type of lens.

    Of the 101 CASTLES systems 71 lie within 2 arcsec of their entry in lenscat 1.1.3, 86 within
    5 and 99 within 10: many positions are rounded or of another image. All entries of lenscat
    with 10 arcsec cover 2e-5 of the sky, so that a wide radius costs next to no negatives.
    """

    galaxy: float = Field(10.0, gt=0)
    """Arcsec; also for tables without a column `type`."""
    group: float = Field(15.0, gt=0)
    """Arcsec; covers the arcs of a group."""
    cluster: float = Field(30.0, gt=0)
    """Arcsec; covers the arcs of a cluster. Negatives of source obs:relics stay: they were cut
    away from the arcs of that very cluster."""


class QualityConfig(Strict):
    threshold: float = Field(0.7, ge=0, le=1)
    """Cutouts below this quality stay out of the shards; they are listed with their flags."""


class SegmentsConfig(Strict):
    """Arcs and companions around the galaxy of each cutout, with their colours."""

    enabled: bool = False
    """Make them for every data set that is not for pretraining; needed by models that use them."""
    method: Literal["rotation", "isophotes"] = "rotation"
    """How the light of the galaxy in the middle is taken off: the image less itself rotated by
    180 degrees, or less its mean along ellipses."""
    n_max: int = Field(8, ge=2, le=64)
    """Segments kept per cutout, those of the highest S/N."""
    snr_min: float = Field(5.0, gt=0)
    """Segments of less S/N, all bands together, are left out."""


class Calipers(Strict):
    """Largest difference of a negative from its lens host; none leaves a covariate out."""

    magnitude: float = Field(0.5, gt=0)
    """AB magnitudes, in the first of i, r, z, g, y that both know."""
    half_light_radius: float | None = Field(0.2, gt=0)
    """dex (difference of log10)."""
    redshift: float | None = Field(0.1, gt=0)
    """Difference of redshift; spectroscopic before photometric."""
    colour: float | None = Field(0.2, gt=0)
    """AB magnitudes, for every colour of neighbouring bands that both know."""


class MatchNegatives(Strict):
    """Negatives chosen to look like lens hosts, so that no network learns the host instead of
    the lens.

    Each is matched to a host of its own split; those without a host are left out of training and
    of the metrics. What one of a pair does not know is not compared; the magnitude always is. The
    magnitude of a lens includes the light of its arcs.
    """

    negatives: list[str] = Field(min_length=1)
    """Data sets whose label-0 objects are matched."""
    hosts: list[str] = Field(min_length=1)
    """Data sets whose lenses they are matched to."""
    calipers: Calipers = Calipers()
    per_lens: int = Field(5, ge=1)
    """Negatives per lens, at most; each negative is used once."""


class Experiment(Strict):
    """One training set-up: models x seeds on one grid."""

    grid: str
    """Key of `grids`."""
    train: list[str] = Field(min_length=1)
    """Data sets of role labelled or negatives."""
    evaluate: list[str] = Field(min_length=1)
    """Data sets whose test split is scored."""
    models: list[str] = Field(min_length=1)
    """Names of models in config/models, or paths of model files that lie elsewhere (mine/net.yaml,
    from the working directory), whose name is then that of the file (net). Variant narrow of
    either has a name of its own (resnet18_narrow, mine/net_narrow.yaml)."""
    model_files: dict[str, str] = {}
    """Paths of the models that lie elsewhere, by name; filled from `models`."""
    seeds: list[int] = Field(min_length=1)
    """One training job per model and seed."""
    pretraining: str | None = None
    """Key of `pretraining`, or none to start from random weights."""
    views: Literal[1, 8] = 8
    """Views of an image, turned by 90 degrees and mirrored, whose logits are averaged: all 8, or
    the image as it is, which costs an eighth."""
    fold: int | None = Field(None, ge=0)
    """Cross-validation: this fold (0, 1, ...) is tested, the next validates, the others train.
    None takes the plain splits."""
    fusion: Literal["auto", "mean", "bayes", "stacking"] = "auto"
    """How the models' calibrated scores are fused: their plain mean, by Bayes' theorem with
    correlated members, or by logistic regression; auto takes the best on val_select. All are
    reported."""
    members: list[str] = []
    """Models that are fused, and that search; all of `models` where none is named."""
    match_negatives: MatchNegatives | None = None
    """Keep only negatives that match a lens host; none keeps all."""
    online: Online | None = None
    """Make a share of the training samples while training; none trains on the data sets alone."""
    comparisons: dict[str, Comparison] = {}
    """Pairs of models to compare on the test sets, by what the comparison tells (pretraining)."""
    baseline: str | None = None
    """One of `models`, with which every other one and `fused` are compared; none compares only
    what `comparisons` lists."""

    @model_validator(mode="before")
    @classmethod
    def _names_of_files(cls, values: Any) -> Any:
        """Names in `models`, and the paths that were among them in `model_files`."""
        if not isinstance(values, dict) or not isinstance(values.get("models"), list):
            return values
        listed = values["models"]
        paths = [entry for entry in listed if str(entry).endswith(MODEL_SUFFIXES)]
        files = {**(values.get("model_files") or {}), **{Path(path).stem: path for path in paths}}
        names = [Path(entry).stem if entry in paths else entry for entry in listed]
        return {**values, "models": names, "model_files": files}

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for key in ("train", "evaluate", "models", "seeds", "members"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: an entry is listed twice in {values}")
        return self

    @model_validator(mode="after")
    def _members_are_models(self) -> Self:
        strangers = [name for name in self.model_files if name not in self.models]
        if strangers:
            raise ValueError(
                f"model_files: {', '.join(strangers)} not among the models; there are "
                f"{', '.join(self.models)}"
            )
        others = [name for name in self.members if name not in self.models]
        if others:
            raise ValueError(
                f"members: {', '.join(others)} not among the models; there are "
                f"{', '.join(self.models)}"
            )
        return self

    def compared(self) -> dict[str, Comparison]:
        """All comparisons by name: those listed, then those with the baseline."""
        return with_baseline(self.comparisons, self.models, self.baseline)


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
    """A published lens model: `potentials`, or deflection maps with `z_lens`."""

    potentials: str | None = None
    """Lenstool .par file, or ECSV of dPIE potentials."""
    deflection_x: str | None = None
    """Deflection map, x in arcsec at D_LS/D_S = 1 (x-arcsec-deflect.fits of RELICS and HFF)."""
    deflection_y: str | None = None
    """Deflection map of the same model, y in arcsec (y-arcsec-deflect.fits)."""
    kappa: str | None = None
    """Convergence map of the same model; the deflections are checked against it."""
    z_lens: float | None = Field(None, gt=0)
    """Redshift of the cluster, for maps; potentials bring theirs."""
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
    known_lenses: list[str] = []
    """Tables of lenses that are known to be on the sky (lenscat, CASTLES, or any CSV, ECSV or
    Parquet with ra and dec in degrees): negatives near them are left out everywhere."""
    known_lens_radius_arcsec: KnownLensRadii = KnownLensRadii()
    quality: QualityConfig = QualityConfig()
    segments: SegmentsConfig = SegmentsConfig()
    training: TrainingConfig = TrainingConfig()
    pretraining: dict[str, Pretraining] = {}
    """Pretrainings by name."""
    experiments: dict[str, Experiment] = {}
    """Trainings with their evaluation, by name."""
    search: dict[str, Search] = {}
    """Searches by name."""
    clusters: dict[str, Cluster] = {}
    """Cluster overlays by name."""
    sample_gallery: int = Field(10, ge=1)
    """Random lenses, and random non-lenses, in the gallery of every labelled data set."""
    bootstraps: int = Field(1000, ge=50)
    """Bootstrap resamples of the metric intervals."""
