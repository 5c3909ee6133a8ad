"""Configurations are refused before any job runs, with the key and the remedy."""

from pathlib import Path

import pytest
import yaml
from config_values import check, values_of

from lenshunt.config import (
    ConfigError,
    load_model_config,
    load_models,
    merged_training,
    model_names,
    parse_config,
)
from lenshunt.core import ROOT

SHIPPED = [
    *sorted((ROOT / "config").glob("*.yaml")),
    *sorted((ROOT / "tests" / "workflow").glob("*.yaml")),
]


def with_model(path, **values) -> dict:
    """The demo's values with a model file at `path`, in the experiment `ground`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    demo = values_of()
    demo["experiments"]["ground"]["models"].append(str(path))
    return demo


def test_a_model_file_may_lie_anywhere_and_rest_on_a_shipped_one(tmp_path):
    values = with_model(tmp_path / "mine" / "net.yaml", base="resnet18_narrow", pretrained=False)
    config = parse_config(values)
    assert config.experiments["ground"].models[-1] == "net"
    model = load_models(config)["net"]
    assert model.architecture == "resnet"
    assert not model.pretrained
    # what the run writes down of its configuration can be run again
    assert load_models(parse_config(config.model_dump())) == load_models(config)
    check(values)


@pytest.mark.parametrize("name", ["resnet18", "resnet18_narrow_scratch"])
def test_a_model_file_elsewhere_with_the_name_of_a_shipped_one_is_refused(tmp_path, name):
    values = with_model(tmp_path / f"{name}.yaml", base="resnet18")
    with pytest.raises(ConfigError, match=r"\.yaml has the name of .*18\.yaml.*; rename the file"):
        check(values)


def test_two_model_files_of_one_name_are_refused(tmp_path):
    values = with_model(tmp_path / "a" / "net.yaml", base="resnet18")
    other = with_model(tmp_path / "b" / "net.yaml", base="resnet18")["experiments"]["ground"]
    values["experiments"]["again"] = other
    with pytest.raises(ConfigError, match=r"experiments\.again\.models: .*rename the file"):
        check(values)


def test_a_model_file_of_no_model_is_refused(tmp_path):
    values = values_of()
    values["experiments"]["ground"]["model_files"] = {"net": str(tmp_path / "net.yaml")}
    with pytest.raises(ConfigError, match="model_files: net not among the models"):
        check(values)


def test_a_model_file_that_is_not_there_is_named(tmp_path):
    values = values_of()
    values["experiments"]["ground"]["models"] = [str(tmp_path / "none.yaml")]
    with pytest.raises(ConfigError, match=r"none\.yaml: no such model"):
        check(values)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_shipped_configuration_is_accepted(path):
    check(values_of(path))


@pytest.mark.parametrize("name", model_names())
def test_every_shipped_model_is_accepted(name):
    assert load_model_config(ROOT / "config" / "models" / f"{name}.yaml").description


def test_an_unknown_key_is_refused():
    values = values_of() | {"grid": {}}
    with pytest.raises(ConfigError, match="grid: Extra inputs are not permitted"):
        parse_config(values)


def test_an_impossible_value_names_key_and_bound():
    values = values_of()
    values["training"]["learning_rate"] = -1
    with pytest.raises(ConfigError, match=r"training\.learning_rate.*greater than 0.*-1"):
        parse_config(values)


def test_a_reference_to_nothing_lists_what_there_is():
    values = values_of()
    values["experiments"]["ground"]["train"] = ["bologna"]
    with pytest.raises(ConfigError, match="'bologna' is not defined; known: bologna_ground"):
        check(values)


def test_a_data_set_must_be_made_on_the_grid_of_its_experiment():
    values = values_of()
    values["experiments"]["ground"]["train"] = ["castles"]
    with pytest.raises(ConfigError, match="castles is not made on grid ground"):
        check(values)


def test_pretraining_data_never_trains_a_classifier():
    values = values_of()
    values["experiments"]["ground"]["train"] = ["galaxiesml"]
    with pytest.raises(ConfigError, match="galaxiesml has role pretrain, expected labelled"):
        check(values)


def test_positives_need_negatives_of_the_same_telescope():
    values = values_of()
    values["experiments"]["space"]["train"] = ["castles"]
    with pytest.raises(ConfigError, match=r"experiments\.space\.train: castles holds lenses only"):
        check(values)


@pytest.mark.parametrize("name", ["smacs0723", "smacs0723m73", "SMACS J0723.3-7327"])
def test_a_scored_field_never_gives_training_samples(name):
    values = values_of()
    fields = values["datasets"]["relics"]["fields"]
    fields[name] = next(iter(fields.values()))
    with pytest.raises(ConfigError, match="must not give training samples"):
        check(values)


@pytest.mark.parametrize(("role", "label"), [("negatives", -1), ("labelled", -1), ("search", 1)])
def test_a_label_that_contradicts_the_role_is_refused(role, label):
    values = values_of()
    section = {"reader": "cutouts", "survey": "hsc", "grids": ["ground"], "bands": ["g"]}
    source = "obs:lens" if label == 1 else "unlabelled"
    values["datasets"]["own"] = section | {
        "images": ["*.fits"], "role": role, "label": label, "label_source": source
    }  # fmt: skip
    with pytest.raises(ConfigError, match=rf"datasets\.own\.label: {label}, but role {role}"):
        check(values)


def test_fractions_of_splits_leave_a_test_split():
    with pytest.raises(ConfigError, match=r"splits: .*leave nothing to test"):
        check(values_of() | {"splits": {"train": 0.9, "val": 0.15}})


@pytest.mark.parametrize("key", ["train", "seeds"])
def test_an_entry_of_an_experiment_listed_twice_is_refused(key):
    values = values_of()
    values["experiments"]["ground"][key] *= 2
    with pytest.raises(
        ConfigError, match=rf"experiments\.ground: .*{key}: an entry is listed twice"
    ):
        check(values)


def test_a_target_sharper_than_the_data_is_refused():
    values = values_of()
    values["grids"]["ground"] |= {"psf_fwhm_arcsec": 0.3, "unmatched": "error"}
    with pytest.raises(ConfigError, match=r"grids\.ground\.psf_fwhm_arcsec.*sharper than the PSF"):
        check(values)


def test_an_unknown_survey_is_refused():
    values = values_of()
    values["datasets"]["sdss"]["survey"] = "ztf"
    with pytest.raises(ConfigError, match=r"datasets\.sdss\.survey.*ztf"):
        check(values)


def test_a_missing_model_file_lists_the_others():
    with pytest.raises(ConfigError, match=r"no such model; config.models has .*resnet18"):
        load_model_config(ROOT / "config" / "models" / "alexnet.yaml")


def test_a_model_overrides_only_what_it_names():
    merged = merged_training({"epochs": 5, "batch_size": 8}, {"epochs": 2})
    assert (merged.epochs, merged.batch_size) == (2, 8)
    with pytest.raises(ConfigError, match="epoch"):
        merged_training({"epoch": 5})


def model_files(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


PARENT = """
architecture: pinn_lens
backbone: small
parameters: {backbone: {widths: [8, 8], depths: [1, 1]}, feedback: true}
loss_terms: {physics: {weight: 0.3}, shear: {weight: 0.01}}
training: {epochs: 3, learning_rate: 0.01}
"""


CHILD = "loss_terms: {shear: null}\ntraining: {epochs: 5}\n"


def test_a_model_takes_from_its_base_what_it_does_not_name(tmp_path):
    child = "base: parent\nparameters: {feedback: false, backbone: {depths: [2, 2]}}\n"
    folder = model_files(tmp_path, parent=PARENT, child=child + CHILD)
    found = load_model_config(folder / "child.yaml")
    shape = {"widths": [8, 8], "depths": [2, 2]}
    assert found.parameters == {"backbone": shape, "feedback": False}
    assert set(found.loss_terms) == {"physics"}
    assert found.training == {"epochs": 5, "learning_rate": 0.01}
    assert found.architecture == "pinn_lens"
    assert found.pretrained


VARIANTS = """
variants:
  small:
    parameters: {backbone: {widths: [4, 4]}}
    variants:
      without_fit: {parameters: {feedback: false}, loss_terms: {shear: null}}
