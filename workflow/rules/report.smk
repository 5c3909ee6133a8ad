# What a run was made from, and the summary page.


rule provenance:
    input:
        manifests=[LAYOUT.raw_manifest.of(dataset=name) for name in CONFIG.datasets],
    output:
        manifest=LAYOUT.manifest,
        config=LAYOUT.resolved_config,
        versions=figure(LAYOUT.versions, "versions", "Provenance", "Versions"),
    log:
        LAYOUT.log("provenance"),
    benchmark:
        LAYOUT.benchmark("provenance")
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
        # The commit and the packages that are written down, so that they never are those of before.
        versions=lambda w: package_versions(),
        code=code("provenance"),
    message:
        "Writing the data manifest, the resolved configuration and versions"
    script:
        "../scripts/provenance.py"


#: What the summary shows: kind -> key -> path.
SUMMARISED = LAYOUT.summarised()


rule summary:
    input:
        **{kind: list(paths.values()) for kind, paths in SUMMARISED.items()},
        manifest=LAYOUT.manifest,
    output:
        html=figure(LAYOUT.summary, "summary", "Results", "Summary"),
        text=LAYOUT.summary_text,
    log:
        LAYOUT.log("summary"),
    benchmark:
        LAYOUT.benchmark("summary")
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
        code=code("summary"),
    message:
        "Writing the summary page"
    script:
        "../scripts/summary.py"


TARGETS += [LAYOUT.manifest, LAYOUT.summary]
