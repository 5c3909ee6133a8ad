# Search: unlabelled cutouts scored by every model of an experiment, fused and ranked.


use rule predict as predict_search with:
    input:
        checkpoint=search_model("training/{experiment}/{model}-{seed}.ckpt"),
        indexes=lambda w: [
            shard_index(CONFIG.search[w.search].dataset, search_grid(w.search))
        ],
    output:
        f"{R}/search/{{search}}/predictions/{{model}}-{{seed}}.parquet",
    log:
        f"{R}/logs/predict_search/{{search}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/predict_search/{{search}}/{{model}}-{{seed}}.tsv"
    params:
        splits=["search"],
        views=lambda w: CONFIG.experiments[CONFIG.search[w.search].experiment].views,
        loading=lambda w: loading_values(MODELS[w.model].training),
        code=code("training"),
    message:
        "Scoring {wildcards.search} with {wildcards.model}, seed {wildcards.seed}"


rule calibrate_search:
    input:
        predictions=f"{R}/search/{{search}}/predictions/{{model}}-{{seed}}.parquet",
        parameters=search_model("calibrated/{experiment}/{model}-{seed}.json"),
    output:
        f"{R}/search/{{search}}/calibrated/{{model}}-{{seed}}.parquet",
    log:
        f"{R}/logs/calibrate_search/{{search}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/calibrate_search/{{search}}/{{model}}-{{seed}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("evaluation"),
    message:
        "Calibrating the scores of {wildcards.search} by {wildcards.model}-{wildcards.seed}"
    script:
        "../scripts/calibrate_search.py"


use rule fuse as fuse_search with:
    input:
        predictions=lambda w: [
            f"{R}/search/{w.search}/calibrated/{model}-{seed}.parquet"
            for model, seed in fused(CONFIG.search[w.search].experiment)
        ],
        fitted=search_model("fused/{experiment}.json"),
    output:
        predictions=f"{R}/search/{{search}}/fused.parquet",
        parameters=f"{R}/search/{{search}}/fused.json",
    log:
        f"{R}/logs/fuse_search/{{search}}.log",
    benchmark:
        f"{R}/benchmarks/fuse_search/{{search}}.tsv"
    params:
        fusion=lambda w: CONFIG.experiments[CONFIG.search[w.search].experiment].fusion,
        code=code("evaluation"),
    message:
        "Fusing the scores of {wildcards.search}"


rule candidates:
    input:
        predictions=f"{R}/search/{{search}}/fused.parquet",
        parameters=f"{R}/search/{{search}}/fused.json",
    output:
        ecsv=figure(
            f"{R}/candidates/{{search}}.ecsv",
            "candidates",
            "Candidates",
            "{search}",
            table="ranked candidates",
        ),
        parquet=f"{R}/candidates/{{search}}.parquet",
    log:
        f"{R}/logs/candidates/{{search}}.log",
    benchmark:
        f"{R}/benchmarks/candidates/{{search}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        prevalence=lambda w: CONFIG.search[w.search].prevalence,
        code=code("evaluation"),
    message:
        "Ranking the candidates of {wildcards.search}"
    script:
        "../scripts/candidates.py"


rule candidate_gallery:
    input:
        candidates=f"{R}/candidates/{{search}}.parquet",
        cutouts=lambda w: cutouts(
            CONFIG.search[w.search].dataset, search_grid(w.search), "tif"
        ),
        metadata=lambda w: cutouts(
            CONFIG.search[w.search].dataset, search_grid(w.search), "parquet"
        ),
    output:
        figure=figure(
            f"{R}/figures/candidates/{{search}}.png",
            "candidates",
            "Candidates",
            "{search}",
            figure="gallery",
        ),
        pdf=f"{R}/figures/candidates/{{search}}.pdf",
    log:
        f"{R}/logs/candidate_gallery/{{search}}.log",
    benchmark:
        f"{R}/benchmarks/candidate_gallery/{{search}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        top=lambda w: CONFIG.search[w.search].top,
        code=code("figures"),
    message:
        "Drawing the candidates of {wildcards.search}"
    script:
        "../scripts/candidate_gallery.py"


TARGETS += [f"{R}/figures/candidates/{name}.png" for name in CONFIG.search]
