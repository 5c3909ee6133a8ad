# Leak-proof stratified splits per data set, and the exclusion list of every training.


rule splits:
    input:
        metadata=lambda wildcards: records(wildcards.dataset, "parquet"),
        rejected=f"{R}/rejected/{{dataset}}.ecsv",
    output:
        f"{R}/splits/{{dataset}}.parquet",
    log:
        f"{R}/logs/splits/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/splits/{{dataset}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        splits=CONFIG.splits.model_dump(),
        search=lambda wildcards: CONFIG.datasets[wildcards.dataset].role == "search",
        seed=SEED,
        code=code("dataset"),
    message:
        "Splitting {wildcards.dataset}"
    script:
        "../scripts/splits.py"


rule exclusions:
    input:
        lambda w: [
            f"{R}/splits/{name}.parquet" for name in exclusion_datasets(w.experiment)
        ],
    output:
        f"{R}/exclusions/{{experiment}}.parquet",
    log:
        f"{R}/logs/exclusions/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/exclusions/{{experiment}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        datasets=lambda wildcards: exclusion_datasets(wildcards.experiment),
        evaluate=lambda wildcards: CONFIG.experiments[wildcards.experiment].evaluate,
        radius_arcsec=CONFIG.splits.match_radius_arcsec,
        code=code("dataset"),
    message:
        "Listing objects that {wildcards.experiment} must not train on"
    script:
        "../scripts/exclusions.py"


use rule exclusions as pretraining_exclusions with:
    input:
        lambda w: [
            f"{R}/splits/{name}.parquet"
            for name in pretraining_overlaps(w.pretraining)
        ],
    output:
        f"{R}/exclusions/pretraining-{{pretraining}}.parquet",
    log:
        f"{R}/logs/exclusions/pretraining-{{pretraining}}.log",
    benchmark:
        f"{R}/benchmarks/exclusions/pretraining-{{pretraining}}.tsv"
    params:
        datasets=lambda wildcards: pretraining_overlaps(wildcards.pretraining),
        evaluate=lambda wildcards: pretraining_overlaps(wildcards.pretraining),
        radius_arcsec=CONFIG.splits.match_radius_arcsec,
        code=code("dataset"),
    message:
        "Listing objects that pretraining {wildcards.pretraining} must not see"


rule split_figure:
    input:
        splits=[f"{R}/splits/{name}.parquet" for name in CONFIG.datasets],
        metadata=[path for name in CONFIG.datasets for path in records(name, "parquet")],
    output:
        figure=figure(f"{R}/figures/splits.png", "splits", "Data", "Splits"),
        pdf=f"{R}/figures/splits.pdf",
        table=figure(f"{R}/tables/split_balance.csv", "split_balance", "Data", "Splits"),
    log:
        f"{R}/logs/split_figure.log",
    benchmark:
        f"{R}/benchmarks/split_figure.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        chunks={name: len(chunks_of(name)) for name in CONFIG.datasets},
        code=code("figures"),
    message:
        "Drawing the balance of all splits"
    script:
        "../scripts/split_figure.py"


TARGETS += [f"{R}/figures/splits.png"]
