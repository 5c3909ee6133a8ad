# Arcs and companions in the homogenised cutouts, with their fluxes in every band.


rule segments:
    input:
        cutouts=f"{R}/cutouts/{{grid}}/{{dataset}}/{{chunk}}.tif",
        metadata=f"{R}/cutouts/{{grid}}/{{dataset}}/{{chunk}}.parquet",
    output:
        f"{R}/segments/{{grid}}/{{dataset}}/{{chunk}}.h5",
    log:
        f"{R}/logs/segments/{{grid}}/{{dataset}}/{{chunk}}.log",
    benchmark:
        f"{R}/benchmarks/segments/{{grid}}/{{dataset}}/{{chunk}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(60),
    params:
        grid=lambda wildcards: CONFIG.grids[wildcards.grid].model_dump(),
        segments=CONFIG.segments.model_dump(),
        code=code("images"),
    message:
        "Finding arcs in chunk {wildcards.chunk} of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/segments.py"


TARGETS += [path for dataset, grid in made_grids() for path in segments(dataset, grid)]
