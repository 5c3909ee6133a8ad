"""The variance of a logit far from the training set: a Gaussian process, checked against a peer."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from lenshunt.models.feature_posterior import PLACES, FeaturePosterior

FEATURES = 6


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def fitted(features: np.ndarray, probability: np.ndarray, **options: float) -> FeaturePosterior:
    posterior = FeaturePosterior(features.shape[1], **options)
    posterior.fit(torch.tensor(features).float(), torch.tensor(probability))
    return posterior


def test_variance_is_that_of_scikit_learns_gaussian_process(rng):
    # anything but standardised
    features = rng.normal(3.0, (1, 2, 0.5, 10, 1, 1), (200, FEATURES))
    probability = rng.uniform(0.01, 0.99, 200)
    asked = np.concatenate([features[:20] + 0.1, rng.normal(0, 20, (20, FEATURES))])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    peer = GaussianProcessRegressor(
        ConstantKernel(9.0, "fixed") * RBF(0.7 * FEATURES**0.5, "fixed"),
        # the noise of an observation of curvature p (1 - p)
        alpha=1 / (probability * (1 - probability)),
    ).fit(standard, np.zeros(200))
    place = (asked - features.mean(axis=0)) / features.std(axis=0)
    expected = peer.predict(place, return_std=True)[1] ** 2
    posterior = fitted(features, probability, sigma=3.0, length=0.7)
    found = posterior(torch.tensor(asked).float()).numpy()
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_far_from_all_samples_nothing_is_known_and_among_them_much_is(rng):
    features = rng.normal(size=(900, FEATURES))
    posterior = fitted(features, np.full(900, 0.5))
    far = posterior(torch.full((2, FEATURES), 50.0))
    assert far.numpy() == pytest.approx([25.0, 25.0], rel=1e-5)
    assert posterior(torch.zeros(1, FEATURES)).item() < 2.0


def test_samples_whose_label_is_in_no_doubt_say_less_of_the_logit(rng):
    features = rng.normal(size=(500, FEATURES))
    doubted, certain = (fitted(features, np.full(500, p)) for p in (0.5, 0.999))
    asked = torch.tensor(features[:50]).float()
    assert (doubted(asked) < certain(asked)).all()


def test_nothing_fitted_is_a_variance_of_nothing():
    posterior = FeaturePosterior(3)
    assert not posterior.fitted
    assert torch.equal(posterior(torch.randn(4, 3)), torch.zeros(4))


def test_a_feature_that_never_varies_says_nothing(rng):
    features = rng.normal(size=(300, FEATURES))
    features[:, 2] = 7.0
    posterior = fitted(features, np.full(300, 0.4))
    asked = torch.tensor(features[:5]).float()
    moved = asked.clone()
    moved[:, 2] += 100.0
    assert torch.equal(posterior(asked), posterior(moved))


def test_the_first_samples_are_taken_where_there_are_more_than_places(rng):
    features = rng.normal(size=(PLACES + 50, FEATURES))
    probability = rng.uniform(0.1, 0.9, PLACES + 50)
    whole = fitted(features, probability)
    first = fitted(features[:PLACES], probability[:PLACES])
    asked = torch.randn(10, FEATURES)
    assert torch.equal(whole(asked), first(asked))


def test_a_state_is_restored_from_its_checkpoint(rng, tmp_path):
    posterior = fitted(rng.normal(size=(100, FEATURES)), np.full(100, 0.5))
    torch.save(posterior.state_dict(), tmp_path / "state.pt")
    other = FeaturePosterior(FEATURES)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.fitted
    asked = torch.randn(10, FEATURES)
    assert torch.equal(other(asked), posterior(asked))


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"length": -1.0}])
def test_scales_that_are_no_scales_are_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        FeaturePosterior(3, **wrong)
