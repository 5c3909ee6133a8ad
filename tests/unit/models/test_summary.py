"""The list of models: sizes that agree with the models, inputs, costs, a reference for each."""

import re

import pytest
import torch
from small_models import SMALL, small
from torch import nn

from lenshunt.__main__ import main
from lenshunt.config import Grid, ModelConfig, load_model_config, model_names
from lenshunt.core import ROOT
from lenshunt.models import REGISTRY, architecture_of, build_model, count_parameters
from lenshunt.models.summary import forward_gflop, inputs_of, summarise
from lenshunt.training.probe import example_batch, example_normalisation

GRID = Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.168, size_px=64)


def summary_of(config: ModelConfig):
    return summarise("m", config, example_normalisation(GRID), example_batch(1, GRID, 4))


def test_every_architecture_has_a_reference_with_a_year():
    for name in REGISTRY:
        assert re.search(r"\b(19|20)\d\d\b", architecture_of(name).reference), name


@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_a_summary_counts_what_the_model_has(architecture):
    state = torch.get_rng_state()
    found = summary_of(small(architecture))
    assert torch.equal(torch.get_rng_state(), state)
    model = build_model(small(architecture), example_normalisation(GRID))
    assert found.parameters == count_parameters(model)
    assert ("segments" in found.reads) == model.needs_segments
    assert ("conditions" in found.reads) == model.needs_conditions
    assert found.gflop > 0


def test_the_cost_is_that_of_the_products_done_by_hand():
    # A product of 1 x 5 and 5 x 7 takes 5 x 7 multiplications and as many additions.
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 7, bias=False)

        def forward(self, batch):
            return self.layer(batch["image"])

    assert forward_gflop(Layer(), {"image": torch.ones(1, 5)}) == pytest.approx(2 * 5 * 7 / 1e9)


def test_resnet18_costs_what_is_published():
    config = load_model_config(ROOT / "config" / "models" / "resnet18.yaml")
    wide = GRID.model_copy(update={"size_px": 224})
    found = summarise("m", config, example_normalisation(wide), example_batch(1, wide, 4))
    # He et al. 2016, table 1: 1.8e9 multiply-adds with 3 channels; 19 of them cost 0.63e9 more.
    assert found.gflop / 2 == pytest.approx(1.8 + 0.63, rel=0.03)


def test_attacks_and_loss_terms_are_told():
    robust = load_model_config(ROOT / "config" / "models" / "robust_resnet_narrow.yaml")
    assert "Madry et al. 2018" in summary_of(robust).reference
    pinn = load_model_config(ROOT / "config" / "models" / "pinn_lens_narrow.yaml")
    assert f"physics {pinn.loss_terms['physics'].weight:g}" in summary_of(pinn).terms
    assert inputs_of(pinn.model_copy(update={"residual_channels": False})) == ("image",)


@pytest.mark.slow
def test_the_command_lists_every_model(capsys):
    main(["models", "--size-px", "32"])
    printed = capsys.readouterr().out
    for name in model_names():
        line = re.search(rf"^{name} .*$", printed, re.MULTILINE)
        assert line, name
        assert re.search(r"\d+\.\d\d M +\d+\.\d\d  image", line.group())
    assert "He et al. 2016" in printed
