# WebDataset shards per data set, grid and split, with an index of their checksums.


rule shards:
    input:
        cutouts=lambda w: cutouts(w.dataset, w.grid, "tif"),
        metadata=lambda w: cutouts(w.dataset, w.grid, "parquet"),
        segments=lambda w: segments(w.dataset, w.grid),
        splits=f"{R}/splits/{{dataset}}.parquet",
    output:
        f"{R}/shards/{{grid}}/{{dataset}}/index.json",
    log:
        f"{R}/logs/shards/{{grid}}/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/shards/{{grid}}/{{dataset}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        quality_threshold=CONFIG.quality.threshold,
        drop_unmatched=lambda w: CONFIG.grids[w.grid].unmatched == "drop",
        code=code("dataset"),
    message:
        "Writing shards of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/shards.py"


TARGETS += [shard_index(dataset, grid) for dataset, grid in made_grids()]
