"""A backbone is refused where it was made for something else, with the key and the remedy."""

from dataclasses import replace

import pytest
import torch
from small_models import SMALL, conditioned, small

from lenshunt.config import ModelConfig
from lenshunt.models import (
    REGISTRY,
    architecture_of,
    backbone_parameters,
    backbone_state,
    build_model,
)
from lenshunt.training.checkpoint import load_checkpoint, save_checkpoint
from lenshunt.training.pretrained import start_from

PSF = {"psf_fwhm_arcsec": 0.8, "psf_moffat_beta": 3.0}


def saved(path, model: ModelConfig, normalisation=None, **changes) -> str:
    """The checkpoint of a pretrained backbone."""
    normalisation = normalisation or conditioned(**PSF)
    torch.manual_seed(7)
    network = build_model(model, normalisation, ["redshift"])
    fields = {
        "kind": "backbone",
        "name": model.backbone,
        "seed": 0,
        "model": model.model_dump(),
        "training": {},
        "online": None,
        "contrastive": None,
        "normalisation": normalisation.to_dict(),
        "class_prior": {},
        "data_sha256": "",
        "epoch": 0,
        "score": 0.0,
        "state": backbone_state(network),
        **changes,
    }
    save_checkpoint(path, **fields)
    return str(path)


def start(path: str, model: ModelConfig, normalisation=None) -> torch.nn.Module:
    normalisation = normalisation or conditioned(**PSF)
    network = build_model(model, normalisation)
    start_from(network, model, normalisation, path)
    return network


@pytest.mark.parametrize("architecture", sorted(REGISTRY))
def test_what_fits_is_loaded(architecture, tmp_path):
    path = saved(tmp_path / "b.ckpt", small(architecture))
    network = start(path, small(architecture))
    state = load_checkpoint(path, "backbone")["state"]
    assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)


def test_a_family_is_shared_whatever_is_done_with_the_features(tmp_path):
    path = saved(tmp_path / "b.ckpt", small("resnet"))
    for model in (small("film_resnet"), small("pinn_lens"), small("resnet", dropout=0.3)):
        start(path, model)


def test_other_statistics_of_a_training_set_are_no_mismatch(tmp_path):
    path = saved(tmp_path / "b.ckpt", small("resnet"))
    ours = replace(conditioned(**PSF), band_sigma_njy=(9.0,) * 5, conditions_hidden=("log_snr",))
    assert start(path, small("resnet"), ours).input.band_sigma[0] == 9.0


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"bands": ("r", "g", "i", "z", "y")}, r"normalisation\.bands is .*pretrain this"),
        ({"bands": ("g", "r"), "band_sigma_njy": (1.0, 1.0)}, r"bands is \('g', 'r'\)"),
        ({"pixel_scale_arcsec": 0.2}, r"pixel_scale_arcsec is 0\.2, the model wants .*`grid`"),
        ({"psf_fwhm_arcsec": 0.9}, r"psf_fwhm_arcsec is 0\.9, the model wants 0\.8; .*`grid`"),
        ({"psf_fwhm_arcsec": 0.0}, r"psf_fwhm_arcsec is 0, the model wants 0\.8"),
        ({"psf_moffat_beta": 2.5}, r"psf_moffat_beta is 2\.5, the model wants 3"),
        ({"softening": 3.0}, r"normalisation\.softening is 3\.0, the model wants 4\.0"),
    ],
)  # fmt: skip
def test_another_input_is_refused(changes, told, tmp_path):
    theirs = replace(conditioned(**PSF), **changes)
    path = saved(tmp_path / "b.ckpt", small("resnet"), theirs)
    with pytest.raises(ValueError, match=rf"b\.ckpt: .*{told}"):
        start(path, small("resnet"))


