# Raw files (the demo survey, downloads, the manifests that everything else depends on), and the
# provenance-tagged records in nJy, metadata v2, that are read from them in parallel chunks.
from lenshunt.readers.download import load_sources

DOWNLOADS = {source.path: source for source in load_sources()}
MADE_BY = {dataset.made_by for dataset in CONFIG.datasets.values()}

if "demo" in MADE_BY:
    from lenshunt.scenes.demo import demo_files, demo_kinds

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
            LAYOUT.log(f"demo/{kind}"),
        benchmark:
            LAYOUT.benchmark(f"demo/{kind}")
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
            code=code_digest(script_of("demo"), [kind]),
        message:
            f"Writing the synthetic survey {kind} in its raw format"
        script:
            "../scripts/demo.py"


rule fetch:
    output:
        "data/{path}",
    log:
        LAYOUT.log("fetch/{path}"),
    benchmark:
        LAYOUT.benchmark("fetch/{path}")
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
        checksum=lambda w: DOWNLOADS[f"data/{w.path}"].checksum,
    message:
        "Downloading data/{wildcards.path}"
    script:
        "../scripts/fetch.py"


rule manifest:
    input:
        manifest_input,
    output:
        LAYOUT.raw_manifest,
    log:
        LAYOUT.log("manifest/{dataset}"),
    benchmark:
        LAYOUT.benchmark("manifest/{dataset}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(500),
        runtime=minutes(30),
    params:
        dataset=lambda w: LAYOUT.dataset_values(w.dataset),
        cache=SHA256_CACHE,
        # The bytes of the raw files, not their times: a touch re-runs nothing.
        raw=raw_digest,
    message:
        "Listing the raw files of {wildcards.dataset} with their sha256"
    script:
        "../scripts/manifest.py"


rule records:
    input:
        manifest=LAYOUT.raw_manifest,
        raw=lambda w: ancient(key_files_of(w.dataset)),
    output:
        pixels=temp(LAYOUT.pixels),
        metadata=LAYOUT.metadata,
        rejected=LAYOUT.rejected_of_chunk,
    log:
        LAYOUT.log("records/{dataset}/{chunk}"),
    benchmark:
        LAYOUT.benchmark("records/{dataset}/{chunk}")
    wildcard_constraints:
        dataset=one_of(LAYOUT.read),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        dataset=lambda w: LAYOUT.dataset_values(w.dataset),
        chunks=lambda w: len(LAYOUT.chunks(w.dataset)),
        code=code("records", lambda w: [CONFIG.datasets[w.dataset].reader]),
    message:
        "Reading chunk {wildcards.chunk} of {wildcards.dataset}"
    script:
        "../scripts/records.py"


rule rejected:
    input:
        lambda w: LAYOUT.of_chunks(LAYOUT.rejected_of_chunk, w.dataset),
    output:
        LAYOUT.rejected,
    log:
        LAYOUT.log("rejected/{dataset}"),
    benchmark:
        LAYOUT.benchmark("rejected/{dataset}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(500),
        runtime=minutes(10),
    params:
        fraction_max=lambda w: CONFIG.datasets[w.dataset].rejected_fraction_max,
        files_of_many=lambda w: len(CONFIG.datasets[w.dataset].files_of_many()),
        code=code("rejected"),
    message:
        "Listing what could not be read of {wildcards.dataset}"
    script:
        "../scripts/rejected.py"
