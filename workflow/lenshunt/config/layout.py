"""Where every product of a run lies, and what the jobs of a configuration need of each other."""

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from lenshunt.config.comparisons import FUSED
from lenshunt.config.experiments import Experiment
from lenshunt.config.injection import InjectionDataset
from lenshunt.config.models import ModelConfig, TrainingConfig, merged_training
from lenshunt.config.root import Config

#: What the summary page calls a product: a name, or (data set, chunk), (data set, grid),
#: (experiment, label of a model).
Key = str | tuple[str, str] | tuple[str, int]


class Template(str):
    """The path of a product with its wildcards in braces, as a rule takes it."""

    def of(self, **wildcards: object) -> str:
        """The path for these values. Raises TypeError unless just its wildcards are given."""
        names = {name for _, name, _, _ in Formatter().parse(self) if name}
        if names != set(wildcards):
            raise TypeError(f"{self} has wildcards {sorted(names)}, given {sorted(wildcards)}")
        return self.format(**wildcards)

    def with_suffix(self, suffix: str) -> "Template":
        """The file beside it that differs in its last suffix only: the PDF of a figure."""
        return Template(self.rpartition(".")[0] + suffix)


class Layout:
    """Paths of all products of a configuration, and answers about its jobs.

    Attributes are path templates, everything below the folder `results`. Methods answer what
    the rules ask: with names of the configuration in, names and paths out.
    """

    def __init__(self, config: Config, models: Mapping[str, ModelConfig]) -> None:
        """models : those of the experiments, by name, as `load_models` reads them"""
        self.config = config
        self.models = models

        def at(path: str) -> Template:
            return Template(f"{config.results}/{path}")

        # records
        self.raw_manifest = at("provenance/raw/{dataset}.csv")
        self.pixels = at("records/{dataset}/{chunk}.h5")
        self.metadata = at("records/{dataset}/{chunk}.parquet")
        self.rejected_of_chunk = at("records/{dataset}/{chunk}.rejected.ecsv")
        self.rejected = at("rejected/{dataset}.ecsv")

        # injected lenses
        self.hosts = at("injection/{dataset}/hosts.parquet")
        self.population = at("injection/{dataset}/population.parquet")
        self.sources = at("injection/{dataset}/sources.h5")
        self.truth = at("injection/{dataset}/{chunk}.truth.parquet")
        self.hard_negatives = at("injection/{dataset}/{chunk}.hard_negatives.parquet")
        self.skipped = at("injection/{dataset}/{chunk}.skipped.ecsv")

        # images
        self.kernels = at("psf/{grid}/{dataset}.h5")
        self.kernel_table = at("psf/{grid}/{dataset}.csv")
        self.cutouts = at("cutouts/{grid}/{dataset}/{chunk}.tif")
        self.cutout_metadata = at("cutouts/{grid}/{dataset}/{chunk}.parquet")
        self.segments = at("segments/{grid}/{dataset}/{chunk}.h5")

        # splits and shards
        self.splits = at("splits/{dataset}.parquet")
        self.exclusions = at("exclusions/{experiment}.parquet")
        self.pretraining_exclusions = at("exclusions/pretraining-{pretraining}.parquet")
        self.matched = at("matched/{experiment}.parquet")
        self.matched_table = at("tables/matched_negatives/{experiment}.csv")
        self.shard_index = at("shards/{grid}/{dataset}/index.json")

        # trainings
        self.online_sources = at("online/{experiment}/sources.h5")
        self.probe = at("probe/{model}.json")
        self.backbone = at("pretraining/{pretraining}/{backbone}.ckpt")
        self.backbone_history = at("pretraining/{pretraining}/{backbone}.csv")
        self.backbone_report = at("pretraining/{pretraining}/{backbone}.json")
        self.checkpoint = at("training/{experiment}/{model}-{seed}.ckpt")
        self.history = at("training/{experiment}/{model}-{seed}.csv")
        self.training_folder = at("training/{experiment}/{model}-{seed}")
        self.training_benchmark = self.benchmark("train/{experiment}/{model}-{seed}")
        self.predictions = at("predictions/{experiment}/{model}-{seed}.parquet")
        self.prediction_benchmark = self.benchmark("predict/{experiment}/{model}-{seed}")

        # evaluation
        self.calibrated = at("calibrated/{experiment}/{model}-{seed}.parquet")
        self.calibration = at("calibrated/{experiment}/{model}-{seed}.json")
        self.fused = at("fused/{experiment}.parquet")
        self.fusion = at("fused/{experiment}.json")
        self.metrics = at("tables/metrics/{experiment}.csv")
        self.comparisons = at("tables/comparisons/{experiment}.csv")
        self.model_sizes = at("study/{experiment}.json")
        self.study_table = at("tables/study/{experiment}.csv")
        self.costs = at("tables/costs/{experiment}.csv")
        self.diagnostics = at("diagnostics/{experiment}/{model}-{seed}.json")
        self.diagnostics_curves = at("diagnostics/{experiment}/{model}-{seed}.csv")

        # searches and clusters
        self.search_predictions = at("search/{search}/predictions/{model}-{seed}.parquet")
        self.search_calibrated = at("search/{search}/calibrated/{model}-{seed}.parquet")
        self.search_fused = at("search/{search}/fused.parquet")
        self.search_fusion = at("search/{search}/fused.json")
        self.candidates = at("candidates/{search}.ecsv")
        self.candidate_rows = at("candidates/{search}.parquet")
        self.cluster_numbers = at("cluster/{cluster}/numbers.json")
        self.cluster_table = at("cluster/{cluster}/candidates.ecsv")
        self.cluster_maps = at("cluster/{cluster}/maps.fits")
        self.cluster_regions = at("cluster/{cluster}/candidates.reg")

        # figures
        self.psf_figure = at("figures/psf/{grid}/{dataset}.png")
        self.sample_gallery = at("figures/samples/{grid}/{dataset}.png")
        self.injection_figure = at("figures/injection/{dataset}.png")
        self.label_sources = at("figures/label_sources.png")
        self.split_figure = at("figures/splits.png")
        self.split_balance = at("tables/split_balance.csv")
        self.matched_figure = at("figures/matched_negatives/{experiment}.png")
        self.training_curves = at("figures/training/{experiment}.png")
        self.evaluation_figure = at("figures/{what}/{experiment}.png")
        self.comparisons_figure = at("figures/comparisons/{experiment}.png")
        self.diagnostics_figure = at("figures/diagnostics/{experiment}/{model}.png")
        self.candidate_gallery = at("figures/candidates/{search}.png")
        self.overlay = at("figures/overlay/{cluster}.png")

        # the whole run
        self.manifest = at("provenance/manifest.csv")
        self.resolved_config = at("provenance/config.yaml")
        self.versions = at("provenance/versions.csv")
        self.summary = at("summary.html")
        self.summary_text = at("summary.md")

    def templates(self) -> dict[str, Template]:
        """All paths by the name of their attribute."""
        return {name: path for name, path in vars(self).items() if isinstance(path, Template)}

    def log(self, job: str) -> Template:
        """Log file of a job. job : the rule's name and its wildcards, RULE/{dataset}/{chunk}"""
        return Template(f"{self.config.results}/logs/{job}.log")

    def benchmark(self, job: str) -> Template:
        """Table of a job's run time and memory. job : as for its log"""
        return Template(f"{self.config.results}/benchmarks/{job}.tsv")

    # Data sets --------------------------------------------------------------------------

    @property
    def injected(self) -> list[str]:
        """Data sets that are made of the records of others."""
        return [n for n, d in self.config.datasets.items() if isinstance(d, InjectionDataset)]

    @property
    def read(self) -> list[str]:
        """Data sets that are read from raw files."""
        return [name for name in self.config.datasets if name not in self.injected]

    @property
    def made_grids(self) -> list[tuple[str, str]]:
        """Pairs of data set and grid that are made."""
        return [(name, grid) for name, d in self.config.datasets.items() for grid in d.grids]

    def host_dataset(self, dataset: str) -> str:
        """Data set on whose galaxies an injected one is painted."""
        return self._injection(dataset).hosts

    def host_chunk(self, product: Template, dataset: str, chunk: str) -> str:
        """A product of the chunk on which the same chunk of an injected data set is painted."""
        return product.of(dataset=self.host_dataset(dataset), chunk=chunk)

    def source_datasets(self, dataset: str) -> list[str]:
        """Data sets of the galaxies that an injected one lenses; none for simulated ones."""
        return self._injection(dataset).sources

    def chunks(self, dataset: str) -> range:
        """Numbers of a data set's chunks; injected lenses follow those of their hosts."""
        read = self.host_dataset(dataset) if dataset in self.injected else dataset
        return range(self.config.datasets[read].chunks)

    def chunk_counts(self, datasets: Iterable[str]) -> dict[str, int]:
        """Number of chunks by data set: how a list of their files is taken apart again."""
        return {name: len(self.chunks(name)) for name in datasets}

    def of_chunks(self, product: Template, *datasets: str, **wildcards: str) -> list[str]:
        """A product of every chunk of these data sets. wildcards : its others, `grid`"""
        return [
            product.of(dataset=name, chunk=chunk, **wildcards)
            for name in datasets
            for chunk in self.chunks(name)
        ]

    def segments_of(self, dataset: str, grid: str) -> list[str]:
        """Segment files of a data set; none where they are not made."""
        wanted = self.config.segments.enabled and self.config.datasets[dataset].role != "pretrain"
        return self.of_chunks(self.segments, dataset, grid=grid) if wanted else []

    def dataset_values(self, dataset: str) -> dict[str, Any]:
        """What the records of a data set depend on, as plain values."""
        return self.config.datasets[dataset].model_dump(
            exclude={"grids", "made_by", "held_out", "rejected_fraction_max"}
        )

    def _injection(self, dataset: str) -> InjectionDataset:
        section = self.config.datasets[dataset]
        if not isinstance(section, InjectionDataset):
            raise TypeError(f"datasets.{dataset}: reader {section.reader} paints no lenses")
        return section

    # Experiments and pretrainings -------------------------------------------------------

    def experiment_datasets(self, experiment: str) -> list[str]:
        """Data sets that an experiment trains or is evaluated on."""
        section = self.config.experiments[experiment]
        return unique([*section.train, *section.evaluate])

    def evaluated_only(self, experiment: str) -> list[str]:
        """Data sets that an experiment is evaluated on without training on them."""
        section = self.config.experiments[experiment]
        return [dataset for dataset in section.evaluate if dataset not in section.train]

    def online_hosts(self, experiment: str) -> list[str]:
        """Data sets whose galaxies carry the lenses that an experiment makes while training."""
        online = self.config.experiments[experiment].online
        return online.hosts if online else []

    def online_source_datasets(self, experiment: str) -> list[str]:
        """Data sets of the galaxies that these lenses show; none for simulated ones."""
        online = self.config.experiments[experiment].online
        return online.sources if online else []

    def online_sources_of(self, experiment: str) -> list[str]:
        """File of those galaxies, where the experiment names any."""
        named = self.online_source_datasets(experiment)
        return [self.online_sources.of(experiment=experiment)] if named else []

    def searched_with(self, experiment: str) -> list[str]:
        """Data sets that are searched with the models of an experiment."""
        return [s.dataset for s in self.config.search.values() if s.experiment == experiment]

    def exclusion_datasets(self, experiment: str) -> list[str]:
        """All data sets whose overlap matters to an experiment: its own, those of its pretraining
        and of its online lenses, and those that are searched with it, since what is scored is
        never trained on."""
        pretraining = self.config.experiments[experiment].pretraining
        more = self.config.pretraining[pretraining].datasets if pretraining else []
        names = [*self.experiment_datasets(experiment), *more, *self.online_hosts(experiment)]
        return unique([*names, *self.searched_with(experiment)])

    def experiment_folds(self, experiment: str) -> dict[str, list[int | None]]:
        """The cross-validation fold under which an experiment sees each of its data sets."""
        names = [*self.experiment_datasets(experiment), *self.online_hosts(experiment)]
        return {dataset: [self.config.experiments[experiment].fold] for dataset in names}

    def pretrained_with(self, pretraining: str) -> dict[str, Experiment]:
        """Experiments that start from a pretraining, by name."""
        experiments = self.config.experiments.items()
        return {name: e for name, e in experiments if e.pretraining == pretraining}

    def pretraining_overlaps(self, pretraining: str) -> list[str]:
        """The data sets of a pretraining and of every experiment, and search, that builds on it."""
        more = [
            dataset
            for user in self.pretrained_with(pretraining)
            for dataset in [*self.experiment_datasets(user), *self.searched_with(user)]
        ]
        return unique([*self.config.pretraining[pretraining].datasets, *more])

    def pretraining_folds(self, pretraining: str) -> dict[str, list[int | None]]:
        """All folds under which the experiments that start from a pretraining see a data set."""
        found: dict[str, list[int | None]] = {}
        for user, section in self.pretrained_with(pretraining).items():
            for dataset in self.experiment_datasets(user):
                found.setdefault(dataset, []).append(section.fold)
        return found

    def splits_of(self, datasets: Iterable[str]) -> list[str]:
        """Split tables of data sets."""
        return [self.splits.of(dataset=name) for name in datasets]

    @property
    def matching(self) -> list[str]:
        """Experiments whose negatives are chosen to look like lens hosts."""
        return [name for name, e in self.config.experiments.items() if e.match_negatives]

    def matched_of(self, experiment: str) -> list[str]:
        """The matching of an experiment, where it asks for one."""
        return [self.matched.of(experiment=experiment)] if experiment in self.matching else []

    def matched_datasets(self, experiment: str) -> list[str]:
        """Data sets whose negatives, or lens hosts, an experiment matches."""
        match = self.config.experiments[experiment].match_negatives
        return unique([*match.negatives, *match.hosts]) if match else []

    def indexes_of(self, experiment: str, datasets: Iterable[str]) -> list[str]:
        """Shard indexes of data sets on the grid of an experiment."""
        grid = self.config.experiments[experiment].grid
        return [self.shard_index.of(dataset=name, grid=grid) for name in datasets]

    def pretraining_indexes(self, pretraining: str) -> list[str]:
        """Shard indexes of what a pretraining learns from."""
        section = self.config.pretraining[pretraining]
        return [self.shard_index.of(dataset=n, grid=section.grid) for n in section.datasets]

    # Models and their trainings ---------------------------------------------------------

    def training_of(self, model: str) -> TrainingConfig:
        """How a model is trained: the section `training` with what its own file changes."""
        return self._training(self.models[model].training)

    def pretraining_of(self, pretraining: str) -> TrainingConfig:
        """How a pretraining learns: the section `training` with what its own changes."""
        return self._training(self.config.pretraining[pretraining].training)

    def _training(self, changes: Mapping[str, Any]) -> TrainingConfig:
        return merged_training(self.config.training.model_dump(), changes)

    def loading_of(self, model: str) -> dict[str, Any]:
        """How a model's predictions read their samples: as its training does."""
        values = self.training_of(model).model_dump()
        return {key: values[key] for key in ("threads", "workers", "loader")}

    def contrastive_values(self, pretraining: str) -> dict[str, Any] | None:
        """The contrastive part of a pretraining, as plain values; None without."""
        section = self.config.pretraining[pretraining].contrastive
        return section.model_dump() if section else None

    def online_values(self, experiment: str) -> dict[str, Any] | None:
        """Section `online` of an experiment and its grid, as plain values; None without."""
        section = self.config.experiments[experiment]
        if section.online is None:
            return None
        grid = self.config.grids[section.grid]
        return {"config": section.online.model_dump(), "grid": grid.model_dump()}

    def model_of_backbone(self, backbone: str) -> str:
        """The model that stands for a backbone family's architecture: its namesake where that is
        used, else the first by name."""
        family = self._family(backbone)
        return backbone if backbone in family else family[0]

    def _family(self, backbone: str) -> list[str]:
        """All models of a backbone family, which share what is pretrained, by name."""
        return sorted(name for name, model in self.models.items() if model.backbone == backbone)

    def pretrained_of(self, experiment: str, model: str) -> list[str]:
        """The checkpoint that a model starts from, where its experiment names a pretraining."""
        pretraining = self.config.experiments[experiment].pretraining
        section = self.models[model]
        if not (pretraining and section.pretrained):
            return []
        return [self.backbone.of(pretraining=pretraining, backbone=section.backbone)]

    def probe_of(self, model: str, training: TrainingConfig) -> list[str]:
        """The probe of a model, where this training of it leaves the batch size to one."""
        return [self.probe.of(model=model)] if training.batch_size == "auto" else []

    def grids_of_model(self, model: str) -> list[str]:
        """Grids on which a model, or the backbone that it stands for, is trained; sorted."""
        family = set(self._family(self.models[model].backbone))
        found = set()
        for section in self.config.experiments.values():
            if model in section.models:
                found.add(section.grid)
            if section.pretraining and family & set(section.models):
                found.add(self.config.pretraining[section.pretraining].grid)
        return sorted(found)

    def trained(self, experiment: str) -> list[tuple[str, int]]:
        """Pairs of model and seed of an experiment."""
        section = self.config.experiments[experiment]
        return [(model, seed) for model in section.models for seed in section.seeds]

    def fused_members(self, experiment: str) -> list[tuple[str, int]]:
        """Those pairs of model and seed that are fused."""
        members = self.config.experiments[experiment].members
        return [pair for pair in self.trained(experiment) if not members or pair[0] in members]

    def of_trainings(self, product: Template, experiment: str) -> dict[str, str]:
        """Label -> path of one product of every model and seed of an experiment."""
        return {
            f"{model}-{seed}": product.of(experiment=experiment, model=model, seed=seed)
            for model, seed in self.trained(experiment)
        }

    # Evaluation and search --------------------------------------------------------------

    def calibrated_members(self, experiment: str) -> list[str]:
        """Calibrated predictions of what an experiment fuses."""
        pairs = self.fused_members(experiment)
        return [self.calibrated.of(experiment=experiment, model=m, seed=s) for m, s in pairs]

    def scored(self, experiment: str) -> dict[str, str]:
        """Label -> calibrated predictions of every model and seed, and of their fusion."""
        fused = {FUSED: self.fused.of(experiment=experiment)}
        return {**self.of_trainings(self.calibrated, experiment), **fused}

    @property
    def compared(self) -> list[str]:
        """Experiments that name comparisons or a baseline."""
        return [name for name, e in self.config.experiments.items() if e.compared()]

    def first_checkpoints(self, experiment: str) -> list[str]:
        """A checkpoint of each model of an experiment: that of the first seed."""
        section = self.config.experiments[experiment]
        return [
            self.checkpoint.of(experiment=experiment, model=model, seed=section.seeds[0])
            for model in section.models
        ]

    def diagnostics_of(self, product: Template, experiment: str, model: str) -> list[str]:
        """A product of the diagnostics of every training of a model, by seed."""
        seeds = self.config.experiments[experiment].seeds
        return [product.of(experiment=experiment, model=model, seed=seed) for seed in seeds]

    def experiment_cutouts(self, product: Template, experiment: str) -> list[str]:
        """A product of all cutouts that an experiment trains or is evaluated on."""
        grid = self.config.experiments[experiment].grid
        return self.of_chunks(product, *self.experiment_datasets(experiment), grid=grid)

    def searcher(self, search: str) -> Experiment:
        """The experiment whose models a search uses."""
        return self.config.experiments[self.config.search[search].experiment]

    def of_searcher(self, product: Template, search: str, **wildcards: str) -> str:
        """A product of that experiment. wildcards : model and seed, where it has any"""
        return product.of(experiment=self.config.search[search].experiment, **wildcards)

    def searched_members(self, search: str) -> list[str]:
        """Calibrated scores of what a search fuses."""
        pairs = self.fused_members(self.config.search[search].experiment)
        return [self.search_calibrated.of(search=search, model=m, seed=s) for m, s in pairs]

    def searched_index(self, search: str) -> list[str]:
        """Shard index of what is searched."""
        dataset, grid = self.config.search[search].dataset, self.searcher(search).grid
        return [self.shard_index.of(dataset=dataset, grid=grid)]

    def searched_cutouts(self, product: Template, search: str) -> list[str]:
        """A product of all cutouts that are searched."""
        dataset = self.config.search[search].dataset
        return self.of_chunks(product, dataset, grid=self.searcher(search).grid)

    def cluster_candidates(self, cluster: str) -> list[str]:
        """Ranked table of the search that scores a cluster, where one does."""
        search = self.config.clusters[cluster].search
        return [self.candidates.of(search=search)] if search else []

    def cluster_manifest(self, cluster: str) -> list[str]:
        """Manifest of the raw files of a cluster's field, where one is given."""
        dataset = self.config.clusters[cluster].dataset
        return [self.raw_manifest.of(dataset=dataset)] if dataset else []

    def cluster_dataset(self, cluster: str) -> dict[str, Any] | None:
        """The data set in whose field a cluster lies, as plain values; None without."""
        dataset = self.config.clusters[cluster].dataset
        return self.dataset_values(dataset) if dataset else None

    def cluster_facts(self, cluster: str) -> list[str]:
        """Files of the mass models of a cluster, sorted."""
        found: set[str] = set()
        for model in self.config.clusters[cluster].models.values():
            maps = (model.deflection_x, model.deflection_y, model.kappa)
            named = (model.potentials, *maps, model.images, model.members)
            found.update(path for path in named if path)
        return sorted(found)

    # Summary ----------------------------------------------------------------------------

    def backbone_reports(self) -> dict[Key, str]:
        """PRETRAINING/BACKBONE -> what each pretrained backbone in use has learned."""
        pairs = [
            (section.pretraining, self.models[model].backbone)
            for section in self.config.experiments.values()
            if section.pretraining
            for model in section.models
            if self.models[model].pretrained
        ]
        return {f"{p}/{b}": self.backbone_report.of(pretraining=p, backbone=b) for p, b in pairs}

    def calibrations(self) -> dict[Key, str]:
        """(experiment, label) -> parameters of every calibration, and of every fusion."""
        found: dict[Key, str] = {}
        for name in self.config.experiments:
            for label, path in self.of_trainings(self.calibration, name).items():
                found[name, label] = path
            found[name, FUSED] = self.fusion.of(experiment=name)
        return found

    def summarised(self) -> dict[str, dict[Key, str]]:
        """What the summary page is made of: kind of product -> key -> path."""
        datasets, experiments = self.config.datasets, self.config.experiments
        return {
            "metadata": {
                (d, c): self.metadata.of(dataset=d, chunk=c)
                for d in datasets
                for c in self.chunks(d)
            },
            "rejected": {name: self.rejected.of(dataset=name) for name in datasets},
            "splits": {name: self.splits.of(dataset=name) for name in datasets},
            "indexes": {(d, g): self.shard_index.of(dataset=d, grid=g) for d, g in self.made_grids},
            "psf": {(d, g): self.kernel_table.of(dataset=d, grid=g) for d, g in self.made_grids},
            "metrics": {name: self.metrics.of(experiment=name) for name in experiments},
            "comparisons": {n: self.comparisons.of(experiment=n) for n in self.compared},
            "calibrations": self.calibrations(),
            "exclusions": {name: self.exclusions.of(experiment=name) for name in experiments},
            "pretraining": self.backbone_reports(),
            "clusters": {n: self.cluster_numbers.of(cluster=n) for n in self.config.clusters},
        }


def unique(names: Iterable[str]) -> list[str]:
    """Names without those that came before, in their order."""
    return list(dict.fromkeys(names))


def cores(training: TrainingConfig) -> int:
    """CPU cores of one device of a training: its own and those of its loader processes."""
    return training.threads + training.workers


def all_cores(training: TrainingConfig) -> int:
    """CPU cores of a training: each of its devices has a process of its own."""
    return training.devices * cores(training)
