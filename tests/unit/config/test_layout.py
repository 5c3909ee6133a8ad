"""The layout of a run: one path per product, and the questions that rules ask of the jobs."""

import copy
from dataclasses import fields

import pytest
import yaml

from lenshunt.config import Layout, load_models, parse_config
from lenshunt.config.layout import all_cores, cores
from lenshunt.core import ROOT
from lenshunt.reporting import Products

DEMO = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
HST = {"reader": "hst_galaxies", "role": "pretrain", "survey": "hst", "grids": ["space"]}


def layout_of(change=lambda values: None) -> Layout:
    """The layout of the demo after a change of its configuration."""
    values = copy.deepcopy(DEMO)
    change(values)
    config = parse_config(values)
    return Layout(config, load_models(config))


def changed(experiment: str, **keys) -> Layout:
    """The layout of the demo with these keys of an experiment."""
    return layout_of(lambda values: values["experiments"][experiment].update(keys))


# Paths


def test_no_two_products_have_one_path():
    paths = list(layout_of().templates().values())
    assert len(set(paths)) == len(paths)


def test_every_product_lies_in_the_folder_of_results():
    layout = layout_of(lambda values: values.update(results="else/where"))
    more = {"log": layout.log("records/{dataset}"), "benchmark": layout.benchmark("train")}
    assert all(p.startswith("else/where/") for p in {**layout.templates(), **more}.values())


def test_a_template_is_filled_with_its_own_wildcards_and_no_others():
    layout = layout_of()
    index = layout.shard_index.of(dataset="sdss", grid="ground")
    assert index == "results/shards/ground/sdss/index.json"
    for wildcards in ({"dataset": "sdss"}, {"dataset": "sdss", "grid": "ground", "chunk": 0}):
        with pytest.raises(TypeError, match=r"index\.json has wildcards \['dataset', 'grid'\]"):
            layout.shard_index.of(**wildcards)


def test_a_figure_has_its_pdf_beside_it():
    layout = layout_of(lambda values: values.update(results="run.2"))
    assert layout.split_figure.with_suffix(".pdf") == "run.2/figures/splits.pdf"
    curves = layout.training_curves.with_suffix(".pdf")
    assert curves.of(experiment="ground") == "run.2/figures/training/ground.pdf"


# Data sets


def test_injected_lenses_come_in_the_chunks_of_their_hosts():
    layout = layout_of()
    assert layout.injected == ["injected"]
    assert "injected" not in layout.read
    assert layout.host_dataset("injected") == "galaxiesml"
    assert list(layout.chunks("injected")) == list(layout.chunks("galaxiesml")) == [0, 1]
    assert layout.of_chunks(layout.truth, "injected") == [
        f"results/injection/injected/{chunk}.truth.parquet" for chunk in (0, 1)
    ]
    with pytest.raises(TypeError, match=r"datasets\.sdss: reader cutouts paints no lenses"):
        layout.source_datasets("sdss")


def test_files_of_several_data_sets_are_listed_as_their_chunks_are_counted():
    layout = layout_of()
    names = ["sdss", "galaxiesml"]
    files = layout.of_chunks(layout.cutouts, *names, grid="ground")
    assert layout.chunk_counts(names) == {"sdss": 1, "galaxiesml": 2}
    assert [path.removeprefix("results/cutouts/ground/") for path in files] == [
        "sdss/0.tif",
        "galaxiesml/0.tif",
        "galaxiesml/1.tif",
    ]


def test_segments_are_made_where_they_are_enabled_but_not_for_pretraining():
    off, on = layout_of(), layout_of(lambda values: values.update(segments={"enabled": True}))
    assert off.segments_of("castles", "space") == []
    assert on.segments_of("castles", "space") == ["results/segments/space/castles/0.h5"]
    assert on.segments_of("galaxiesml", "ground") == []


def test_records_depend_neither_on_grids_nor_on_what_happens_after_them():
    plain = layout_of()
    other = layout_of(lambda values: values["datasets"]["sdss"].update(rejected_fraction_max=0.5))
    assert plain.dataset_values("sdss") == other.dataset_values("sdss")
    assert "grids" not in plain.dataset_values("sdss")


# What may be trained on


