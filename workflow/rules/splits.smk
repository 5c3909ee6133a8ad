# Leak-proof stratified splits per data set, the exclusion list of every training, and negatives
# that look like lens hosts.

MATCHING = [name for name, e in CONFIG.experiments.items() if e.match_negatives]
OVERLAP_PARAMS = {
    "radius_arcsec": CONFIG.splits.match_radius_arcsec,
    "known_radius_arcsec": CONFIG.known_lens_radius_arcsec.model_dump(),
}


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
        held_out=lambda wildcards: CONFIG.datasets[wildcards.dataset].held_out,
        seed=SEED,
        code=code("dataset"),
    message:
        "Splitting {wildcards.dataset}"
    script:
        "../scripts/splits.py"


rule exclusions:
    input:
        splits=lambda w: [
            f"{R}/splits/{name}.parquet" for name in exclusion_datasets(w.experiment)
        ],
        known_lenses=CONFIG.known_lenses,
        matched=lambda w: matched_of(w.experiment),
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
        **OVERLAP_PARAMS,
        datasets=lambda wildcards: exclusion_datasets(wildcards.experiment),
        evaluate=lambda wildcards: CONFIG.experiments[wildcards.experiment].evaluate,
        folds=lambda wildcards: experiment_folds(wildcards.experiment),
        labelled=lambda wildcards: experiment_datasets(wildcards.experiment),
        hosts=lambda wildcards: online_hosts(wildcards.experiment),
        known=known_lens_digest,
        code=code("dataset"),
    message:
        "Listing objects that {wildcards.experiment} must not train on"
    script:
        "../scripts/exclusions.py"


use rule exclusions as pretraining_exclusions with:
    input:
        splits=lambda w: [
            f"{R}/splits/{name}.parquet"
            for name in pretraining_overlaps(w.pretraining)
        ],
        known_lenses=CONFIG.known_lenses,
    output:
        f"{R}/exclusions/pretraining-{{pretraining}}.parquet",
    log:
        f"{R}/logs/exclusions/pretraining-{{pretraining}}.log",
    benchmark:
        f"{R}/benchmarks/exclusions/pretraining-{{pretraining}}.tsv"
    params:
        **OVERLAP_PARAMS,
        datasets=lambda wildcards: pretraining_overlaps(wildcards.pretraining),
        evaluate=lambda wildcards: pretraining_overlaps(wildcards.pretraining),
        folds=lambda wildcards: pretraining_folds(wildcards.pretraining),
        labelled=[],
        hosts=[],
        known=known_lens_digest,
        code=code("dataset"),
    message:
        "Listing objects that pretraining {wildcards.pretraining} must not see"


rule matched_negatives:
    input:
        splits=lambda w: [
            f"{R}/splits/{name}.parquet" for name in exclusion_datasets(w.experiment)
        ],
        known_lenses=CONFIG.known_lenses,
        metadata=lambda w: [
            path
            for name in matched_datasets(w.experiment)
            for path in records(name, "parquet")
        ],
    output:
        parquet=f"{R}/matched/{{experiment}}.parquet",
        table=figure(
            f"{R}/tables/matched_negatives/{{experiment}}.csv",
            "matched_negatives",
            "Data",
            "Matched negatives",
            experiment="{experiment}",
            what="table",
        ),
    log:
        f"{R}/logs/matched_negatives/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/matched_negatives/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(MATCHING),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(30),
    params:
        **OVERLAP_PARAMS,
        datasets=lambda wildcards: exclusion_datasets(wildcards.experiment),
        chunks=lambda wildcards: {
            name: len(chunks_of(name))
            for name in matched_datasets(wildcards.experiment)
        },
        match=lambda w: CONFIG.experiments[w.experiment].match_negatives.model_dump(),
        folds=lambda wildcards: experiment_folds(wildcards.experiment),
        known=known_lens_digest,
        code=code("dataset"),
    message:
        "Matching negatives of {wildcards.experiment} to its lens hosts"
    script:
        "../scripts/matched_negatives.py"


rule matched_negatives_figure:
    input:
        parquet=f"{R}/matched/{{experiment}}.parquet",
        table=f"{R}/tables/matched_negatives/{{experiment}}.csv",
    output:
        figure=figure(
            f"{R}/figures/matched_negatives/{{experiment}}.png",
            "matched_negatives",
            "Data",
            "Matched negatives",
            experiment="{experiment}",
            what="figure",
        ),
        pdf=f"{R}/figures/matched_negatives/{{experiment}}.pdf",
    log:
        f"{R}/logs/matched_negatives_figure/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/matched_negatives_figure/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(MATCHING),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("figures"),
    message:
        "Drawing the matching of {wildcards.experiment}"
    script:
        "../scripts/matched_negatives_figure.py"


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
        splits=CONFIG.splits.model_dump(),
        code=code("figures"),
    message:
        "Drawing the balance of all splits"
    script:
        "../scripts/split_figure.py"


TARGETS += [f"{R}/figures/splits.png"]
TARGETS += [f"{R}/figures/matched_negatives/{name}.png" for name in MATCHING]
