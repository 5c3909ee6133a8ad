"""How uncertain a logit is far from the training data: a Gaussian process over features."""

import torch
from torch import nn

#: Training samples that the posterior is conditioned on. More would narrow it where there are many
#: alike, and cost their square in memory.
PLACES = 1024


class FeaturePosterior(nn.Module):
    """Variance of a logit given features [b, f]: that of a Gaussian process classifier.

    The read-out of the features gives the logit's mean; what it leaves out is a process of mean 0
    and kernel k(a, b) = sigma^2 exp(-|a - b|^2 / (2 f length^2)) in features that are standardised
    over the training set. Laplace's approximation conditions it on PLACES training samples of
    probability p, with W = p (1 - p):

        variance(x) = k(x, x) - k(x, X) (K + W^-1)^-1 k(X, x)

    (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eqs 3.24 and 3.27): small
    amid training samples whose label was in doubt, sigma^2 far from all of them, where a read-out
    alone would be as sure as ever (Liu et al. 2020, arXiv:2006.10108). Where nothing was fitted the
    variance is 0.

    sigma : of the logit where nothing is known; length : per feature, in standard deviations
    """

    middle: torch.Tensor
    spread: torch.Tensor
    places: torch.Tensor
    root: torch.Tensor

    def __init__(self, features: int, sigma: float = 5.0, length: float = 0.5) -> None:
        super().__init__()
        if sigma <= 0 or length <= 0:
            raise ValueError(
                f"posterior_sigma is {sigma} and posterior_length {length}; both must be positive"
            )
        self.sigma, self.length = sigma, length
        self.register_buffer("middle", torch.zeros(features))
        # no spread: nothing was fitted
        self.register_buffer("spread", torch.zeros(features))
        self.register_buffer("places", torch.zeros(PLACES, features))
        self.register_buffer("root", torch.zeros(PLACES, PLACES))
        # what `spread` says, so that no forward pass has to ask a GPU for it
        self.fitted = False
        self.register_load_state_dict_post_hook(_see_whether_fitted)

    def _kernel(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """k / sigma^2 of standardised features [n, f] and [m, f], [n, m]."""
        # not by the expansion of the square, whose rounding depends on the size of the batch
        exact = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(a, b, compute_mode=exact) / (a.shape[-1] ** 0.5 * self.length)
        return torch.exp(-0.5 * distance**2)

    @torch.no_grad()
    def fit(self, features: torch.Tensor, probability: torch.Tensor) -> None:
        """Condition on training samples: the first PLACES of them.

        features : [n, f]; probability : [n], of being a lens, as the read-out gives it
        """
        features, probability = features[:PLACES], probability[:PLACES].double()
        self.middle.copy_(features.mean(dim=0))
        # a feature that never varied says nothing
        spread = features.std(dim=0, correction=0)
        self.spread.copy_(torch.where(spread > 0, spread, torch.inf))
        self.places.zero_()
        self.places[: len(features)] = (features - self.middle) / self.spread
        doubt = torch.zeros(PLACES, dtype=torch.double, device=features.device)
        doubt[: len(features)] = (probability * (1 - probability)).sqrt()
        kernel = self.sigma**2 * self._kernel(self.places.double(), self.places.double())
        whole = torch.eye(PLACES, dtype=torch.double, device=features.device)
        lower = torch.linalg.cholesky(whole + doubt[:, None] * kernel * doubt)
        self.root.copy_(torch.linalg.solve_triangular(lower, torch.diag(doubt), upper=False))
        self.fitted = True

    @torch.no_grad()
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[b], at least 0, float32. Without a gradient: the root of 0 has none."""
        if not self.fitted:
            return torch.zeros(len(features), device=features.device)
        with torch.autocast(features.device.type, enabled=False):
            standard = (features.float() - self.middle) / self.spread
            near = self.sigma * self._kernel(standard, self.places) @ self.root.T
            return self.sigma**2 * (1.0 - near.square().sum(dim=1)).clamp(min=0.0)


def _see_whether_fitted(posterior: FeaturePosterior, _: object) -> None:
    posterior.fitted = bool(posterior.spread.any())
