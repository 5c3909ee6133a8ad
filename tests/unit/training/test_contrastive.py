"""Contrastive pretraining: the loss, the views, what is learned, and a resumed training."""

import math

import numpy as np
import pytest
import torch
from small_models import SMALL, conditioned, small, toy_batch
from training_toy import MemoryLoader, toy_images, toy_table

from lenshunt.config import Contrastive, TrainingConfig
from lenshunt.training.contrastive import (
    ContrastiveNetwork,
    both_views,
    extinction_per_reddening,
    nt_xent,
    second_view,
)
from lenshunt.training.pretrain import built
from lenshunt.training.representation import (
    alignment,
    on_sphere,
    representation_report,
    retrieval_top1,
    uniformity,
)

STRONG = Contrastive(projection=16, temperature=0.2)
BANDS = ("g", "r", "i", "z", "y")


def plain_nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
    """Eq. 1 of Chen et al. 2020, one pair of views at a time."""
    views = [*first, *second]
    count = len(first)
    losses = np.zeros(count)
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        weights = {
            k: math.exp(
                float(views[i] @ views[k])
                / (np.linalg.norm(views[i]) * np.linalg.norm(views[k]))
                / temperature
            )
            for k in range(2 * count)
            if k != i
        }
        losses[i % count] -= 0.5 * math.log(weights[partner] / sum(weights.values()))
    return losses


def random_views(count: int = 7, width: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    first = torch.randn(count, width, generator=generator)
    return first, first + 0.5 * torch.randn(count, width, generator=generator)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_nt_xent_is_that_of_the_paper(temperature):
    first, second = random_views()
    expected = plain_nt_xent(first.double().numpy(), second.double().numpy(), temperature)
    np.testing.assert_allclose(nt_xent(first, second, temperature), expected, rtol=2e-5, atol=1e-6)


def test_nt_xent_knows_no_order_no_length_and_no_first_view():
    first, second = random_views()
    loss = nt_xent(first, second, 0.2)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(nt_xent(first[order], second[order], 0.2), loss[order])
    torch.testing.assert_close(nt_xent(second, first, 0.2), loss)
    torch.testing.assert_close(nt_xent(3.0 * first, 0.1 * second, 0.2), loss)


def test_limits_of_nt_xent():
    apart = torch.eye(6)
    # Views alike, objects at right angles: ln(1 + 2 (b - 1) exp(-1 / t)).
    expected = math.log(1 + 10 * math.exp(-1 / 0.2))
    torch.testing.assert_close(nt_xent(apart, apart, 0.2), torch.full((6,), expected))
    # All the same: no better than a guess among 2 b - 1 views.
    same = torch.ones(6, 4)
    torch.testing.assert_close(nt_xent(same, same, 0.2), torch.full((6,), math.log(11)))
    # No negatives.
    assert nt_xent(same[:1], same[:1], 0.2).tolist() == [0.0]
    # Of another object is worse than of none.
    assert nt_xent(apart, apart.roll(1, 0), 0.2).min() > math.log(11)


def test_nt_xent_is_exact_under_autocast():
    first, second = random_views(32, 24)
    exact = nt_xent(first, second, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(first, second, 0.1)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)


def masked_batch(count: int = 4) -> dict[str, torch.Tensor]:
    """Toy galaxies without band y and with a bad pixel."""
    batch = MemoryLoader(
        toy_table(np.full(count, -1)), toy_images(np.full(count, -1)), count
    ).batch(np.arange(count))
    return {**batch, "metadata": torch.full((count, 17), torch.nan)}


def test_two_views_differ_and_keep_what_is_absent():
    torch.manual_seed(0)
    batch, extinction = masked_batch(), extinction_per_reddening(BANDS)
    views = [second_view(batch, TrainingConfig(), STRONG, 0.168, extinction) for _ in range(2)]
    assert not torch.allclose(views[0]["image"], views[1]["image"], atol=0.5)
    for view in views:
        assert torch.isinf(view["variance"][:, 4]).all()
        assert (view["image"][:, 4] == 0).all()
        assert torch.isfinite(view["image"]).all()
        assert torch.equal(view["row"], batch["row"])
    assert both_views(*views)["image"].shape[0] == 8


def test_the_dust_has_the_colour_that_the_hyper_suprime_cam_sees():
    # A / E(B-V) of HSC g r i z y in config/extinctionCoeffs.py of lsst/obs_subaru, in which E(B-V)
    # is that of a map: another scale, but ratios of bands are those of dust.
    expected = np.array([3.240, 2.276, 1.633, 1.263, 1.075])
    found = extinction_per_reddening(BANDS).numpy()
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=0.08)
    assert 3.1 < found[0] < 4.1  # g is bluer than V, and A(B) = 4.1 E(B-V)


def test_noise_of_the_second_view_is_what_its_variance_says():
    torch.manual_seed(3)
    sky = {
        "image": 2.0 * torch.randn(16, 5, 32, 32),
        "variance": torch.full((16, 5, 32, 32), 4.0),
        "band_flags": torch.ones(16, 5),
    }
    dust = Contrastive(reddening_max=2.0, noise=0.8, shift_px=0.0)
    # No turn by other than multiples of 90 degrees keeps every pixel's noise as it is.
    training = TrainingConfig(shift_px=0.0)
    seen = second_view(sky, training, dust, 0.168, extinction_per_reddening(BANDS))
    ratio = seen["image"].square() / seen["variance"]
    whole = torch.isfinite(seen["variance"]).flatten(1).all(dim=1)
    assert whole.sum() >= 4
    assert ratio[whole].mean() == pytest.approx(1.0, abs=0.03)