def test_all_that_is_scored_or_shown_to_an_experiment_is_checked_for_overlap():
    def online_and_searched(values):
        values["datasets"] |= {"galaxies": {**HST}, "sharp": {**HST}}
        for name in ("galaxies", "sharp"):
            values["datasets"][name]["catalogues"] = [f"data/{name}.fits"]
        values["experiments"]["space"]["online"] = {"hosts": ["galaxies"], "sources": ["sharp"]}

    layout = layout_of(online_and_searched)
    # hosts and what is searched, but not the galaxies whose light is lensed
    expected = ["castles", "relics", "galaxies", "smacs0723"]
    assert layout.exclusion_datasets("space") == expected
    assert list(layout.experiment_folds("space")) == ["castles", "relics", "galaxies"]
    pretrained = ["bologna_ground", "sdss", "injected", "galaxiesml"]
    assert layout.exclusion_datasets("ground") == pretrained


def test_online_lenses_have_hosts_and_sources_only_where_they_are_asked_for():
    def online(**more):
        def change(values):
            values["datasets"]["galaxies"] = {**HST, "catalogues": ["data/galaxies.fits"]}
            values["experiments"]["space"]["online"] = {"hosts": ["galaxies"], **more}

        return layout_of(change)

    without, smooth, real = layout_of(), online(), online(sources=["galaxies"])
    assert (without.online_hosts("space"), without.online_values("space")) == ([], None)
    assert smooth.online_hosts("space") == ["galaxies"]
    assert smooth.online_values("space")["grid"]["size_px"] == 80
    assert smooth.online_sources_of("space") == []
    assert real.online_sources_of("space") == ["results/online/space/sources.h5"]
    assert real.online_source_datasets("space") == ["galaxies"]


def test_a_held_out_data_set_is_scored_and_not_trained_on():
    layout = layout_of()
    train, scored = layout.config.experiments["ground"].train, layout.evaluated_only("ground")
    assert scored == ["sdss", "injected"]
    assert not set(layout.indexes_of("ground", train)) & set(layout.indexes_of("ground", scored))
    assert layout.experiment_datasets("ground") == [*train, *scored]


def test_a_pretraining_knows_the_folds_and_searches_of_all_that_start_from_it():
    def folds(values):
        values["splits"] = {"folds": 5}
        ground = values["experiments"]["ground"]
        for fold in (0, 1):
            values["experiments"][f"fold{fold}"] = {**ground, "evaluate": ["sdss"], "fold": fold}
        values["datasets"]["smacs0723"]["grids"] = ["ground"]
        values["search"]["smacs0723"]["experiment"] = "fold1"

    layout = layout_of(folds)
    assert layout.experiment_folds("fold1") == {"bologna_ground": [1], "sdss": [1]}
    assert layout.pretraining_folds("galaxies") == {
        "bologna_ground": [None, 0, 1],
        "sdss": [None, 0, 1],
        "injected": [None],
    }
    overlaps = ["galaxiesml", "bologna_ground", "sdss", "injected", "smacs0723"]
    assert layout.pretraining_overlaps("galaxies") == overlaps


def test_negatives_are_matched_where_an_experiment_asks():
    match = {"negatives": ["relics"], "hosts": ["castles", "relics"]}
    layout = changed("space", match_negatives=match)
    assert layout.matching == ["space"]
    assert layout.matched_of("space") == ["results/matched/space.parquet"]
    assert layout.matched_datasets("space") == ["relics", "castles"]
    assert layout.matched_of("ground") == layout.matched_datasets("ground") == []


# Models


def test_models_of_one_family_share_a_checkpoint_unless_they_start_from_nothing():
    layout = changed("ground", models=["resnet18", "resnet18_narrow", "film_conditioned"])
    model = layout.models["resnet18"].model_copy(update={"backbone": "b"})
    models = {"resnet18": model, "resnet18_narrow": model}
    models["film_conditioned"] = model.model_copy(update={"pretrained": False})
    layout = Layout(layout.config, models)
    for name in ("resnet18", "resnet18_narrow"):
        assert layout.pretrained_of("ground", name) == ["results/pretraining/galaxies/b.ckpt"]
    assert layout.pretrained_of("ground", "film_conditioned") == []
    # its experiment names no pretraining
    assert layout.pretrained_of("space", "resnet18") == []
    assert layout.backbone_reports() == {"galaxies/b": "results/pretraining/galaxies/b.json"}


