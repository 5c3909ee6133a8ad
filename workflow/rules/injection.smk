# Injected data sets: arcs of a lens population painted onto the galaxies of another data set.


rule lens_population:
    input:
        pixels=lambda w: LAYOUT.of_chunks(LAYOUT.pixels, LAYOUT.host_dataset(w.dataset)),
        metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.metadata, LAYOUT.host_dataset(w.dataset)
        ),
        source_pixels=lambda w: LAYOUT.of_chunks(
            LAYOUT.pixels, *LAYOUT.source_datasets(w.dataset)
        ),
        source_metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.metadata, *LAYOUT.source_datasets(w.dataset)
        ),
        known_lenses=CONFIG.known_lenses,
    output:
        hosts=LAYOUT.hosts,
        population=LAYOUT.population,
        sources=LAYOUT.sources,
    log:
        LAYOUT.log("lens_population/{dataset}"),
    benchmark:
        LAYOUT.benchmark("lens_population/{dataset}")
    wildcard_constraints:
        dataset=one_of(LAYOUT.injected),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        dataset=lambda w: LAYOUT.dataset_values(w.dataset),
        known_radius_arcsec=CONFIG.known_lens_radius_arcsec.model_dump(),
        known=known_lens_digest,
        seed=SEED,
        code=code("lens_population"),
    message:
        "Drawing the lens population of {wildcards.dataset}"
    script:
        "../scripts/lens_population.py"


rule inject:
    input:
        hosts=LAYOUT.hosts,
        population=LAYOUT.population,
        sources=LAYOUT.sources,
        pixels=lambda w: LAYOUT.host_chunk(LAYOUT.pixels, w.dataset, w.chunk),
        metadata=lambda w: LAYOUT.host_chunk(LAYOUT.metadata, w.dataset, w.chunk),
    output:
        pixels=temp(LAYOUT.pixels),
        metadata=LAYOUT.metadata,
        rejected=LAYOUT.rejected_of_chunk,
        truth=LAYOUT.truth,
        hard_negatives=LAYOUT.hard_negatives,
        skipped=LAYOUT.skipped,
    log:
        LAYOUT.log("inject/{dataset}/{chunk}"),
    benchmark:
        LAYOUT.benchmark("inject/{dataset}/{chunk}")
    wildcard_constraints:
        dataset=one_of(LAYOUT.injected),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(120),
    params:
        dataset=lambda w: LAYOUT.dataset_values(w.dataset),
        seed=SEED,
        code=code("inject"),
    message:
        "Painting lenses on chunk {wildcards.chunk} of {wildcards.dataset}"
    script:
        "../scripts/inject.py"
