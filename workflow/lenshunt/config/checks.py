"""Checks across sections of the configuration, made before any job is planned."""

import re
from collections.abc import Mapping

from lenshunt.config.comparison_checks import check_comparisons
from lenshunt.config.datasets import Dataset, RelicsDataset
from lenshunt.config.field_checks import check_fields
from lenshunt.config.held_out_checks import check_held_out
from lenshunt.config.injection_checks import check_injection
from lenshunt.config.load import ConfigError, merged_training, model_files, model_place
from lenshunt.config.models import ModelConfig
from lenshunt.config.online_checks import check_online
from lenshunt.config.render_checks import check_renders
from lenshunt.config.root import Config
from lenshunt.surveys import AUTO, survey_named

POSITIVES_ONLY = ("castles", "hst_lenses")
#: Readers of FITS files, whose headers can tell the survey; injected lenses take their host's.
AUTO_SURVEY = ("cutouts", "castles", "field", "galaxy_zoo", "injection")


def check_config(config: Config, models: Mapping[str, ModelConfig]) -> None:
    """Raise ConfigError listing everything that does not fit together, by key.

    models : the model files that the experiments name
    """
    problems = [
        *_references(config),
        *_roles(config),
        *_scored_fields(config),
        *check_fields(config),
        *check_injection(config),
        *check_online(config, models),
        *check_comparisons(config),
        *check_held_out(config),
        *_negatives(config),
        *_labels(config),
        *_folds(config),
        *_matched_negatives(config),
        *_auto_surveys(config),
        *_target_psfs(config),
        *_segments(config, models),
        *check_renders(config, models),
    ]
    files = model_files(config)
    for name, model in models.items():
        try:
            model.check_training(merged_training(config.training.model_dump(), model.training))
        except ValueError as error:
            problems.append(f"{model_place(files[name])}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))


def _missing(key: str, name: str | None, known: Mapping[str, object]) -> list[str]:
    if name is None or name in known:
        return []
    return [f"{key}: {name!r} is not defined; known: {', '.join(sorted(known)) or 'none'}"]


def _references(config: Config) -> list[str]:
    problems: list[str] = []
    for name, dataset in config.datasets.items():
        for grid in dataset.grids:
            problems += _missing(f"datasets.{name}.grids", grid, config.grids)
    for name, pretraining in config.pretraining.items():
        problems += _missing(f"pretraining.{name}.grid", pretraining.grid, config.grids)
        problems += _on_grid(config, f"pretraining.{name}", pretraining.datasets, pretraining.grid)
    for name, experiment in config.experiments.items():
        key = f"experiments.{name}"
        problems += _missing(f"{key}.grid", experiment.grid, config.grids)
        problems += _missing(f"{key}.pretraining", experiment.pretraining, config.pretraining)
        used = [*experiment.train, *experiment.evaluate]
        problems += _on_grid(config, key, used, experiment.grid)
        pretraining_used = config.pretraining.get(experiment.pretraining or "")
        if pretraining_used and pretraining_used.grid != experiment.grid:
            problems.append(
                f"{key}.pretraining: {experiment.pretraining} is on grid "
                f"{pretraining_used.grid}, the experiment on {experiment.grid}"
            )
    for name, search in config.search.items():
        problems += _missing(f"search.{name}.experiment", search.experiment, config.experiments)
        if search.experiment in config.experiments:
            grid = config.experiments[search.experiment].grid
            problems += _on_grid(config, f"search.{name}.dataset", [search.dataset], grid)
    for name, cluster in config.clusters.items():
        problems += _missing(f"clusters.{name}.search", cluster.search, config.search)
        problems += _missing(f"clusters.{name}.dataset", cluster.dataset, config.datasets)
    return problems


def _on_grid(config: Config, key: str, names: list[str], grid: str) -> list[str]:
    problems: list[str] = []
    for name in names:
        problems += _missing(key, name, config.datasets)
        if name in config.datasets and grid not in config.datasets[name].grids:
            problems.append(f"{key}: {name} is not made on grid {grid}; add it to its grids")
    return problems


def _roles(config: Config) -> list[str]:
    wanted = [
        *(
            (f"pretraining.{name}.datasets", d, ("pretrain",))
            for name, section in config.pretraining.items()
            for d in section.datasets
        ),
        *(
            (f"experiments.{name}.{part}", d, ("labelled", "negatives"))
            for name, section in config.experiments.items()
            for part, names in (("train", section.train), ("evaluate", section.evaluate))
            for d in names
        ),
        *(
            (f"search.{name}.dataset", section.dataset, ("search",))
            for name, section in config.search.items()
        ),
    ]
    return [
        f"{key}: {dataset} has role {config.datasets[dataset].role}, expected {' or '.join(roles)}"
        for key, dataset, roles in wanted
        if dataset in config.datasets and config.datasets[dataset].role not in roles
    ]


def _field_key(name: str) -> str:
    """A field's name without spelling variants: SMACS J0723.3-7327 = smacs0723m73 = smacs0723."""
    digits = re.search(r"([a-z]+?)j?(\d{4})", re.sub(r"[^a-z0-9]", "", name.lower()))
    return "".join(digits.groups()) if digits else name.lower()


def _scored_fields(config: Config) -> list[str]:
    scored = {_field_key(name): f"clusters.{name}" for name in config.clusters}
    relics = {n: d for n, d in config.datasets.items() if isinstance(d, RelicsDataset)}
    for name, dataset in relics.items():
        if dataset.role == "search":
            scored.update({_field_key(f): f"datasets.{name}.fields.{f}" for f in dataset.fields})
    return [
        f"datasets.{name}.fields.{field}: a field that is scored ({scored[_field_key(field)]}) "
        "must not give training samples; remove it here"
        for name, dataset in relics.items()
        if dataset.role != "search"
        for field in dataset.fields
        if _field_key(field) in scored
    ]


def _negatives(config: Config) -> list[str]:
    problems = []
    for name, experiment in config.experiments.items():
        for part, names in (("train", experiment.train), ("evaluate", experiment.evaluate)):
            used = {n: config.datasets[n] for n in names if n in config.datasets}
            for dataset_name, dataset in used.items():
                if dataset.reader in POSITIVES_ONLY and not _has_negatives(dataset, used):
                    problems.append(
                        f"experiments.{name}.{part}: {dataset_name} holds lenses only; add "
                        f"negatives of the same telescope ({_telescope(dataset)}), or a network "
                        "learns the telescope instead of the lens"
                    )
    return problems


def _labels(config: Config) -> list[str]:
    """Data sets whose one label contradicts their role: nothing of them would be trained on."""
    wanted = {"negatives": (0,), "labelled": (0, 1), "search": (-1,), "pretrain": (-1,)}
    return [
        f"datasets.{name}.label: {label}, but role {dataset.role} gives "
        f"{' or '.join(map(str, wanted[dataset.role]))}"
        for name, dataset in config.datasets.items()
        if (label := getattr(dataset, "label", None)) is not None
        and getattr(dataset, "catalogue", None) is None
        and label not in wanted[dataset.role]
    ]


def _telescope(dataset: Dataset) -> str:
    """hst of hst and hst_wfc3: surveys of one telescope share the part before the underscore.

    Of auto unknown, so that only CASTLES, which is HST's, counts for a telescope.
    """
    if dataset.survey == AUTO and dataset.reader == "castles":
        return "hst"
    return dataset.survey.split("_")[0]


def _has_negatives(dataset: Dataset, used: Mapping[str, Dataset]) -> bool:
    return any(
        _telescope(other) == _telescope(dataset) and other.reader not in POSITIVES_ONLY
        for other in used.values()
    )


def _folds(config: Config) -> list[str]:
    folds = config.splits.folds
    return [
        f"experiments.{name}.fold: fold {experiment.fold} needs splits.folds > {experiment.fold} "
        f"(found {folds or 'none'})"
        for name, experiment in config.experiments.items()
        if experiment.fold is not None and (folds is None or experiment.fold >= folds)
    ]


def _matched_negatives(config: Config) -> list[str]:
    problems = []
    for name, experiment in config.experiments.items():
        match = experiment.match_negatives
        if match is None:
            continue
        used = {*experiment.train, *experiment.evaluate}
        for part, names in (("negatives", match.negatives), ("hosts", match.hosts)):
            problems += [
                f"experiments.{name}.match_negatives.{part}: {dataset} is not among the data sets "
                f"of this experiment ({', '.join(sorted(used))})"
                for dataset in names
                if dataset not in used
            ]
        known = [n for n in match.negatives if n in config.datasets]
        problems += [
            f"experiments.{name}.match_negatives.negatives: {dataset} holds lenses only"
            for dataset in known
            if config.datasets[dataset].reader in POSITIVES_ONLY
        ]
        problems += [
            f"experiments.{name}.match_negatives.hosts: {dataset} has role negatives, no lenses"
            for dataset in match.hosts
            if dataset in config.datasets and config.datasets[dataset].role == "negatives"
        ]
    return problems


def _auto_surveys(config: Config) -> list[str]:
    return [
        f"datasets.{name}.survey: {AUTO} works with the readers {', '.join(AUTO_SURVEY)} only, "
        f"whose files have headers; name the survey of {dataset.reader}"
        for name, dataset in config.datasets.items()
        if dataset.survey == AUTO and dataset.reader not in AUTO_SURVEY
    ]


def _target_psfs(config: Config) -> list[str]:
    problems = []
    for name, dataset in config.datasets.items():
        # headers tell this survey; a PSF broader than the target is then found when matching
        if dataset.survey == AUTO:
            continue
        try:
            fwhm = survey_named(dataset.survey, f"datasets.{name}.survey").psf_fwhm_arcsec
        except KeyError as error:
            problems.append(str(error.args[0]))
            continue
        for grid_name in dataset.grids:
            grid = config.grids.get(grid_name)
            if grid and grid.unmatched == "error" and min(fwhm.values()) > grid.psf_fwhm_arcsec:
                problems.append(
                    f"grids.{grid_name}.psf_fwhm_arcsec: the target of {grid.psf_fwhm_arcsec} "
                    f"arcsec is sharper than the PSF of {name} ({min(fwhm.values())} arcsec); "
                    "raise it, or set unmatched to keep or drop"
                )
    return problems


def _segments(config: Config, models: Mapping[str, ModelConfig]) -> list[str]:
    """Models that read segments need them to be made."""
    if config.segments.enabled:
        return []
    return [
        f"segments.enabled: false, but experiments.{name}.models has {model}, whose architecture "
        f"{models[model].architecture} reads segments; set segments.enabled: true or remove {model}"
        for name, experiment in config.experiments.items()
        for model in experiment.models
        if model in models and models[model].facts.needs_segments
    ]
