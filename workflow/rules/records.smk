# Raw files to provenance-tagged records in nJy, metadata v2, in parallel chunks.


rule records:
    input:
        manifest=f"{R}/provenance/raw/{{dataset}}.csv",
        raw=lambda wildcards: ancient(key_files_of(wildcards.dataset)),
    output:
        pixels=temp(f"{R}/records/{{dataset}}/{{chunk}}.h5"),
        metadata=f"{R}/records/{{dataset}}/{{chunk}}.parquet",
        rejected=f"{R}/records/{{dataset}}/{{chunk}}.rejected.ecsv",
    log:
        f"{R}/logs/records/{{dataset}}/{{chunk}}.log",
    benchmark:
        f"{R}/benchmarks/records/{{dataset}}/{{chunk}}.tsv"
    wildcard_constraints:
        dataset=one_of(READ),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        dataset=lambda wildcards: dataset_values(wildcards.dataset),
        chunks=lambda wildcards: len(chunks_of(wildcards.dataset)),
        code=code("raw", "images"),
    message:
        "Reading chunk {wildcards.chunk} of {wildcards.dataset}"
    script:
        "../scripts/records.py"


rule rejected:
    input:
        lambda wildcards: records(wildcards.dataset, "rejected.ecsv"),
    output:
        f"{R}/rejected/{{dataset}}.ecsv",
    log:
        f"{R}/logs/rejected/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/rejected/{{dataset}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(500),
        runtime=minutes(10),
    params:
        fraction_max=lambda w: CONFIG.datasets[w.dataset].rejected_fraction_max,
        files_of_many=lambda w: len(CONFIG.datasets[w.dataset].files_of_many()),
        code=code("images"),
    message:
        "Listing what could not be read of {wildcards.dataset}"
    script:
        "../scripts/rejected.py"
