# Calibration per model, fusion, the challenge's metrics with intervals, and their figures.


rule calibrate:
    input:
        f"{R}/predictions/{{experiment}}/{{model}}-{{seed}}.parquet",
    output:
        predictions=f"{R}/calibrated/{{experiment}}/{{model}}-{{seed}}.parquet",
        parameters=f"{R}/calibrated/{{experiment}}/{{model}}-{{seed}}.json",
    log:
        f"{R}/logs/calibrate/{{experiment}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/calibrate/{{experiment}}/{{model}}-{{seed}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("evaluation"),
    message:
        "Calibrating {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/calibrate.py"


rule fuse:
    input:
        predictions=lambda w: [
            f"{R}/calibrated/{w.experiment}/{model}-{seed}.parquet"
            for model, seed in fused(w.experiment)
        ],
    output:
        predictions=f"{R}/fused/{{experiment}}.parquet",
        parameters=f"{R}/fused/{{experiment}}.json",
    log:
        f"{R}/logs/fuse/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/fuse/{{experiment}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        fusion=lambda w: CONFIG.experiments[w.experiment].fusion,
        code=code("evaluation"),
    message:
        "Fusing the models of {wildcards.experiment}"
    script:
        "../scripts/fuse.py"


rule metrics:
    input:
        predictions=lambda w: scored_paths(w.experiment).values(),
        fusion=f"{R}/fused/{{experiment}}.json",
    output:
        csv=figure(
            f"{R}/tables/metrics/{{experiment}}.csv",
            "metrics",
            "Results",
            "{experiment}",
            table="metrics with intervals",
        ),
        tex=f"{R}/tables/metrics/{{experiment}}.tex",
    log:
        f"{R}/logs/metrics/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/metrics/{{experiment}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(scored_paths(w.experiment)),
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("evaluation"),
    message:
        "Measuring the challenge's metrics of {wildcards.experiment}"
    script:
        "../scripts/metrics.py"


EVALUATION_FIGURES = {
    "roc": "ROC with the low-FPR end",
    "reliability": "reliability before and after calibration, at each set's lens fraction",
    "flux_ratio": "missed lenses by flux ratio",
    "purity": "purity and completeness where lenses are rare",
    "false_positives": "highest-scoring non-lenses",
    "missed_lenses": "lowest-scoring lenses",
}


rule evaluation_figure:
    input:
        predictions=lambda w: scored_paths(w.experiment).values(),
        metrics=f"{R}/tables/metrics/{{experiment}}.csv",
        cutouts=lambda w: [
            path
            for name in experiment_datasets(w.experiment)
            for path in cutouts(name, CONFIG.experiments[w.experiment].grid, "tif")
        ],
        metadata=lambda w: [
            path
            for name in experiment_datasets(w.experiment)
            for path in cutouts(name, CONFIG.experiments[w.experiment].grid, "parquet")
        ],
    output:
        figure=figure(
            f"{R}/figures/{{what}}/{{experiment}}.png",
            "evaluation",
            "Results",
            "{experiment}",
            figure="{what}",
        ),
        pdf=f"{R}/figures/{{what}}/{{experiment}}.pdf",
    log:
        f"{R}/logs/evaluation_figure/{{what}}/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/evaluation_figure/{{what}}/{{experiment}}.tsv"
    wildcard_constraints:
        what=one_of(EVALUATION_FIGURES),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        names=lambda w: list(scored_paths(w.experiment)),
        title=lambda w: EVALUATION_FIGURES[w.what],
        code=code("figures"),
    message:
        "Drawing {wildcards.what} of {wildcards.experiment}"
    script:
        "../scripts/evaluation_figure.py"


TARGETS += [
    f"{R}/figures/{what}/{name}.png"
    for what in EVALUATION_FIGURES
    for name in CONFIG.experiments
]
