# Figures: what the data look like, how trainings went and what they are worth, galleries, overlays.

EVALUATION_FIGURES = {
    "roc": "ROC with the low-FPR end",
    "reliability": "reliability before and after calibration, at each set's lens fraction",
    "flux_ratio": "missed lenses by flux ratio",
    "purity": "purity and completeness where lenses are rare",
    "false_positives": "highest-scoring non-lenses",
    "missed_lenses": "lowest-scoring lenses",
}


rule label_sources:
    input:
        LAYOUT.of_chunks(LAYOUT.metadata, *CONFIG.datasets),
    output:
        figure=figure(LAYOUT.label_sources, "label_sources", "Data", "Provenance"),
        pdf=LAYOUT.label_sources.with_suffix(".pdf"),
    log:
        LAYOUT.log("label_sources"),
    benchmark:
        LAYOUT.benchmark("label_sources")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        chunks=LAYOUT.chunk_counts(CONFIG.datasets),
        code=code("label_sources"),
    message:
        "Drawing label sources"
    script:
        "../scripts/label_sources.py"


rule psf_figure:
    input:
        kernels=LAYOUT.kernels,
        table=LAYOUT.kernel_table,
    output:
        figure=figure(
            LAYOUT.psf_figure,
            "psf",
            "Data",
            "PSF matching",
            dataset="{dataset}",
            grid="{grid}",
        ),
        pdf=LAYOUT.psf_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("psf_figure/{grid}/{dataset}"),
    benchmark:
        LAYOUT.benchmark("psf_figure/{grid}/{dataset}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("psf_figure"),
    message:
        "Drawing growth curves of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/psf_figure.py"


rule sample_gallery:
    input:
        cutouts=lambda w: LAYOUT.of_chunks(LAYOUT.cutouts, w.dataset, grid=w.grid),
        metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.cutout_metadata, w.dataset, grid=w.grid
        ),
    output:
        figure=figure(
            LAYOUT.sample_gallery,
            "sample_gallery",
            "Data",
            "Random objects",
            dataset="{dataset}",
            grid="{grid}",
        ),
        pdf=LAYOUT.sample_gallery.with_suffix(".pdf"),
    log:
        LAYOUT.log("sample_gallery/{grid}/{dataset}"),
    benchmark:
        LAYOUT.benchmark("sample_gallery/{grid}/{dataset}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(20),
    params:
        each=CONFIG.sample_gallery,
        seed=SEED,
        code=code("sample_gallery"),
    message:
        "Drawing random objects of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/sample_gallery.py"


rule injection_figure:
    input:
        truth=lambda w: LAYOUT.of_chunks(LAYOUT.truth, w.dataset),
        population=LAYOUT.population,
    output:
        figure=figure(
            LAYOUT.injection_figure,
            "injection",
            "Data",
            "Injected lenses",
            dataset="{dataset}",
        ),
        pdf=LAYOUT.injection_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("injection_figure/{dataset}"),
    benchmark:
        LAYOUT.benchmark("injection_figure/{dataset}")
    wildcard_constraints:
        dataset=one_of(LAYOUT.injected),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("injection_figure"),
    message:
        "Drawing the lenses of {wildcards.dataset} beside published ones"
    script:
        "../scripts/injection_figure.py"


rule split_figure:
    input:
        splits=LAYOUT.splits_of(CONFIG.datasets),
        metadata=LAYOUT.of_chunks(LAYOUT.metadata, *CONFIG.datasets),
    output:
        figure=figure(LAYOUT.split_figure, "splits", "Data", "Splits"),
        pdf=LAYOUT.split_figure.with_suffix(".pdf"),
        table=figure(LAYOUT.split_balance, "split_balance", "Data", "Splits"),
    log:
        LAYOUT.log("split_figure"),
    benchmark:
        LAYOUT.benchmark("split_figure")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        chunks=LAYOUT.chunk_counts(CONFIG.datasets),
        splits=CONFIG.splits.model_dump(),
        code=code("split_figure"),
    message:
        "Drawing the balance of all splits"
    script:
        "../scripts/split_figure.py"


rule matched_negatives_figure:
    input:
        parquet=LAYOUT.matched,
        table=LAYOUT.matched_table,
    output:
        figure=figure(
            LAYOUT.matched_figure,
            "matched_negatives",
            "Data",
            "Matched negatives",
            experiment="{experiment}",
            what="figure",
        ),
        pdf=LAYOUT.matched_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("matched_negatives_figure/{experiment}"),
    benchmark:
        LAYOUT.benchmark("matched_negatives_figure/{experiment}")
    wildcard_constraints:
        experiment=one_of(LAYOUT.matching),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("matched_negatives_figure"),
    message:
        "Drawing the matching of {wildcards.experiment}"
    script:
        "../scripts/matched_negatives_figure.py"


rule training_curves:
    input:
        lambda w: LAYOUT.of_trainings(LAYOUT.history, w.experiment).values(),
    output:
        figure=figure(
            LAYOUT.training_curves,
            "training",
            "Training",
            "{experiment}",
            figure="training curves",
        ),
        pdf=LAYOUT.training_curves.with_suffix(".pdf"),
    log:
        LAYOUT.log("training_curves/{experiment}"),
    benchmark:
        LAYOUT.benchmark("training_curves/{experiment}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        names=lambda w: list(LAYOUT.of_trainings(LAYOUT.history, w.experiment)),
        code=code("training_curves"),
    message:
        "Drawing training curves of {wildcards.experiment}"
    script:
        "../scripts/training_curves.py"


rule evaluation_figure:
    input:
        predictions=lambda w: LAYOUT.scored(w.experiment).values(),
        metrics=LAYOUT.metrics,
        cutouts=lambda w: LAYOUT.experiment_cutouts(LAYOUT.cutouts, w.experiment),
        metadata=lambda w: LAYOUT.experiment_cutouts(
            LAYOUT.cutout_metadata, w.experiment
        ),
    output:
        figure=figure(
            LAYOUT.evaluation_figure,
            "evaluation",
            "Results",
            "{experiment}",
            figure="{what}",
        ),
        pdf=LAYOUT.evaluation_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("evaluation_figure/{what}/{experiment}"),
    benchmark:
        LAYOUT.benchmark("evaluation_figure/{what}/{experiment}")
    wildcard_constraints:
        what=one_of(EVALUATION_FIGURES),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        names=lambda w: list(LAYOUT.scored(w.experiment)),
        title=lambda w: EVALUATION_FIGURES[w.what],
        code=code("evaluation_figure", lambda w: [w.what]),
    message:
        "Drawing {wildcards.what} of {wildcards.experiment}"
    script:
        "../scripts/evaluation_figure.py"


rule comparisons_figure:
    input:
        LAYOUT.comparisons,
    output:
        figure=figure(
            LAYOUT.comparisons_figure,
            "comparisons_figure",
            "Results",
            "{experiment}",
            figure="ablations",
        ),
        pdf=LAYOUT.comparisons_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("comparisons_figure/{experiment}"),
    benchmark:
        LAYOUT.benchmark("comparisons_figure/{experiment}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("comparisons_figure"),
    message:
        "Drawing the comparisons of {wildcards.experiment}"
    script:
        "../scripts/comparisons_figure.py"


rule diagnostics_figure:
    input:
        numbers=lambda w: LAYOUT.diagnostics_of(
            LAYOUT.diagnostics, w.experiment, w.model
        ),
        curves=lambda w: LAYOUT.diagnostics_of(
            LAYOUT.diagnostics_curves, w.experiment, w.model
        ),
    output:
        figure=figure(
            LAYOUT.diagnostics_figure,
            "diagnostics",
            "Diagnostics",
            "{experiment}",
            model="{model}",
        ),
        pdf=LAYOUT.diagnostics_figure.with_suffix(".pdf"),
    log:
        LAYOUT.log("diagnostics_figure/{experiment}/{model}"),
    benchmark:
        LAYOUT.benchmark("diagnostics_figure/{experiment}/{model}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        rests_on=foundations,
        seeds=lambda w: CONFIG.experiments[w.experiment].seeds,
        code=code("diagnostics_figure"),
    message:
        "Drawing the diagnostics of {wildcards.model} ({wildcards.experiment})"
    script:
        "../scripts/diagnostics_figure.py"


rule candidate_gallery:
    input:
        candidates=LAYOUT.candidate_rows,
        cutouts=lambda w: LAYOUT.searched_cutouts(LAYOUT.cutouts, w.search),
        metadata=lambda w: LAYOUT.searched_cutouts(LAYOUT.cutout_metadata, w.search),
    output:
        figure=figure(
            LAYOUT.candidate_gallery,
            "candidates",
            "Candidates",
            "{search}",
            figure="gallery",
        ),
        pdf=LAYOUT.candidate_gallery.with_suffix(".pdf"),
    log:
        LAYOUT.log("candidate_gallery/{search}"),
    benchmark:
        LAYOUT.benchmark("candidate_gallery/{search}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        top=lambda w: CONFIG.search[w.search].top,
        code=code("candidate_gallery"),
    message:
        "Drawing the candidates of {wildcards.search}"
    script:
        "../scripts/candidate_gallery.py"


rule overlay:
    input:
        models=lambda w: LAYOUT.cluster_facts(w.cluster),
        candidates=lambda w: LAYOUT.cluster_candidates(w.cluster),
        field=cluster_field,
        manifest=lambda w: LAYOUT.cluster_manifest(w.cluster),
        numbers=LAYOUT.cluster_numbers,
    output:
        figure=figure(
            LAYOUT.overlay,
            "overlay",
            "Cluster",
            "{cluster}",
            figure="critical curves and candidates",
        ),
        pdf=LAYOUT.overlay.with_suffix(".pdf"),
    log:
        LAYOUT.log("overlay/{cluster}"),
    benchmark:
        LAYOUT.benchmark("overlay/{cluster}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(30),
    params:
        cluster=lambda w: CONFIG.clusters[w.cluster].model_dump(),
        dataset=lambda w: LAYOUT.cluster_dataset(w.cluster),
        code=code("overlay"),
    message:
        "Drawing candidates on the critical curves of {wildcards.cluster}"
    script:
        "../scripts/overlay.py"


TARGETS += [LAYOUT.label_sources, LAYOUT.split_figure]
TARGETS += [LAYOUT.psf_figure.of(dataset=d, grid=g) for d, g in LAYOUT.made_grids]
TARGETS += [
    LAYOUT.sample_gallery.of(dataset=dataset, grid=grid)
    for dataset, grid in LAYOUT.made_grids
    if CONFIG.datasets[dataset].role in ("labelled", "negatives")
]
TARGETS += [LAYOUT.injection_figure.of(dataset=name) for name in LAYOUT.injected]
TARGETS += [LAYOUT.matched_figure.of(experiment=name) for name in LAYOUT.matching]
TARGETS += [LAYOUT.training_curves.of(experiment=name) for name in CONFIG.experiments]
TARGETS += [
    LAYOUT.evaluation_figure.of(what=what, experiment=name)
    for what in EVALUATION_FIGURES
    for name in CONFIG.experiments
]
TARGETS += [LAYOUT.comparisons_figure.of(experiment=name) for name in LAYOUT.compared]
TARGETS += [LAYOUT.diagnostics_figure.of(experiment=e, model=m) for e, m in DIAGNOSED]
TARGETS += [LAYOUT.candidate_gallery.of(search=name) for name in CONFIG.search]
TARGETS += [LAYOUT.overlay.of(cluster=name) for name in CONFIG.clusters]
