"""Contrastive self-supervision: two views of each galaxy, NT-Xent, and the head it is read from."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lenshunt.config import Contrastive, TrainingConfig
from lenshunt.lensing.reddening import R_V, reddening_curve
from lenshunt.models import Batch, LensNetwork, Prediction
from lenshunt.models.heads import feature_width
from lenshunt.schema import filter_named
from lenshunt.training.augment import augment, with_white_noise
from lenshunt.training.lightning_module import Fitting


class ContrastiveNetwork(LensNetwork):
    """A network with a projection head on its features; `internals["projection"]` [b, projection].

    The head is that of Chen et al. 2020, one hidden layer as wide as the features. What the loss
    makes the projection forget (size, brightness, colour under dust) may live on in the features.
    """

    def __init__(self, network: LensNetwork, projection: int) -> None:
        super().__init__()
        self.network = network
        width = feature_width(network)
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection)
        )

    def forward(self, batch: Batch) -> Prediction:
        found = self.network(batch)
        projected = self.projection(found.features)
        return replace(found, internals={**found.internals, "projection": projected})


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalised temperature-scaled cross-entropy of each sample, [b] float32.

    first, second : [b, d], projections of two views; row i of both is of one object
    Eq. 1 of Chen et al. 2020 (arXiv:2002.05709), mean of the two views as anchor. The other
    2 (b - 1) views of this batch are the negatives: with several devices or accumulated batches,
    those of one device and one batch only. A batch of one has no negatives and a loss of 0.
    In float32 whatever the precision of the network: at temperature 0.1, bfloat16 would round the
    logits of similar galaxies to steps of 0.03 to 0.06.
    """
    with torch.autocast(first.device.type, enabled=False):
        views = functional.normalize(torch.cat([first, second]).float(), dim=1)
        logits = views @ views.mT / temperature
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        logits = logits.masked_fill(itself, -torch.inf)
        count = len(first)
        partner = torch.arange(2 * count, device=views.device).roll(count)
        loss = functional.cross_entropy(logits, partner, reduction="none")
        return 0.5 * (loss[:count] + loss[count:])


def extinction_per_reddening(bands: tuple[str, ...]) -> torch.Tensor:
    """A(band) / E(B-V) of dust in the Milky Way, [band], at the filters that the bands are of."""
    wavelengths = np.array([filter_named(band).wavelength_um for band in bands])
    return R_V * torch.from_numpy(reddening_curve(np.zeros(1), wavelengths)[0])


@torch.no_grad()
def second_view(
    batch: Batch,
    training: TrainingConfig,
    contrastive: Contrastive,
    pixel_scale_arcsec: float,
    extinction: torch.Tensor,
) -> Batch:
    """Another view of a batch: moved anew, behind dust, noisier; torch's global random numbers.

    extinction : [band], A / E(B-V)
    Dust takes light of the galaxy and leaves the noise of the sky: what the factor takes from the
    noise is added again, so that the variance is still that of the pixels. What is added is white,
    and noise_corr says so.
    """
    moved = training.model_copy(
        update={"shift_px": contrastive.shift_px, "noise_augmentation": 0.0}
    )
    seen = augment(batch, moved, pixel_scale_arcsec)
    image, variance = seen["image"], seen["variance"]
    drawn = torch.rand(2, len(image), 1, 1, 1, device=image.device)
    magnitudes = contrastive.reddening_max * drawn[0] * extinction.to(image.device)[:, None, None]
    kept = 10.0 ** (-0.4 * magnitudes)
    noise = (contrastive.noise * drawn[1]).square()
    usable = torch.isfinite(variance)
    sigma = torch.where(usable, variance, 0.0).sqrt()
    added = (1.0 - kept.square() + noise).sqrt() * sigma * torch.randn_like(image)
    new: Batch = {**seen, "image": kept * image + added, "variance": variance * (1.0 + noise)}
    if "noise_corr" in seen:
        # in units of the noise that the dust left
        white = ((1.0 - kept.square() + noise).sqrt() / kept)[:, :, 0, 0]
        new["noise_corr"] = with_white_noise(seen["noise_corr"], white)
    return new


def both_views(first: Batch, second: Batch) -> Batch:
    """One batch [2 b, ...] of two: normalisation over a batch must see both kinds of view."""
    joined: dict[str, torch.Tensor] = {
        name: torch.cat([values, second[name]])  # type: ignore[literal-required]
        for name, values in first.items()
        if isinstance(values, torch.Tensor)
    }
    return joined  # type: ignore[return-value]


def first_half(prediction: Prediction) -> Prediction:
    """The prediction for the first views of `both_views`."""
    count = len(prediction.logit) // 2
    auxiliary = {name: values[:count] for name, values in prediction.auxiliary.items()}
    return Prediction(prediction.logit[:count], prediction.features[:count], None, auxiliary)


class ContrastiveFitting(Fitting):
    """Trains a `ContrastiveNetwork`: the task on the first views, and NT-Xent between the views.

    The validation loss is the same sum; its two views are the same in every epoch.
    """

    def __init__(
        self, *arguments: object, contrastive: Contrastive, bands: tuple[str, ...], **more: object
    ) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        self.contrastive = contrastive
        self.extinction = extinction_per_reddening(bands)

    def _second_view(self, batch: Batch) -> Batch:
        return second_view(
            batch,
            self.training_config,
            self.contrastive,
            self.pixel_scale_arcsec,
            self.extinction,
        )

    def _contrast(self, prediction: Prediction) -> torch.Tensor:
        """Weighted NT-Xent, [b], of the prediction for `both_views`."""
        first, second = prediction.internals["projection"].chunk(2)
        return self.contrastive.weight * nt_xent(first, second, self.contrastive.temperature)

    def step_losses(self, batch: Batch, batch_number: int) -> torch.Tensor:
        first = self.seen(batch)
        prediction = self.model(both_views(first, self._second_view(batch)))
        return self.task.losses(first_half(prediction), first) + self._contrast(prediction)

    def validated(self, batch: Batch, batch_number: int) -> dict[str, torch.Tensor]:
        found = super().validated(batch, batch_number)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(batch_number)
            first = augment(batch, self.training_config, self.pixel_scale_arcsec)
            both = both_views(first, self._second_view(batch))
        contrast = self._contrast(self.averaged.module(both))
        return {**found, "losses": found["losses"] + contrast.float().cpu()}
