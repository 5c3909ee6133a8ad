# Unlabelled cutouts scored by every model of an experiment, fused and ranked; candidates in a cluster
# on the critical curves of its published mass models.


use rule predict as predict_search with:
    input:
        checkpoint=lambda w: LAYOUT.of_searcher(LAYOUT.checkpoint, **w),
        indexes=lambda w: LAYOUT.searched_index(w.search),
    output:
        LAYOUT.search_predictions,
    log:
        LAYOUT.log("predict_search/{search}/{model}-{seed}"),
    benchmark:
        LAYOUT.benchmark("predict_search/{search}/{model}-{seed}")
    params:
        splits=["search"],
        fold=None,
        views=lambda w: LAYOUT.searcher(w.search).views,
        loading=lambda w: LAYOUT.loading_of(w.model),
        code=code("predict", architecture_of_model),
    message:
        "Scoring {wildcards.search} with {wildcards.model}, seed {wildcards.seed}"


rule calibrate_search:
    input:
        predictions=LAYOUT.search_predictions,
        parameters=lambda w: LAYOUT.of_searcher(LAYOUT.calibration, **w),
    output:
        LAYOUT.search_calibrated,
    log:
        LAYOUT.log("calibrate_search/{search}/{model}-{seed}"),
    benchmark:
        LAYOUT.benchmark("calibrate_search/{search}/{model}-{seed}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("calibrate_search"),
    message:
        "Calibrating the scores of {wildcards.search} by {wildcards.model}-{wildcards.seed}"
    script:
        "../scripts/calibrate_search.py"


use rule fuse as fuse_search with:
    input:
        predictions=lambda w: LAYOUT.searched_members(w.search),
        fitted=lambda w: LAYOUT.of_searcher(LAYOUT.fusion, **w),
    output:
        predictions=LAYOUT.search_fused,
        parameters=LAYOUT.search_fusion,
    log:
        LAYOUT.log("fuse_search/{search}"),
    benchmark:
        LAYOUT.benchmark("fuse_search/{search}")
    params:
        fusion=lambda w: LAYOUT.searcher(w.search).fusion,
        code=code("fuse"),
    message:
        "Fusing the scores of {wildcards.search}"


rule candidates:
    input:
        predictions=LAYOUT.search_fused,
        parameters=LAYOUT.search_fusion,
    output:
        ecsv=figure(
            LAYOUT.candidates,
            "candidates",
            "Candidates",
            "{search}",
            table="ranked candidates",
        ),
        parquet=LAYOUT.candidate_rows,
    log:
        LAYOUT.log("candidates/{search}"),
    benchmark:
        LAYOUT.benchmark("candidates/{search}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        prevalence=lambda w: CONFIG.search[w.search].prevalence,
        code=code("candidates"),
    message:
        "Ranking the candidates of {wildcards.search}"
    script:
        "../scripts/candidates.py"


rule cluster_products:
    input:
        models=lambda w: LAYOUT.cluster_facts(w.cluster),
        candidates=lambda w: LAYOUT.cluster_candidates(w.cluster),
        field=cluster_field,
        manifest=lambda w: LAYOUT.cluster_manifest(w.cluster),
    output:
        numbers=LAYOUT.cluster_numbers,
        table=figure(
            LAYOUT.cluster_table,
            "overlay_table",
            "Cluster",
            "{cluster}",
            table="candidates at the critical curves",
        ),
        maps=LAYOUT.cluster_maps,
        regions=LAYOUT.cluster_regions,
    log:
        LAYOUT.log("cluster_products/{cluster}"),
    benchmark:
        LAYOUT.benchmark("cluster_products/{cluster}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(60),
    params:
        cluster=lambda w: CONFIG.clusters[w.cluster].model_dump(),
        dataset=lambda w: LAYOUT.cluster_dataset(w.cluster),
        seed=SEED,
        code=code("cluster_products"),
    message:
        "Comparing candidates with the mass models of {wildcards.cluster}"
    script:
        "../scripts/cluster_products.py"
