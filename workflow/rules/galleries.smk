# What the objects of every labelled data set look like: random lenses and random non-lenses.


rule sample_gallery:
    input:
        cutouts=lambda w: cutouts(w.dataset, w.grid, "tif"),
        metadata=lambda w: cutouts(w.dataset, w.grid, "parquet"),
    output:
        figure=figure(
            f"{R}/figures/samples/{{grid}}/{{dataset}}.png",
            "sample_gallery",
            "Data",
            "Random objects",
            dataset="{dataset}",
            grid="{grid}",
        ),
        pdf=f"{R}/figures/samples/{{grid}}/{{dataset}}.pdf",
    log:
        f"{R}/logs/sample_gallery/{{grid}}/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/sample_gallery/{{grid}}/{{dataset}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(20),
    params:
        each=CONFIG.sample_gallery,
        seed=SEED,
        code=code("figures"),
    message:
        "Drawing random objects of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/sample_gallery.py"


TARGETS += [
    f"{R}/figures/samples/{grid}/{dataset}.png"
    for dataset, grid in made_grids()
    if CONFIG.datasets[dataset].role in ("labelled", "negatives")
]
