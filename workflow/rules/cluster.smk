# The cluster check: candidates on the critical curves of published mass models.


rule cluster_products:
    input:
        models=cluster_facts,
        candidates=cluster_candidates,
        field=cluster_field,
        manifest=cluster_manifest,
    output:
        numbers=f"{R}/cluster/{{cluster}}/numbers.json",
        table=figure(
            f"{R}/cluster/{{cluster}}/candidates.ecsv",
            "overlay_table",
            "Cluster",
            "{cluster}",
            table="candidates at the critical curves",
        ),
        maps=f"{R}/cluster/{{cluster}}/maps.fits",
        regions=f"{R}/cluster/{{cluster}}/candidates.reg",
    log:
        f"{R}/logs/cluster_products/{{cluster}}.log",
    benchmark:
        f"{R}/benchmarks/cluster_products/{{cluster}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(60),
    params:
        cluster=lambda w: CONFIG.clusters[w.cluster].model_dump(),
        dataset=cluster_dataset,
        seed=SEED,
        code=code("cluster"),
    message:
        "Comparing candidates with the mass models of {wildcards.cluster}"
    script:
        "../scripts/cluster_products.py"


rule overlay:
    input:
        models=cluster_facts,
        candidates=cluster_candidates,
        field=cluster_field,
        manifest=cluster_manifest,
        numbers=f"{R}/cluster/{{cluster}}/numbers.json",
    output:
        figure=figure(
            f"{R}/figures/overlay/{{cluster}}.png",
            "overlay",
            "Cluster",
            "{cluster}",
            figure="critical curves and candidates",
        ),
        pdf=f"{R}/figures/overlay/{{cluster}}.pdf",
    log:
        f"{R}/logs/overlay/{{cluster}}.log",
    benchmark:
        f"{R}/benchmarks/overlay/{{cluster}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(30),
    params:
        cluster=lambda w: CONFIG.clusters[w.cluster].model_dump(),
        dataset=cluster_dataset,
        code=code("figures"),
    message:
        "Drawing candidates on the critical curves of {wildcards.cluster}"
    script:
        "../scripts/overlay.py"


TARGETS += [f"{R}/figures/overlay/{name}.png" for name in CONFIG.clusters]
