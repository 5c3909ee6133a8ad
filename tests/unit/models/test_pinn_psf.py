"""`pinn_lens` and images that keep a PSF of their own: no fit, no training on them alone."""

import pytest
import torch
import yaml
from pinn_samples import lenses, pinn

from lenshunt.config import ConfigError, check_config, load_model_config, parse_config
from lenshunt.core import ROOT
from lenshunt.models import REGISTRY, architecture_of


def test_an_image_that_keeps_its_own_psf_is_not_fitted_with_another():
    model, batch = pinn().eval(), lenses(4)[1]
    matched = torch.tensor([True, False, True, True])
    names = ("physics", "lens_equation", "simulated")
    whole, found = model(batch), model({**batch, "psf_matched": matched})
    assert model.failures.failed == 0
    assert found.auxiliary["chi2_gain"].isnan().tolist() == (~matched).tolist()
    torch.testing.assert_close(found.features[1, -32:], model.feedback.no_fit)
    torch.testing.assert_close(found.logit[matched], whole.logit[matched])
    terms, before = (model.loss_terms(one, batch, names) for one in (found, whole))
    assert terms["physics"][1] == terms["lens_equation"][1] == 0
    torch.testing.assert_close(terms["physics"].mean(), before["physics"][matched].mean())
    # the Einstein radius of a simulated lens is what it is, whatever it is seen through
    assert torch.equal(terms["simulated"], before["simulated"])


def test_networks_that_render_images_are_those_that_are_held_to_them():
    for architecture in map(architecture_of, REGISTRY):
        assert architecture.renders == ("physics" in architecture.terms)


def test_a_training_set_that_keeps_its_own_psf_altogether_is_refused_for_them():
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    values["segments"] = {"enabled": True}
    ground = values["experiments"]["ground"]
    ground |= {"models": ["pinn_lens_narrow"], "train": ["sdss"], "pretraining": None}
    models = {"pinn_lens_narrow": load_model_config(ROOT / "config/models/pinn_lens_narrow.yaml")}
    with pytest.raises(ConfigError, match=r"experiments\.ground\.models: pinn_lens_narrow .*sdss"):
        check_config(parse_config(values), models)
    # beside images that are matched, they may stay
    ground["train"] = ["bologna_ground", "sdss"]
    check_config(parse_config(values), models)
