"""The probe: its count of saved bytes, its estimate against real training steps, its choice."""

import json
import math

import pytest
import torch
from small_models import small
from torch import nn
from torch.profiler import ProfilerActivity, profile
from training_toy import toy_table

from lenshunt.config import Grid, ModelConfig, TrainingConfig, load_model_config, merged_training
from lenshunt.core import ROOT
from lenshunt.models import build_model
from lenshunt.training.augment import augment
from lenshunt.training.classification import Classification
from lenshunt.training.loading import batch_within
from lenshunt.training.probe import (
    BACKWARD_FACTOR,
    ForwardMemory,
    counting_saved_bytes,
    example_batch,
    example_normalisation,
    forward_bytes,
    forward_memory,
    largest_batch,
    probe,
    static_bytes,
    with_probed_batch,
)
from lenshunt.training.terms import sample_losses

GRID = Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.168, size_px=64)
AUTO = TrainingConfig(batch_size="auto", effective_batch=96, batch_size_cpu=40)
#: Narrow models whose steps are profiled: one of each kind of memory.
PROFILED = [
    "resnet18_narrow",
    "vit_small",
    "equivariant_resnet_narrow",
    "pinn_lens_narrow",
    "gat_lens_narrow",
]


def model_file(name: str) -> ModelConfig:
    return load_model_config(ROOT / "config" / "models" / f"{name}.yaml")


def built(config: ModelConfig) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(config, example_normalisation(GRID))
    return model.to(memory_format=torch.channels_last)


def profiled_peak(config: ModelConfig, training: TrainingConfig, samples: int) -> int:
    """Most bytes that torch's profiler sees allocated in one training step, weights included."""
    model = built(config).train()
    averaged = [p.detach().clone() for p in model.state_dict().values()]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    task = Classification(toy_table([0, 1]))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch = augment(example_batch(samples, GRID, 8), training, GRID.pixel_scale_arcsec)
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16"):
            losses = sample_losses(model, task.losses, batch, config.loss_terms, 30.0)
        losses.mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()

    step()  # makes the optimizer's moments
    optimizer.zero_grad(set_to_none=True)
    there = [*model.state_dict().values(), *averaged]
    there += [value for state in optimizer.state.values() for value in state.values()]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak + sum(value.nbytes for value in there)


def test_a_layer_saves_its_input_and_its_output_once():
    layer, image = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), torch.randn(10, 8)
    with counting_saved_bytes([*layer.parameters(), image]) as saved:
        loss = layer(image).square().sum()
    # Of the ReLU its output, which the second layer saves as well, and the squared values.
    assert saved.total == 4 * 10 * (16 + 4)
    loss.backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_views_of_one_storage_count_once():
    x = torch.randn(100, requires_grad=True)
    with counting_saved_bytes([]) as saved:
        y = x * 2
        total = (y[:50].square().sum() + y[50:].square().sum()).exp()
    assert saved.total == 4 * 100 + total.nbytes


def test_counting_changes_no_gradient():
    model = built(small("resnet")).eval()
    batch = example_batch(3, GRID, 4)
    task = Classification(toy_table([0, 1]))
    found = []
    for count in (False, True):
        model.zero_grad()
        if count:
            with counting_saved_bytes([]):
                losses = sample_losses(model, task.losses, batch, {}, 0.0)
        else:
            losses = sample_losses(model, task.losses, batch, {}, 0.0)
        losses.mean().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", PROFILED)