"""


def test_a_variant_is_laid_over_what_it_stands_in_and_named_after_it(tmp_path):
    model_files(tmp_path, net=PARENT + VARIANTS, mine="base: net_small\nbackbone: own")
    whole, small, bare, mine = (
        load_model_config(tmp_path / f"{name}.yaml")
        for name in ("net", "net_small", "net_small_without_fit", "mine")
    )
    assert whole.parameters["backbone"] == {"widths": [8, 8], "depths": [1, 1]}
    assert small.parameters["backbone"] == {"widths": [4, 4], "depths": [1, 1]}
    assert bare.parameters == {**small.parameters, "feedback": False}
    assert (set(small.loss_terms), set(bare.loss_terms)) == ({"physics", "shear"}, {"physics"})
    assert (mine.parameters, mine.backbone) == (small.parameters, "own")
    # a change of one variant is none of the others
    assert whole.variants == small.variants == mine.variants == {}
    with pytest.raises(ConfigError, match=r"net_large\.yaml: no such model"):
        load_model_config(tmp_path / "net_large.yaml")


def test_a_fault_in_a_variant_is_told_with_its_file_and_name(tmp_path):
    faulty = VARIANTS.replace("widths", "width")
    model_files(tmp_path, net=PARENT + faulty)
    place = r"net\.yaml: variant small: parameters\.backbone\.width: .* takes widths, depths"
    with pytest.raises(ConfigError, match=place):
        load_model_config(tmp_path / "net_small.yaml")
    model_files(tmp_path, net=PARENT + VARIANTS.replace("small:", "small:\n    depth: 3"))
    with pytest.raises(ConfigError, match=r"net\.yaml: variant small: depth: Extra inputs"):
        load_model_config(tmp_path / "net_small.yaml")
    model_files(tmp_path, net=PARENT + VARIANTS.replace("small:", "small:\n    base: other"))
    with pytest.raises(ConfigError, match=r"net\.yaml: variants: net_small has a base"):
        load_model_config(tmp_path / "net_small.yaml")


def test_a_model_that_is_a_file_and_a_variant_is_refused(tmp_path):
    model_files(tmp_path, net=PARENT + VARIANTS, net_small=PARENT)
    with pytest.raises(ConfigError, match=r"net_small stands in .*net\.yaml and .*net_small\.yaml"):
        load_model_config(tmp_path / "net_small.yaml")


def test_a_base_that_is_missing_or_its_own_is_refused(tmp_path):
    folder = model_files(tmp_path, lost="base: nobody", a="base: b", b="base: a")
    with pytest.raises(ConfigError, match=r"nobody.yaml, the base of lost: no such model"):
        load_model_config(folder / "lost.yaml")
    with pytest.raises(ConfigError, match=r"a -> b -> a goes in a circle"):
        load_model_config(folder / "a.yaml")


def test_an_unknown_parameter_of_a_model_is_refused_with_its_file_before_any_job(tmp_path):
    model_files(tmp_path, net=PARENT.replace("feedback", "fedback"))
    with pytest.raises(ConfigError, match=r"net\.yaml: parameters\.fedback: .* takes .*feedback,"):
        load_model_config(tmp_path / "net.yaml")


def test_only_models_of_the_experiment_are_fused():
    values = values_of()
    values["experiments"]["ground"]["members"] = ["resnet18_narrow", "alexnet"]
    with pytest.raises(ConfigError, match=r"members: alexnet not among the models"):
        parse_config(values)
