# Ablations: are differences between models resolved? And one line per model with its numbers.


rule comparisons:
    input:
        predictions=lambda w: compared_only(w.experiment).values(),
    output:
        csv=figure(
            f"{R}/tables/comparisons/{{experiment}}.csv",
            "comparisons",
            "Results",
            "{experiment}",
            table="ablations with verdicts",
        ),
        tex=f"{R}/tables/comparisons/{{experiment}}.tex",
    log:
        f"{R}/logs/comparisons/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/comparisons/{{experiment}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(scored_paths(w.experiment)),
        comparisons=lambda w: {
            name: [c.model, c.against]
            for name, c in CONFIG.experiments[w.experiment].compared().items()
        },
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("evaluation"),
    message:
        "Comparing the models of {wildcards.experiment}"
    script:
        "../scripts/comparisons.py"


rule model_sizes:
    input:
        lambda w: [
            f"{R}/training/{w.experiment}/{model}-{CONFIG.experiments[w.experiment].seeds[0]}.ckpt"
            for model in CONFIG.experiments[w.experiment].models
        ],
    output:
        f"{R}/study/{{experiment}}.json",
    log:
        f"{R}/logs/model_sizes/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/model_sizes/{{experiment}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(10),
    params:
        names=lambda w: CONFIG.experiments[w.experiment].models,
        code=code("report"),
    message:
        "Counting the parameters of the models of {wildcards.experiment}"
    script:
        "../scripts/model_sizes.py"


rule study_table:
    input:
        predictions=lambda w: compared_only(w.experiment).values(),
        metrics=f"{R}/tables/metrics/{{experiment}}.csv",
        sizes=f"{R}/study/{{experiment}}.json",
    output:
        csv=figure(
            f"{R}/tables/study/{{experiment}}.csv",
            "study",
            "Results",
            "{experiment}",
            table="one line per model and test set",
        ),
        tex=f"{R}/tables/study/{{experiment}}.tex",
    log:
        f"{R}/logs/study_table/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/study_table/{{experiment}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(scored_paths(w.experiment)),
        members=lambda w: unique(model for model, _ in fused(w.experiment)),
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("evaluation"),
    message:
        "Tabulating the models of {wildcards.experiment}"
    script:
        "../scripts/study_table.py"


rule comparisons_figure:
    input:
        f"{R}/tables/comparisons/{{experiment}}.csv",
    output:
        figure=figure(
            f"{R}/figures/comparisons/{{experiment}}.png",
            "comparisons_figure",
            "Results",
            "{experiment}",
            figure="ablations",
        ),
        pdf=f"{R}/figures/comparisons/{{experiment}}.pdf",
    log:
        f"{R}/logs/comparisons_figure/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/comparisons_figure/{{experiment}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("figures"),
    message:
        "Drawing the comparisons of {wildcards.experiment}"
    script:
        "../scripts/comparisons_figure.py"


TARGETS += [
    path
    for name in COMPARED
    for path in (
        f"{R}/tables/study/{name}.csv",
        f"{R}/tables/comparisons/{name}.csv",
        f"{R}/figures/comparisons/{name}.png",
    )
]
