# Galaxies that lenses made while training show.

LENSING_SOURCES = [name for name in CONFIG.experiments if online_sources(name)]


rule online_sources:
    input:
        pixels=lambda w: online_source_records(w.experiment, "h5"),
        metadata=lambda w: online_source_records(w.experiment, "parquet"),
    output:
        f"{R}/online/{{experiment}}/sources.h5",
    log:
        f"{R}/logs/online_sources/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/online_sources/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(LENSING_SOURCES),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        sources_max=lambda w: CONFIG.experiments[w.experiment].online.sources_max,
        seed=SEED,
        code=code("injection"),
    message:
        "Choosing the galaxies that {wildcards.experiment} lenses while training"
    script:
        "../scripts/online_sources.py"
