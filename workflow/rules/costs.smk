# What the models of an experiment cost: parameters, time and memory. From benchmark files: no two
# runs give the same numbers, so that nothing is made of this table.


rule costs:
    input:
        sizes=f"{R}/study/{{experiment}}.json",
        # The jobs, not their benchmark files: what was trained elsewhere comes without one.
        checkpoints=lambda w: run_paths("training", w.experiment, ".ckpt").values(),
        predictions=lambda w: run_paths(
            "predictions", w.experiment, ".parquet"
        ).values(),
    output:
        csv=figure(
            f"{R}/tables/costs/{{experiment}}.csv",
            "costs",
            "Results",
            "{experiment}",
            table="parameters, time and memory",
        ),
        tex=f"{R}/tables/costs/{{experiment}}.tex",
    log:
        f"{R}/logs/costs/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/costs/{{experiment}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        runs=lambda w: trained(w.experiment),
        trained=lambda w: list(
            run_paths("benchmarks/train", w.experiment, ".tsv").values()
        ),
        predicted=lambda w: list(
            run_paths("benchmarks/predict", w.experiment, ".tsv").values()
        ),
        code=code("report"),
    message:
        "Tabulating what the models of {wildcards.experiment} cost"
    script:
        "../scripts/costs.py"


TARGETS += [f"{R}/tables/costs/{name}.csv" for name in CONFIG.experiments]
