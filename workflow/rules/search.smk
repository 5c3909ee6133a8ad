# Search: unlabelled cutouts scored by every model of an experiment, fused and ranked.


def search_paths(search, kind):
    """Per model and seed of the search's experiment: predictions or calibrated."""
    runs = trained(CONFIG.search[search].experiment)
    return [
        f"{R}/search/{search}/{kind}/{model}-{seed}.parquet" for model, seed in runs
    ]


def search_grid(search):
    return CONFIG.experiments[CONFIG.search[search].experiment].grid


def search_model(path):
    """A product of the experiment that a search uses, for the same model and seed."""
    return lambda w: f"{R}/{path}".format(
        experiment=CONFIG.search[w.search].experiment,
        model=w.get("model"),
        seed=w.get("seed"),
    )


use rule predict as predict_search with:
    input:
        checkpoint=search_model("training/{experiment}/{model}-{seed}.ckpt"),
        indexes=lambda w: shard_index(
            CONFIG.search[w.search].dataset, search_grid(w.search)
        ),
    output:
        f"{R}/search/{{search}}/predictions/{{model}}-{{seed}}.parquet",
    log:
        f"{R}/logs/predict_search/{{search}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/predict_search/{{search}}/{{model}}-{{seed}}.tsv"
    params:
        splits=["search"],
        code=code("training"),
    message:
        "Scoring {wildcards.search} with {wildcards.model}, seed {wildcards.seed}"


rule candidates:
    input:
        predictions=lambda w: search_paths(w.search, "predictions"),
        calibrations=lambda w: run_paths(
            "calibrated", CONFIG.search[w.search].experiment, ".json"
        ).values(),
        fusion=search_model("fused/{experiment}.json"),
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
