"""What goes into a model and what comes out: Batch, Normalisation, Prediction."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired, TypedDict

import torch
from torch import nn

from lenshunt.schema import SLOTS


class Batch(TypedDict):
    """Tensors of b samples, as the loader of the dataset room yields them, plus `metadata`.

    image : float32 [b, band, y, x], nJy per pixel
    variance : float32 [b, band, y, x], nJy^2; +inf where a pixel is unusable
    band_flags : float32 [b, band], 1 where the slot has data
    metadata : float32 [b, m], columns CONDITIONS in their own units; NaN where missing
    noise_corr : float32 [b, band], variance of a sum of pixels over the sum of their variances
    psf_matched : bool [b], whether the PSF is the one that the normalisation names; all are
        where the batch does not say
    row : int64 [b], position in the loader's table
    label, confidence : float32 [b]; label -1 where there is none
    targets : float32 [b, t], values to be regressed in pretraining; NaN where missing
    segments : float32 [b, segment, column], arcs and companions as the shards hold them
    theta_e, flux_ratio, arc_snr : float32 [b], true Einstein radius in arcsec, lensed / total flux
        and S/N of the arcs, of lenses; NaN where unknown
    """

    image: torch.Tensor
    variance: torch.Tensor
    band_flags: torch.Tensor
    metadata: NotRequired[torch.Tensor]
    noise_corr: NotRequired[torch.Tensor]
    psf_matched: NotRequired[torch.Tensor]
    row: NotRequired[torch.Tensor]
    label: NotRequired[torch.Tensor]
    confidence: NotRequired[torch.Tensor]
    targets: NotRequired[torch.Tensor]
    segments: NotRequired[torch.Tensor]
    theta_e: NotRequired[torch.Tensor]
    flux_ratio: NotRequired[torch.Tensor]
    arc_snr: NotRequired[torch.Tensor]


def theta_e_for(batch: Batch, term: str) -> torch.Tensor:
    """The column theta_e of a batch, [b], which a loss term needs.

    Raises ValueError naming the term where there is none.
    """
    if "theta_e" not in batch:
        raise ValueError(
            f"the loss term {term} needs the true Einstein radii, and the batch has no column "
            f"theta_e; remove loss_terms.{term} from the model's file"
        )
    return batch["theta_e"]


@dataclass(frozen=True)
class Prediction:
    """What every model returns for b samples.

    logit : [b], log odds of being a lens at the prior of the training set
    features : [b, f], the pooled representation that the logit is read from
    lens_parameters : [b, p], or None for a model that fits none
    auxiliary : further outputs by name, each [b]
    internals : what `loss_terms` of the model needs and nobody else, of any shape
    """

    logit: torch.Tensor
    features: torch.Tensor
    lens_parameters: torch.Tensor | None
    auxiliary: dict[str, torch.Tensor]
    internals: dict[str, torch.Tensor] = field(default_factory=dict)


class LensNetwork(nn.Module, ABC):
    """What every architecture is: a module from Batch to Prediction that says what it needs.

    Planning asks for some of these (`config.architectures.Facts`) and imports no torch: it reads
    them from the class body, where they are written out, not computed.

    reference : papers that it is from; every architecture has one
    needs_conditions, needs_segments : whether it reads `metadata`, `segments` of a batch
    renders : whether it renders images with the PSF of the grid, and compares them with the batch
    compiles : whether one graph computes it. Where its computation follows the data, of how many
        segments or with which fits, the compiler cuts it into 8 to 20 pieces, and makes them anew
        when numbers of segments change
    backbone_arguments : names of the arguments that decide what its backbone computes, in which
        models of one family agree; the rest is about what is done with the features
    diagnostics : kinds of diagnostics (`evaluation.diagnostics.kinds`) that show what it promises
    scores : names in `auxiliary` that predictions keep for every object
    terms : names of the loss terms that it has beside the cross-entropy
    invariant : whether rotations by 90 degrees and mirror images change none of its outputs
    posterior_samples : training samples that `fit_posterior` is given when the weights are final;
        0 where there is nothing to fit
    """

    reference: str
    needs_conditions = False
    needs_segments = False
    renders = False
    compiles = True
    diagnostics: tuple[str, ...] = ()
    backbone_arguments: tuple[str, ...] = ("backbone",)
    scores: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    invariant = False
    posterior_samples = 0

    @abstractmethod
    def forward(self, batch: Batch) -> Prediction:
        """Prediction for the samples of a batch."""

    def loss_terms(
        self, prediction: Prediction, batch: Batch, names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """The named ones of `terms` for each sample, [b] each, unweighted, float32.

        A sample of which a term says nothing has 0 there. A network without terms has none to
        give: raises ValueError where any is asked for.
        """
        if names:
            raise ValueError(f"{type(self).__name__} has no loss terms {', '.join(names)}")
        return {}

    def fit_posterior(self, batches: Iterable[Batch]) -> None:
        """Learn from training samples how far the final weights may be trusted.

        For networks whose `posterior_samples` is not 0; others raise ValueError.
        """
        raise ValueError(f"{type(self).__name__} has no posterior to fit")


@dataclass(frozen=True)
class Normalisation:
    """Statistics of the training set that a model needs again at prediction; in its checkpoint.

    band_sigma_njy : typical background sigma per pixel of each band slot
    band_white_sigma_njy : the same of white noise as deep (`inputs.white_sigma`); empty where the
        noise of the training set is white
    size_px, pixel_scale_arcsec : the grid that the model was trained on
    condition_mean, condition_std : of each name in `conditions`, over the samples that have it
    conditions_hidden : conditions that the model must not see, always treated as missing
    bands_unseen : bands that no training image has; models do not look at them
    softening : flux per pixel, in units of that white noise, at which the asinh stretch turns
        logarithmic
    psf_fwhm_arcsec, psf_moffat_beta : the PSF that cutouts were matched to; 0 where unknown
    """

    band_sigma_njy: tuple[float, ...]
    size_px: int
    pixel_scale_arcsec: float
    conditions: tuple[str, ...] = ()
    condition_mean: tuple[float, ...] = ()
    condition_std: tuple[float, ...] = ()
    conditions_hidden: tuple[str, ...] = ()
    softening: float = 4.0
    band_white_sigma_njy: tuple[float, ...] = ()
    bands_unseen: tuple[str, ...] = ()
    psf_fwhm_arcsec: float = 0.0
    psf_moffat_beta: float = 0.0
    bands: tuple[str, ...] = field(default=SLOTS)

    def __post_init__(self) -> None:
        if len(self.band_sigma_njy) != len(self.bands):
            raise ValueError(
                f"normalisation has {len(self.band_sigma_njy)} background sigmas "
                f"for {len(self.bands)} bands"
            )
        if len(self.band_white_sigma_njy) not in (0, len(self.bands)):
            raise ValueError(
                f"normalisation has {len(self.band_white_sigma_njy)} sigmas of white noise "
                f"for {len(self.bands)} bands"
            )
        for sigmas in (self.band_sigma_njy, self.band_white_sigma_njy):
            if any(not sigma > 0 for sigma in sigmas):
                raise ValueError(f"background sigmas {sigmas} must all be positive")
        if not len(self.conditions) == len(self.condition_mean) == len(self.condition_std):
            raise ValueError("normalisation needs one mean and one std per condition")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a checkpoint."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Normalisation":
        """Inverse of `to_dict`."""
        restored: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**restored)