def test_another_size_is_refused_where_weights_depend_on_it(tmp_path):
    theirs = replace(conditioned(**PSF), size_px=64)
    for architecture in ("vit", "bayesian_ensemble"):
        path = saved(tmp_path / "b.ckpt", small(architecture), theirs)
        with pytest.raises(ValueError, match=r"b\.ckpt: normalisation\.size_px.*position.* is 64"):
            start(path, small(architecture))
    for architecture in ("resnet", "enhanced_vit", "equivariant_resnet"):
        start(saved(tmp_path / "c.ckpt", small(architecture), theirs), small(architecture))


def test_other_residual_channels_are_refused(tmp_path):
    model = small("resnet")
    path = saved(tmp_path / "b.ckpt", model.model_copy(update={"residual_channels": False}))
    with pytest.raises(
        ValueError, match=r"b\.ckpt: model\.residual_channels is False, .* True; .*`backbone`"
    ):
        start(path, model)


@pytest.mark.parametrize(
    "architecture, changes",
    [
        ("resnet", {"backbone": {"widths": [8, 16, 16, 32]}}),
        ("resnet", {"backbone": {"depths": [1, 1, 1, 2]}}),
        # of these no weight tells by its shape
        ("resnet", {"backbone": {"stem_stride": 1}}),
        ("resnet", {"backbone": {"stem_pool": False}}),
        ("vit", {"backbone": {"heads": 3}}),
        ("enhanced_vit", {"arc_width": 16}),
        ("equivariant_resnet", {"backbone": {"stem_pool": False}}),
        ("bayesian_ensemble", {"vit": {"heads": 4}}),
    ],
)
def test_other_parameters_of_the_backbone_are_refused(architecture, changes, tmp_path):
    path = saved(tmp_path / "b.ckpt", small(architecture, **changes))
    ((group, value),) = changes.items()
    key = rf"{group}\.{next(iter(value))}" if isinstance(value, dict) else group
    with pytest.raises(ValueError, match=rf"b\.ckpt: model\.parameters\.{key} is .*`backbone`"):
        start(path, small(architecture))


def test_another_architecture_is_refused(tmp_path):
    path = saved(tmp_path / "b.ckpt", small("resnet"))
    with pytest.raises(ValueError, match=r"b\.ckpt: model\.architecture is resnet, .* vit; "):
        start(path, small("vit"))


def test_another_version_is_refused(tmp_path):
    kept = conditioned(**PSF).to_dict()
    del kept["psf_moffat_beta"]
    content = torch.load(saved(tmp_path / "b.ckpt", small("resnet")), weights_only=True)
    path = str(tmp_path / "b.ckpt")
    torch.save({**content, "normalisation": kept}, path)
    with pytest.raises(ValueError, match=r"b\.ckpt: normalisation .*psf_moffat_beta.*again"):
        start(path, small("resnet"))
    gone = {**small("resnet").model_dump(), "architecture": "alexnet"}
    path = str(tmp_path / "c.ckpt")
    torch.save({**content, "model": gone}, path)
    with pytest.raises(ValueError, match=r"c\.ckpt: model is not one .*again"):
        start(path, small("resnet"))


def test_a_checkpoint_of_another_schema_or_without_a_field_is_refused(tmp_path):
    path = saved(tmp_path / "b.ckpt", small("resnet"))
    content = torch.load(path, weights_only=True)
    torch.save({**content, "schema": "lenshunt-checkpoint-0"}, path)
    with pytest.raises(ValueError, match=r"b\.ckpt: checkpoint schema lenshunt-checkpoint-0"):
        start(path, small("resnet"))
    del content["normalisation"]
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"b\.ckpt: .*lacks normalisation"):
        start(path, small("resnet"))


def test_parameters_that_change_the_backbone_are_known_for_every_architecture():
    assert set(REGISTRY) == set(SMALL)
    for name in REGISTRY:
        found = backbone_parameters(small(name))
        groups = {key.split(".")[0] for key in found}
        assert groups == set(architecture_of(name).backbone_arguments)
        assert len(found) > len(groups)
