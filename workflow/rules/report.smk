# What was made from what, and the summary page.


rule label_sources:
    input:
        [path for name in CONFIG.datasets for path in records(name, "parquet")],
    output:
        figure=figure(
            f"{R}/figures/label_sources.png", "label_sources", "Data", "Provenance"
        ),
        pdf=f"{R}/figures/label_sources.pdf",
    log:
        f"{R}/logs/label_sources.log",
    benchmark:
        f"{R}/benchmarks/label_sources.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        chunks={name: len(chunks_of(name)) for name in CONFIG.datasets},
        code=code("figures"),
    message:
        "Drawing label sources"
    script:
        "../scripts/label_sources.py"


rule provenance:
    input:
        manifests=[f"{R}/provenance/raw/{name}.csv" for name in CONFIG.datasets],
    output:
        manifest=f"{R}/provenance/manifest.csv",
        config=f"{R}/provenance/config.yaml",
        versions=figure(
            f"{R}/provenance/versions.csv", "versions", "Provenance", "Versions"
        ),
    log:
        f"{R}/logs/provenance.log",
    benchmark:
        f"{R}/benchmarks/provenance.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(500),
        runtime=minutes(10),
    params:
        datasets=list(CONFIG.datasets),
        config=CONFIG.model_dump(mode="json"),
        models={name: model.model_dump(mode="json") for name, model in MODELS.items()},
        code=code("core"),
    message:
        "Writing the data manifest, the resolved configuration and versions"
    script:
        "../scripts/provenance.py"


#: What the summary shows: kind -> key -> path.
SUMMARISED = {
    "metadata": {
        (name, chunk): path
        for name in CONFIG.datasets
        for chunk, path in enumerate(records(name, "parquet"))
    },
    "rejected": {name: f"{R}/rejected/{name}.ecsv" for name in CONFIG.datasets},
    "splits": {name: f"{R}/splits/{name}.parquet" for name in CONFIG.datasets},
    "indexes": {pair: shard_index(*pair) for pair in made_grids()},
    "psf": {pair: "{2}/psf/{1}/{0}.csv".format(*pair, R) for pair in made_grids()},
    "metrics": {name: f"{R}/tables/metrics/{name}.csv" for name in CONFIG.experiments},
    "comparisons": {name: f"{R}/tables/comparisons/{name}.csv" for name in COMPARED},
    "calibrations": calibration_parameters(),
    "exclusions": {
        name: f"{R}/exclusions/{name}.parquet" for name in CONFIG.experiments
    },
    "pretraining": pretraining_reports(),
    "clusters": {name: f"{R}/cluster/{name}/numbers.json" for name in CONFIG.clusters},
}


rule summary:
    input:
        **{kind: list(paths.values()) for kind, paths in SUMMARISED.items()},
        manifest=f"{R}/provenance/manifest.csv",
    output:
        html=figure(f"{R}/summary.html", "summary", "Results", "Summary"),
        text=f"{R}/summary.md",
    log:
        f"{R}/logs/summary.log",
    benchmark:
        f"{R}/benchmarks/summary.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        names={kind: list(paths) for kind, paths in SUMMARISED.items()},
        readers={name: d.reader for name, d in CONFIG.datasets.items()},
        seed=SEED,
        code=code("report"),
    message:
        "Writing the summary page"
    script:
        "../scripts/summary.py"


TARGETS += [
    f"{R}/figures/label_sources.png",
    f"{R}/provenance/manifest.csv",
    f"{R}/summary.html",
]
