# Injected data sets: arcs of a lens population painted onto the galaxies of another data set.


rule lens_population:
    input:
        pixels=lambda w: records(CONFIG.datasets[w.dataset].hosts, "h5"),
        metadata=lambda w: records(CONFIG.datasets[w.dataset].hosts, "parquet"),
        source_pixels=lambda w: source_records(w.dataset, "h5"),
        source_metadata=lambda w: source_records(w.dataset, "parquet"),
        known_lenses=CONFIG.known_lenses,
    output:
        hosts=f"{R}/injection/{{dataset}}/hosts.parquet",
        population=f"{R}/injection/{{dataset}}/population.parquet",
        sources=f"{R}/injection/{{dataset}}/sources.h5",
    log:
        f"{R}/logs/lens_population/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/lens_population/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(INJECTED),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        dataset=lambda wildcards: dataset_values(wildcards.dataset),
        known_radius_arcsec=CONFIG.known_lens_radius_arcsec.model_dump(),
        known=known_lens_digest,
        seed=SEED,
        code=code("injection", "dataset"),
    message:
        "Drawing the lens population of {wildcards.dataset}"
    script:
        "../scripts/lens_population.py"


rule inject:
    input:
        hosts=f"{R}/injection/{{dataset}}/hosts.parquet",
        population=f"{R}/injection/{{dataset}}/population.parquet",
        sources=f"{R}/injection/{{dataset}}/sources.h5",
        pixels=host_chunk("h5"),
        metadata=host_chunk("parquet"),
    output:
        pixels=temp(f"{R}/records/{{dataset}}/{{chunk}}.h5"),
        metadata=f"{R}/records/{{dataset}}/{{chunk}}.parquet",
        rejected=f"{R}/records/{{dataset}}/{{chunk}}.rejected.ecsv",
        truth=f"{R}/injection/{{dataset}}/{{chunk}}.truth.parquet",
        hard_negatives=f"{R}/injection/{{dataset}}/{{chunk}}.hard_negatives.parquet",
        skipped=f"{R}/injection/{{dataset}}/{{chunk}}.skipped.ecsv",
    log:
        f"{R}/logs/inject/{{dataset}}/{{chunk}}.log",
    benchmark:
        f"{R}/benchmarks/inject/{{dataset}}/{{chunk}}.tsv"
    wildcard_constraints:
        dataset=one_of(INJECTED),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(120),
    params:
        dataset=lambda wildcards: dataset_values(wildcards.dataset),
        seed=SEED,
        code=code("injection"),
    message:
        "Painting lenses on chunk {wildcards.chunk} of {wildcards.dataset}"
    script:
        "../scripts/inject.py"


rule injection_figure:
    input:
        truth=lambda w: [
            f"{R}/injection/{w.dataset}/{chunk}.truth.parquet"
            for chunk in chunks_of(w.dataset)
        ],
        population=f"{R}/injection/{{dataset}}/population.parquet",
    output:
        figure=figure(
            f"{R}/figures/injection/{{dataset}}.png",
            "injection",
            "Data",
            "Injected lenses",
            dataset="{dataset}",
        ),
        pdf=f"{R}/figures/injection/{{dataset}}.pdf",
    log:
        f"{R}/logs/injection_figure/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/injection_figure/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(INJECTED),
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("figures"),
    message:
        "Drawing the lenses of {wildcards.dataset} beside published ones"
    script:
        "../scripts/injection_figure.py"


TARGETS += [f"{R}/figures/injection/{name}.png" for name in INJECTED]
