# The cluster check: candidates on the critical curves of published mass models.


def cluster_candidates(wildcards):
    """Ranked table of the search that scores this cluster, where one does."""
    search = CONFIG.clusters[wildcards.cluster].search
    return [f"{R}/candidates/{search}.ecsv"] if search else []


def cluster_facts(wildcards):
    """Files of the mass models of a cluster."""
    models = CONFIG.clusters[wildcards.cluster].models.values()
    return [f for m in models for f in (m.potentials, m.images, m.members) if f]


def cluster_field(wildcards):
    """Image and catalogue files of the field in which a cluster lies, where one is given."""
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return ancient(key_files_of(dataset)) if dataset else []


def cluster_manifest(wildcards):
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return [f"{R}/provenance/raw/{dataset}.csv"] if dataset else []


def cluster_dataset(wildcards):
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return dataset_values(dataset) if dataset else None


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