def test_a_family_is_stood_for_by_its_namesake_or_else_by_the_first_by_name():
    layout = layout_of()
    model = layout.models["resnet18"].model_copy(update={"backbone": "b"})
    assert Layout(layout.config, {"c": model, "a": model}).model_of_backbone("b") == "a"
    assert Layout(layout.config, {"a": model, "b": model}).model_of_backbone("b") == "b"


def test_a_model_is_probed_on_all_its_grids_where_the_batch_size_is_left_to_that():
    layout = layout_of(lambda values: values["training"].update(batch_size="auto"))
    training = layout.training_of("resnet18_narrow")
    assert layout.probe_of("resnet18_narrow", training) == ["results/probe/resnet18_narrow.json"]
    assert layout.probe_of("resnet18_narrow", layout.pretraining_of("galaxies")) == []
    assert layout.grids_of_model("resnet18_narrow") == ["ground"]
    assert layout.grids_of_model("resnet18") == ["space"]


def test_every_device_of_a_training_has_cores_of_its_own():
    layout = layout_of(lambda v: v["training"].update(devices=2, threads=2, workers=3))
    training = layout.training_of("resnet18")
    assert (cores(training), all_cores(training)) == (5, 10)
    assert layout.loading_of("resnet18") == {"threads": 2, "workers": 3, "loader": "auto"}


# Evaluation


def test_ablations_are_scored_and_compared_but_neither_fused_nor_searched_with():
    keys = {"models": ["resnet18", "film_conditioned"], "seeds": [1, 2]}
    layout = changed("space", **keys, members=["film_conditioned"], baseline="resnet18")
    assert list(layout.scored("space")) == [
        "resnet18-1",
        "resnet18-2",
        "film_conditioned-1",
        "film_conditioned-2",
        "fused",
    ]
    members = [("film_conditioned", 1), ("film_conditioned", 2)]
    assert layout.fused_members("space") == members
    assert layout.calibrated_members("space") == [
        f"results/calibrated/space/{model}-{seed}.parquet" for model, seed in members
    ]
    assert layout.searched_members("smacs0723") == [
        f"results/search/smacs0723/calibrated/{model}-{seed}.parquet" for model, seed in members
    ]
    assert layout.compared == ["space"]
    assert layout.first_checkpoints("space") == [
        f"results/training/space/{model}-1.ckpt" for model in keys["models"]
    ]
    assert layout.diagnostics_of(layout.diagnostics_curves, "space", "film_conditioned") == [
        f"results/diagnostics/space/film_conditioned-{seed}.csv" for seed in (1, 2)
    ]


def test_a_search_uses_the_products_of_its_experiment():
    layout = layout_of()
    checkpoint = layout.of_searcher(layout.checkpoint, "smacs0723", model="resnet18", seed="1")
    assert checkpoint == "results/training/space/resnet18-1.ckpt"
    assert layout.of_searcher(layout.fusion, "smacs0723") == "results/fused/space.json"
    assert layout.searched_index("smacs0723") == ["results/shards/space/smacs0723/index.json"]


def test_a_cluster_without_a_field_is_drawn_from_its_models_alone():
    def bare(values):
        for key in ("dataset", "field", "search"):
            values["clusters"]["smacs0723"].pop(key)

    full, alone = layout_of(), layout_of(bare)
    assert full.cluster_candidates("smacs0723") == ["results/candidates/smacs0723.ecsv"]
    assert full.cluster_manifest("smacs0723") == ["results/provenance/raw/smacs0723.csv"]
    assert alone.cluster_candidates("smacs0723") == alone.cluster_manifest("smacs0723") == []
    assert alone.cluster_dataset("smacs0723") is None
    assert (
        alone.cluster_facts("smacs0723")
        == full.cluster_facts("smacs0723")
        == [f"resources/smacs0723/{name}.ecsv" for name in ("images", "members", "potentials")]
    )


def test_the_summary_shows_every_kind_of_product_that_it_knows():
    layout = layout_of()
    shown = layout.summarised()
    assert {*shown, "readers", "manifest"} == {field.name for field in fields(Products)}
    assert shown["metadata"][("relics", 1)] == "results/records/relics/1.parquet"
    assert shown["calibrations"][("space", "fused")] == "results/fused/space.json"
    assert list(shown["comparisons"]) == layout.compared