def test_noise_of_wide_sums_in_the_second_view_is_what_its_noise_corr_says():
    torch.manual_seed(3)
    # Pixels in blocks of four by four share their noise: 16 of them count as one.
    blocks = torch.randn(400, 5, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    sky = {
        "image": 2.0 * blocks,
        "variance": torch.full((400, 5, 32, 32), 4.0),
        "band_flags": torch.ones(400, 5),
        "noise_corr": torch.full((400, 5), 16.0),
    }
    dust = Contrastive(reddening_max=0.3, noise=0.8, shift_px=0.0)
    training = TrainingConfig(shift_px=0.0)
    seen = second_view(sky, training, dust, 0.168, extinction_per_reddening(BANDS))
    whole = torch.isfinite(seen["variance"]).flatten(1).all(dim=1)
    found, corr = seen["image"][whole], seen["noise_corr"][whole]
    predicted = seen["variance"][whole].sum(dim=(2, 3)) * corr
    assert whole.sum() >= 100
    assert (found.sum(dim=(2, 3)).square() / predicted).mean() == pytest.approx(1.0, abs=0.12)
    assert corr.max() < 16.0
    assert corr.mean() < 12.0


def test_dust_dims_blue_bands_most():
    torch.manual_seed(5)
    batch = {
        "image": torch.full((8, 5, 32, 32), 100.0),
        "variance": torch.full((8, 5, 32, 32), 1e-6),
        "band_flags": torch.ones(8, 5),
    }
    dust = Contrastive(reddening_max=0.5, noise=0.0, shift_px=0.0)
    seen = second_view(batch, TrainingConfig(), dust, 0.168, extinction_per_reddening(BANDS))
    centre = seen["image"][:, :, 16, 16]
    assert (centre.diff(dim=1) > 0).all()
    assert (centre < 100.0).all()
    magnitudes = -2.5 * torch.log10(centre / 100.0)
    torch.testing.assert_close(
        magnitudes / magnitudes[:, :1],
        (extinction_per_reddening(BANDS) / extinction_per_reddening(BANDS)[0]).expand(8, 5),
        atol=1e-3,
        rtol=1e-3,
    )


@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_the_contrastive_gradient_reaches_the_backbone_of_every_family(architecture):
    torch.manual_seed(1)
    network = built(small(architecture), conditioned(), STRONG)
    assert isinstance(network, ContrastiveNetwork)
    batch = toy_batch(4)
    del batch["segments"]
    batch["band_flags"][:, 2] = 0
    batch["metadata"] = torch.full_like(batch["metadata"], torch.nan)
    second = second_view(batch, TrainingConfig(), STRONG, 0.168, extinction_per_reddening(BANDS))
    found = network(both_views(batch, second)).internals["projection"]
    assert found.shape == (8, 16)
    nt_xent(*found.chunk(2), 0.2).mean().backward()
    for part in ("backbone.", "projection."):
        still = [
            name
            for name, p in network.named_parameters()
            if part in name
            and (p.grad is None or not p.grad.any())
            and not name.endswith(("k_proj.bias", "bias"))
            and "arc_bias" not in name
        ]
        assert still == []
    assert all(not p.requires_grad for n, p in network.named_parameters() if "heads.logit" in n)


def test_two_bands_are_enough():
    torch.manual_seed(1)
    normalisation = conditioned(band_sigma_njy=(1.0, 2.0), bands=("r", "i"))
    network = built(small("resnet"), normalisation, STRONG)
    batch = toy_batch(4)
    batch.update({k: batch[k][:, :2] for k in ("image", "variance", "band_flags")})
    second = second_view(
        batch, TrainingConfig(), STRONG, 0.168, extinction_per_reddening(normalisation.bands)
    )
    found = network(both_views(batch, second)).internals["projection"]
    assert torch.isfinite(nt_xent(*found.chunk(2), 0.2)).all()


def test_numbers_of_a_perfect_and_of_a_collapsed_representation():
    rng = np.random.default_rng(0)
    sphere = on_sphere(rng.normal(size=(1500, 3)))
    perfect = representation_report(sphere, 5.0 * sphere)
    assert perfect["retrieval_top1"] == 1.0
    assert perfect["alignment"] == pytest.approx(0.0, abs=1e-6)
    # Uniform on the 2-sphere: ln of the mean of exp(-4 (1 - x)) over x in [-1, 1].
    assert perfect["uniformity"] == pytest.approx(math.log((1 - math.exp(-8)) / 8), abs=0.02)
    collapsed = representation_report(np.ones((1500, 3)), np.ones((1500, 3)))
    assert collapsed["retrieval_top1"] == 0.0
    assert collapsed["uniformity"] == pytest.approx(0.0, abs=1e-5)
    assert alignment(sphere, -sphere) == pytest.approx(4.0, abs=1e-5)
    assert representation_report(sphere[:1], sphere[:1])["retrieval_top1"] is None


def test_retrieval_and_uniformity_do_not_depend_on_the_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    first = on_sphere(rng.normal(size=(50, 4)))
    second = on_sphere(first + 0.4 * rng.normal(size=(50, 4)))
    whole = retrieval_top1(first, second), uniformity(first)
    distances = np.square(first[:, None] - first[None]).sum(axis=2)[~np.eye(50, dtype=bool)]
    assert whole[1] == pytest.approx(np.log(np.exp(-2 * distances).mean()), abs=1e-5)
    nearest = (first @ second.T).argmax(axis=1)
    assert whole[0] == (nearest == np.arange(50)).mean()
    monkeypatch.setattr("lenshunt.training.representation.ROWS", 7)
    assert (retrieval_top1(first, second), uniformity(first)) == pytest.approx(whole)
