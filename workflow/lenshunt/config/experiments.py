"""Section `experiments`: which networks are trained on what, and tested on what."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lenshunt.config.base import ConfigError, Strict, refuse_repeats, undefined
from lenshunt.config.comparisons import Comparison, check_comparisons, with_baseline
from lenshunt.config.dataset_section import (
    LABELLED,
    DatasetSection,
    held_out_for_the_test,
    not_of_role,
    not_on_grid,
)
from lenshunt.config.grids import Grid, keeps_broader
from lenshunt.config.injection import Online, check_online
from lenshunt.config.match_negatives import MatchNegatives, check_match_negatives
from lenshunt.config.model_files import MODEL_FOLDER, model_place, standing
from lenshunt.config.models import ModelConfig
from lenshunt.config.pretraining import Pretraining
from lenshunt.config.shards import SegmentsConfig, SplitConfig

#: Ends an entry of `models` that is the path of a file, no name of one in config/models.
MODEL_SUFFIXES = (".yaml", ".yml")


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
        refuse_repeats(self, ("train", "evaluate", "models", "seeds", "members"))
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


def model_files(experiments: Mapping[str, Experiment]) -> dict[str, Path]:
    """The file of every model that an experiment uses, by name, sorted.

    Raises ConfigError where one name stands for two files: products are called by it.
    """
    found: dict[str, Path] = {}
    for key, experiment in experiments.items():
        for name in experiment.models:
            shipped = MODEL_FOLDER / f"{name}.yaml"
            file = Path(experiment.model_files.get(name, shipped))
            shadows = file != shipped and standing(shipped) is not None
            other = shipped if shadows else found.get(name, file)
            if other.resolve() != file.resolve():
                raise ConfigError(
                    f"experiments.{key}.models: {file} has the name of {model_place(other)}; "
                    "rename the file, since all that is made with a model is called by its name"
                )
            found[name] = file
    return dict(sorted(found.items()))


def check_experiment(
    key: str,
    experiment: Experiment,
    *,
    grids: Mapping[str, Grid],
    datasets: Mapping[str, DatasetSection],
    splits: SplitConfig,
    segments: SegmentsConfig,
    pretraining: Mapping[str, Pretraining],
    models: Mapping[str, ModelConfig],
) -> Iterator[str]:
    """What does not fit together in an experiment and with other sections. key : of it"""
    train, evaluate, grid = experiment.train, experiment.evaluate, experiment.grid
    yield from undefined(f"{key}.grid", grid, grids)
    yield from not_on_grid(key, [*train, *evaluate], grid, datasets)
    for part, names in (("train", train), ("evaluate", evaluate)):
        yield from not_of_role(f"{key}.{part}", names, LABELLED, datasets)
        yield from _lenses_alone(f"{key}.{part}", names, datasets)
    remedy = "list it under `evaluate` alone"
    yield from held_out_for_the_test(f"{key}.train", train, remedy, datasets)
    yield from _pretraining(key, experiment, pretraining)
    yield from _fold(key, experiment.fold, splits.folds)
    if experiment.match_negatives is not None:
        used = {*train, *evaluate}
        yield from check_match_negatives(
            f"{key}.match_negatives", experiment.match_negatives, used, datasets
        )
    if experiment.online is not None:
        only_evaluated = {*evaluate} - {*train}
        yield from check_online(f"{key}.online", experiment.online, grid, only_evaluated, datasets)
    yield from check_comparisons(
        key, experiment.comparisons, experiment.models, experiment.baseline
    )
    yield from _without_segments(key, experiment, segments, models)
    yield from _without_renders(key, experiment, grids, datasets, models)


def _pretraining(
    key: str, experiment: Experiment, pretraining: Mapping[str, Pretraining]
) -> Iterator[str]:
    name = experiment.pretraining
    yield from undefined(f"{key}.pretraining", name, pretraining)
    used = pretraining.get(name or "")
    if used and used.grid != experiment.grid:
        yield (
            f"{key}.pretraining: {name} is on grid {used.grid}, the experiment on {experiment.grid}"
        )


def _fold(key: str, fold: int | None, folds: int | None) -> Iterator[str]:
    if fold is not None and (folds is None or fold >= folds):
        yield f"{key}.fold: fold {fold} needs splits.folds > {fold} (found {folds or 'none'})"


def _lenses_alone(
    key: str, names: list[str], datasets: Mapping[str, DatasetSection]
) -> Iterator[str]:
    """Data sets of lenses without negatives of their telescope."""
    used = {name: datasets[name] for name in names if name in datasets}
    with_negatives = {d.telescope for d in used.values() if not d.lenses_only}
    for name, dataset in used.items():
        if dataset.lenses_only and dataset.telescope not in with_negatives:
            yield (
                f"{key}: {name} holds lenses only; add "
                f"negatives of the same telescope ({dataset.telescope}), or a network "
                "learns the telescope instead of the lens"
            )


def _without_segments(
    key: str,
    experiment: Experiment,
    segments: SegmentsConfig,
    models: Mapping[str, ModelConfig],
) -> Iterator[str]:
    """Models that read segments, where none are made: not at all, or not of online samples."""
    for model in experiment.models:
        if model not in models or not models[model].facts.needs_segments:
            continue
        architecture = models[model].architecture
        if not segments.enabled:
            yield (
                f"segments.enabled: false, but {key}.models has {model}, whose architecture "
                f"{architecture} reads segments; set segments.enabled: true or remove {model}"
            )
        if experiment.online is not None:
            yield (
                f"{key}.models: {model} (architecture {architecture}) reads "
                f"segments, and samples made online have none; train {model} in an experiment "
                "without `online`, or on a data set of reader injection"
            )


def _without_renders(
    key: str,
    experiment: Experiment,
    grids: Mapping[str, Grid],
    datasets: Mapping[str, DatasetSection],
    models: Mapping[str, ModelConfig],
) -> Iterator[str]:
    """Models that render, where all training images are too broad for the PSF of their grid.

    Where `unmatched: keep` leaves them as they are, a network that renders fits none of them: it
    would be trained as a plain one.
    """
    grid = grids.get(experiment.grid)
    known = [datasets[name].survey for name in experiment.train if name in datasets]
    if grid is None or not known or not all(keeps_broader(grid, survey) for survey in known):
        return
    for model in experiment.models:
        if model in models and models[model].facts.renders:
            yield (
                f"{key}.models: {model} (architecture {models[model].architecture}) "
                f"renders images with the PSF of grid {experiment.grid}, which is sharper than all "
                f"that it would be trained on ({', '.join(experiment.train)}); raise "
                f"grids.{experiment.grid}.psf_fwhm_arcsec, or remove {model}"
            )
