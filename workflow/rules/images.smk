# Cutouts matched to the PSF of a grid: kernels and their QA, 16-bit files, and the arcs and
# companions in them with their fluxes in every band.


rule psf_kernels:
    input:
        pixels=lambda w: LAYOUT.of_chunks(LAYOUT.pixels, w.dataset),
        metadata=lambda w: LAYOUT.of_chunks(LAYOUT.metadata, w.dataset),
    output:
        kernels=LAYOUT.kernels,
        table=LAYOUT.kernel_table,
    log:
        LAYOUT.log("psf_kernels/{grid}/{dataset}"),
    benchmark:
        LAYOUT.benchmark("psf_kernels/{grid}/{dataset}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        grid=lambda w: CONFIG.grids[w.grid].model_dump(),
        code=code("psf_kernels"),
    message:
        "Making PSF kernels of {wildcards.dataset} for grid {wildcards.grid}"
    script:
        "../scripts/psf_kernels.py"


rule homogenise:
    input:
        pixels=LAYOUT.pixels,
        metadata=LAYOUT.metadata,
        kernels=LAYOUT.kernels,
    output:
        cutouts=LAYOUT.cutouts,
        metadata=LAYOUT.cutout_metadata,
    log:
        LAYOUT.log("homogenise/{grid}/{dataset}/{chunk}"),
    benchmark:
        LAYOUT.benchmark("homogenise/{grid}/{dataset}/{chunk}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        grid=lambda w: CONFIG.grids[w.grid].model_dump(),
        quality=CONFIG.quality.model_dump(),
        code=code("homogenise"),
    message:
        "Matching chunk {wildcards.chunk} of {wildcards.dataset} to grid {wildcards.grid}"
    script:
        "../scripts/homogenise.py"


rule segments:
    input:
        cutouts=LAYOUT.cutouts,
        metadata=LAYOUT.cutout_metadata,
    output:
        LAYOUT.segments,
    log:
        LAYOUT.log("segments/{grid}/{dataset}/{chunk}"),
    benchmark:
        LAYOUT.benchmark("segments/{grid}/{dataset}/{chunk}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(60),
    params:
        grid=lambda w: CONFIG.grids[w.grid].model_dump(),
        segments=CONFIG.segments.model_dump(),
        code=code("segments"),
    message:
        "Finding arcs in chunk {wildcards.chunk} of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/segments.py"


TARGETS += [
    p for dataset, grid in LAYOUT.made_grids for p in LAYOUT.segments_of(dataset, grid)
]
