# Leak-proof stratified splits per data set, the exclusion list of every training, negatives that
# look like lens hosts, and WebDataset shards with an index of their checksums.

OVERLAP_PARAMS = {
    "radius_arcsec": CONFIG.splits.match_radius_arcsec,
    "known_radius_arcsec": CONFIG.known_lens_radius_arcsec.model_dump(),
}


rule splits:
    input:
        metadata=lambda w: LAYOUT.of_chunks(LAYOUT.metadata, w.dataset),
        rejected=LAYOUT.rejected,
    output:
        LAYOUT.splits,
    log:
        LAYOUT.log("splits/{dataset}"),
    benchmark:
        LAYOUT.benchmark("splits/{dataset}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        splits=CONFIG.splits.model_dump(),
        search=lambda w: CONFIG.datasets[w.dataset].role == "search",
        held_out=lambda w: CONFIG.datasets[w.dataset].held_out,
        seed=SEED,
        code=code("splits"),
    message:
        "Splitting {wildcards.dataset}"
    script:
        "../scripts/splits.py"


rule exclusions:
    input:
        splits=lambda w: LAYOUT.splits_of(LAYOUT.exclusion_datasets(w.experiment)),
        known_lenses=CONFIG.known_lenses,
        matched=lambda w: LAYOUT.matched_of(w.experiment),
    output:
        LAYOUT.exclusions,
    log:
        LAYOUT.log("exclusions/{experiment}"),
    benchmark:
        LAYOUT.benchmark("exclusions/{experiment}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(20),
    params:
        **OVERLAP_PARAMS,
        datasets=lambda w: LAYOUT.exclusion_datasets(w.experiment),
        evaluate=lambda w: CONFIG.experiments[w.experiment].evaluate,
        folds=lambda w: LAYOUT.experiment_folds(w.experiment),
        labelled=lambda w: LAYOUT.experiment_datasets(w.experiment),
        hosts=lambda w: LAYOUT.online_hosts(w.experiment),
        known=known_lens_digest,
        code=code("exclusions"),
    message:
        "Listing objects that {wildcards.experiment} must not train on"
    script:
        "../scripts/exclusions.py"


use rule exclusions as pretraining_exclusions with:
    input:
        splits=lambda w: LAYOUT.splits_of(LAYOUT.pretraining_overlaps(w.pretraining)),
        known_lenses=CONFIG.known_lenses,
    output:
        LAYOUT.pretraining_exclusions,
    log:
        LAYOUT.log("exclusions/pretraining-{pretraining}"),
    benchmark:
        LAYOUT.benchmark("exclusions/pretraining-{pretraining}")
    params:
        **OVERLAP_PARAMS,
        datasets=lambda w: LAYOUT.pretraining_overlaps(w.pretraining),
        evaluate=lambda w: LAYOUT.pretraining_overlaps(w.pretraining),
        folds=lambda w: LAYOUT.pretraining_folds(w.pretraining),
        labelled=[],
        hosts=[],
        known=known_lens_digest,
        code=code("exclusions"),
    message:
        "Listing objects that pretraining {wildcards.pretraining} must not see"


rule matched_negatives:
    input:
        splits=lambda w: LAYOUT.splits_of(LAYOUT.exclusion_datasets(w.experiment)),
        known_lenses=CONFIG.known_lenses,
        metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.metadata, *LAYOUT.matched_datasets(w.experiment)
        ),
    output:
        parquet=LAYOUT.matched,
        table=figure(
            LAYOUT.matched_table,
            "matched_negatives",
            "Data",
            "Matched negatives",
            experiment="{experiment}",
            what="table",
        ),
    log:
        LAYOUT.log("matched_negatives/{experiment}"),
    benchmark:
        LAYOUT.benchmark("matched_negatives/{experiment}")
    wildcard_constraints:
        experiment=one_of(LAYOUT.matching),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(30),
    params:
        **OVERLAP_PARAMS,
        datasets=lambda w: LAYOUT.exclusion_datasets(w.experiment),
        chunks=lambda w: LAYOUT.chunk_counts(LAYOUT.matched_datasets(w.experiment)),
        match=lambda w: CONFIG.experiments[w.experiment].match_negatives.model_dump(),
        folds=lambda w: LAYOUT.experiment_folds(w.experiment),
        known=known_lens_digest,
        code=code("matched_negatives"),
    message:
        "Matching negatives of {wildcards.experiment} to its lens hosts"
    script:
        "../scripts/matched_negatives.py"


rule shards:
    input:
        cutouts=lambda w: LAYOUT.of_chunks(LAYOUT.cutouts, w.dataset, grid=w.grid),
        metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.cutout_metadata, w.dataset, grid=w.grid
        ),
        segments=lambda w: LAYOUT.segments_of(w.dataset, w.grid),
        splits=LAYOUT.splits,
    output:
        LAYOUT.shard_index,
    log:
        LAYOUT.log("shards/{grid}/{dataset}"),
    benchmark:
        LAYOUT.benchmark("shards/{grid}/{dataset}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        quality_threshold=CONFIG.quality.threshold,
        drop_unmatched=lambda w: CONFIG.grids[w.grid].unmatched == "drop",
        code=code("shards"),
    message:
        "Writing shards of {wildcards.dataset} on grid {wildcards.grid}"
    script:
        "../scripts/shards.py"


TARGETS += [LAYOUT.shard_index.of(dataset=d, grid=g) for d, g in LAYOUT.made_grids]
