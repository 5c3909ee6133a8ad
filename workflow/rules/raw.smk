# Raw files: the demo survey, downloads, and the manifest that everything else depends on.
from lenshunt.raw.download import load_sources

DOWNLOADS = {source.path: source for source in load_sources()}
MADE_BY = {dataset.made_by for dataset in CONFIG.datasets.values()}

if "demo" in MADE_BY:
    from lenshunt.simulate import demo_files, demo_kinds

    DEMO_KINDS = demo_kinds(CONFIG.demo)
else:
    DEMO_KINDS = ()


for kind in DEMO_KINDS:

    rule:
        name:
            f"demo_{kind}"
        output:
            demo_files(kind, CONFIG.demo),
        log:
            f"{R}/logs/demo/{kind}.log",
        benchmark:
            f"{R}/benchmarks/demo/{kind}.tsv"
        conda:
            f"{ENVS}/data.yaml"
        threads: 1
        resources:
            mem_mb=mem_mb(2000),
            runtime=minutes(30),
        params:
            kind=kind,
            # A test set that is asked for, or grows, leaves the other kinds as they are.
            demo=CONFIG.demo.model_dump(
                exclude=set() if kind == "bologna_test" else {"bologna_test"}
            ),
            seed=SEED,
            code=code("simulate"),
        message:
            f"Writing the synthetic survey {kind} in its raw format"
        script:
            "../scripts/demo.py"


rule fetch:
    output:
        "data/{path}",
    log:
        f"{R}/logs/fetch/{{path}}.log",
    benchmark:
        f"{R}/benchmarks/fetch/{{path}}.tsv"
    wildcard_constraints:
        path=one_of(path.removeprefix("data/") for path in DOWNLOADS),
    retries: 1
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(24 * 60),
    params:
        checksum=lambda wildcards: DOWNLOADS[f"data/{wildcards.path}"].checksum,
    message:
        "Downloading data/{wildcards.path}"
    script:
        "../scripts/fetch.py"


rule manifest:
    input:
        manifest_input,
    output:
        f"{R}/provenance/raw/{{dataset}}.csv",
    log:
        f"{R}/logs/manifest/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/manifest/{{dataset}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(500),
        runtime=minutes(30),
    params:
        dataset=lambda wildcards: dataset_values(wildcards.dataset),
        cache=SHA256_CACHE,
        # The bytes of the raw files, not their times: a touch re-runs nothing.
        raw=raw_digest,
    message:
        "Listing the raw files of {wildcards.dataset} with their sha256"
    script:
        "../scripts/manifest.py"
