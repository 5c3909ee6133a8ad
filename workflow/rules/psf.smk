# PSF homogenisation: kernels and their QA, then matched cutouts in 16-bit files.


rule psf_kernels:
    input:
        pixels=lambda wildcards: records(wildcards.dataset, "h5"),
        metadata=lambda wildcards: records(wildcards.dataset, "parquet"),
    output:
        kernels=f"{R}/psf/{{grid}}/{{dataset}}.h5",
        table=f"{R}/psf/{{grid}}/{{dataset}}.csv",
    log:
        f"{R}/logs/psf_kernels/{{grid}}/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/psf_kernels/{{grid}}/{{dataset}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        grid=lambda wildcards: CONFIG.grids[wildcards.grid].model_dump(),
        code=code("images"),
    message:
        "Making PSF kernels of {wildcards.dataset} for grid {wildcards.grid}"
    script:
        "../scripts/psf_kernels.py"


rule homogenise:
    input:
        pixels=f"{R}/records/{{dataset}}/{{chunk}}.h5",
        metadata=f"{R}/records/{{dataset}}/{{chunk}}.parquet",
        kernels=f"{R}/psf/{{grid}}/{{dataset}}.h5",
    output:
        cutouts=f"{R}/cutouts/{{grid}}/{{dataset}}/{{chunk}}.tif",
        metadata=f"{R}/cutouts/{{grid}}/{{dataset}}/{{chunk}}.parquet",
    log:
        f"{R}/logs/homogenise/{{grid}}/{{dataset}}/{{chunk}}.log",
    benchmark:
        f"{R}/benchmarks/homogenise/{{grid}}/{{dataset}}/{{chunk}}.tsv"
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        grid=lambda wildcards: CONFIG.grids[wildcards.grid].model_dump(),
        quality=CONFIG.quality.model_dump(),
        code=code("images"),
    message:
        "Matching chunk {wildcards.chunk} of {wildcards.dataset} to grid {wildcards.grid}"
    script:
        "../scripts/homogenise.py"


rule psf_figure:
    input:
        kernels=f"{R}/psf/{{grid}}/{{dataset}}.h5",
        table=f"{R}/psf/{{grid}}/{{dataset}}.csv",
    output:
        figure=figure(
            f"{R}/figures/psf/{{grid}}/{{dataset}}.png",
            "psf",
            "Data",
            "PSF matching",
            dataset="{dataset}",
            grid="{grid}",
        ),
        pdf=f"{R}/figures/psf/{{grid}}/{{dataset}}.pdf",
    log:
        f"{R}/logs/psf_figure/{{grid}}/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/psf_figure/{{grid}}/{{dataset}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("figures"),
    message:
        "Drawing growth curves of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/psf_figure.py"


TARGETS += [f"{R}/figures/psf/{grid}/{dataset}.png" for dataset, grid in made_grids()]