def test_memory_is_linear_in_the_number_of_samples(name):
    config, training = model_file(name), TrainingConfig(precision="32")
    model = built(config)
    memory = forward_memory(model, config.loss_terms, training, GRID, 8, samples=(2, 4))
    batch = example_batch(12, GRID, 8)
    found = forward_bytes(model, config.loss_terms, training, batch, GRID.pixel_scale_arcsec)
    # Edges of a graph depend on where the segments lie.
    tolerance = 0.05 if name == "gat_lens_narrow" else 0.002
    assert found == pytest.approx(memory.constant + 12 * memory.per_sample, rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("name", PROFILED)
def test_a_real_training_step_stays_within_the_estimate(name, precision):
    config = model_file(name)
    training = merged_training({"precision": precision}, config.training)
    model = built(config)
    memory = forward_memory(model, config.loss_terms, training, GRID, 8, samples=(2, 4))
    static = static_bytes(model)
    for samples in (8, 24):
        peak = profiled_peak(config, training, samples)
        assert peak < memory.step_bytes(samples, static)
        # Nor is the estimate so safe as to waste most of a GPU.
        assert peak > 0.4 * memory.step_bytes(samples, static)


def test_what_is_there_at_all_times_is_counted_by_hand():
    model = nn.Sequential(nn.Linear(10, 10), nn.BatchNorm1d(10))
    model[0].bias.requires_grad_(False)
    weights, frozen, buffers = 4 * (100 + 20), 4 * 10, 4 * 20 + 8
    # Weights twice (averaged copy), gradients and two moments of those that are trained.
    assert static_bytes(model) == 2 * (weights + frozen + buffers) + 3 * weights
    assert static_bytes(model, devices=2) - static_bytes(model) == weights


@pytest.mark.parametrize(
    "effective, largest, batch", [(128, 1000, 128), (128, 100, 64), (96, 40, 32), (1, 6, 1)]
)
def test_accumulated_batches_are_the_effective_batch_exactly(effective, largest, batch):
    assert batch_within(effective, largest) == batch
    assert effective % batch == 0
    with pytest.raises(ValueError, match="equal batches of 2 to 6; take a power of two"):
        batch_within(7, 6)


def test_the_largest_batch_fits_and_one_more_does_not():
    memory, static = ForwardMemory(constant=3e8, per_sample=5e7), 10**9
    count = largest_batch(memory, static, 24e9, "here")
    assert memory.step_bytes(count, static) <= 24e9 < memory.step_bytes(count + 1, static)
    assert count == math.floor(((24e9 - 1e9) / BACKWARD_FACTOR - 3e8) / 5e7)
    with pytest.raises(ValueError, match=r"vit at 224 px on T4: a batch of 2 takes about 1\.7 GB"):
        largest_batch(memory, static, 1.1e9, "vit at 224 px on T4")


def test_without_a_gpu_the_configured_batch_is_written_and_the_fact_is(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "probe" / "small.json"
    grids = {"a": GRID, "b": GRID.model_copy(update={"size_px": 32})}
    options = {"name": "small", "model": small("vit"), "training": AUTO, "segments": 4}
    probe(**options, grids=grids, out=str(out))
    first = out.read_bytes()
    content = json.loads(first)
    assert content["device"] == "cpu"
    assert content["device_bytes"] is None
    assert "no GPU" in content["measured"]
    assert content["backward_factor"] == BACKWARD_FACTOR
    wide, narrow = content["grids"]["a"], content["grids"]["b"]
    # 96 samples in batches of at most 40.
    assert (wide["batch_size"], wide["accumulate_batches"]) == (32, 3)
    assert wide["per_sample_bytes"] > 3.5 * narrow["per_sample_bytes"]
    probe(**options, grids=grids, out=str(out))
    assert out.read_bytes() == first
    assert [p.name for p in out.parent.iterdir()] == ["small.json"]


def test_a_training_takes_the_batch_of_its_grid_for_its_own_effective_batch(tmp_path):
    path = tmp_path / "m.json"
    grids = {"a": {"largest_batch": 50}, "b": {"largest_batch": 7}}
    path.write_text(json.dumps({"precision": "bf16", "grids": grids}))
    found = with_probed_batch(AUTO, str(path), "a")
    assert (found.samples_per_batch, found.accumulate_batches) == (48, 2)
    found = with_probed_batch(AUTO, str(path), "a", views=2)
    assert (found.samples_per_batch, found.accumulate_batches) == (24, 4)
    two = AUTO.model_copy(update={"devices": 2})
    found = with_probed_batch(two, str(path), "b")
    assert (found.samples_per_batch, found.accumulate_batches) == (6, 8)
    assert with_probed_batch(TrainingConfig(), None, "a") == TrainingConfig()
    full = AUTO.model_copy(update={"precision": "32"})
    with pytest.raises(ValueError, match="probed in precision bf16, trained in 32"):
        with_probed_batch(full, str(path), "a")


def test_a_batch_size_that_nobody_probed_is_an_error():
    with pytest.raises(ValueError, match="batch_size is auto"):
        _ = AUTO.samples_per_batch
    assert TrainingConfig(batch_size=7).samples_per_batch == 7


def test_an_effective_batch_has_one_source():
    with pytest.raises(ValueError, match="set effective_batch instead"):
        TrainingConfig(batch_size="auto", accumulate_batches=2)
    with pytest.raises(ValueError, match="not a multiple of the 3 devices"):
        TrainingConfig(batch_size="auto", effective_batch=128, devices=3)
    with pytest.raises(ValueError, match="batch_size"):
        TrainingConfig(batch_size="automatic")


def test_a_gpu_is_measured_by_its_own_counters(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    out = tmp_path / "gpu.json"
    config = model_file("resnet18")
    grids = {"a": GRID}
    probe(name="m", model=config, training=AUTO, grids=grids, segments=4, out=str(out))
    content = json.loads(out.read_text())
    entry = content["grids"]["a"]
    assert content["device_bytes"] > 0
    assert entry["largest_batch"] >= entry["batch_size"] >= 2
    # The counters see what the hooks count, and workspaces and temporary values beside.
    on_cpu = forward_memory(built(config), {}, AUTO, GRID, 4)
    assert entry["per_sample_bytes"] > 0.8 * on_cpu.per_sample


def test_the_probe_is_no_part_of_a_running_training():
    text = (ROOT / "workflow" / "lenshunt" / "training" / "probe.py").read_text()
    assert "lightning" not in text
    callers = [
        path.name
        for path in (ROOT / "workflow" / "lenshunt" / "training").glob("*.py")
        if "training.probe" in path.read_text()
    ]
    assert callers == []
