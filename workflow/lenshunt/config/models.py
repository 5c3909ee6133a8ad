"""Models and training: config/models/NAME.yaml and the section `training`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from lenshunt.config.architectures import Facts, architectures, facts_of
from lenshunt.config.base import ConfigError, Strict, sentences


class Adversarial(Strict):
    """Adversarial training (Madry et al. 2018): images are changed to raise the loss, then learned.

    Changes are bounded in units of each pixel's own sigma. What hides in the noise of each of n
    pixels adds up to a signal of epsilon sqrt(n): 0.5 sigma in 100 pixels of 5 bands paint or
    remove an arc of S/N 11, which a network that resists can then no longer tell from noise.
    """

    method: Literal["fgsm", "pgd"] = "pgd"
    """fgsm takes one step (Goodfellow et al. 2015), pgd several from a random start."""
    epsilon_sigma: float = Field(0.5, gt=0)
    """Largest change of a pixel, in units of its sigma."""
    steps: int = Field(3, ge=1)
    """Steps of pgd."""
    share: float = Field(0.5, ge=0, le=1)
    """Share of each batch that is attacked."""


class LossTerm(Strict):
    """A further term of the loss, of a model that has one by this name."""

    weight: float = Field(gt=0)
    """Weight once the schedule has risen to 1."""
    schedule: Literal["linear", "cosine"] = "linear"
    """linear rises from 0.1 to 1 (the physics loss), cosine from 0 to 1 (the colour prior)."""
    warmup_epochs: float = Field(10.0, ge=0)
    """Epochs over which the schedule rises."""


class TrainingConfig(Strict):
    """How a model is trained; every key can be overridden per model."""

    epochs: int = Field(30, ge=1)
    """Number of epochs over which the learning rate falls to nothing."""
    patience_epochs: int | None = Field(None, ge=1)
    """Epochs without a better validation score after which training stops; none trains them all,
    since a network learns most of what is rare in the last ones, when the rate is low."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = 64
    """Samples per batch and device; auto takes what the rule `probe` finds to fit into the GPU."""
    accumulate_batches: int = Field(1, ge=1)
    """Batches per optimiser step; follows from effective_batch where batch_size is auto."""
    effective_batch: int = Field(128, ge=1)
    """Samples per optimiser step, all devices together, where batch_size is auto: batches that do
    not fit are accumulated to it, and none is larger."""
    batch_size_cpu: int = Field(64, ge=1)
    """Largest batch where batch_size is auto and there is no GPU to probe."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak of the cosine schedule, AdamW."""
    label_smoothing: float = Field(0.01, ge=0, lt=0.5)
    """Lenses are learned as 1 less this, others as this: some labels are wrong."""
    truth_weight: float = Field(0.2, ge=0)
    """Weight of what features are to tell of labelled lenses beside their label, where known: the
    logarithms of Einstein radius, flux ratio and S/N of the arcs, squared errors in units of their
    scatter; 0 for nothing."""
    weight_decay: float = Field(0.05, ge=0)
    """Of AdamW."""
    warmup_epochs: float | None = Field(None, ge=0)
    """Epochs over which the learning rate rises; none takes 0.3 of them all, as the one cycle of
    Smith & Topin (2018, arXiv:1708.07120) does."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    ema_decay: float = Field(0.99, ge=0, lt=1)
    """Decay per step of the averaged weights that are evaluated and saved; 0 for none."""
    precision: Literal["32", "bf16"] = "bf16"
    """bf16 autocasts the network; simulator and losses stay in float32. Predictions are made in it
    on a GPU only: a CPU is slow in bf16."""
    compile: bool = False
    """Compile the network (torch.compile) in training and prediction. Takes minutes at the start of
    each job and, without a GPU, a C++ compiler; refused for models that read segments or fit
    lenses."""
    deterministic: bool = True
    """The same result, bit by bit, on the same machine."""
    threads: int = Field(1, ge=1)
    """CPU threads of one job; without a GPU, more jobs at once beat more threads in each."""
    devices: int = Field(1, ge=1)
    """GPUs per training (DDP when more than one)."""
    workers: int = Field(0, ge=0)
    """Loader processes per device; 0 loads in the training process."""
    loader: Literal["auto", "stream", "memmap"] = "auto"
    """stream reads the shards, memmap caches decoded samples, auto chooses by size."""
    source_weights: dict[str, float] = {}
    """Share of each label_source in the loss, among samples of data sets; 1 where not named.
    Hosts of injected lenses (obs:matched) have theirs in that of sim:injection."""
    noise_augmentation: float = Field(0.1, ge=0)
    """Noise added in training, in units of each pixel's own sigma."""
    shift_px: float = Field(2.0, ge=0)
    """Largest random shift in training, in pixels."""
    psf_jitter_arcsec: float = Field(0.0, ge=0)
    """Largest FWHM of the round Gaussian, drawn evenly from 0 to it, by which images are made
    broader in training; sharper they cannot get. The seeing grows in quadrature, in the metadata
    of images that keep their PSF too. Off by default: it is for grids whose images do
    (`unmatched: keep`), there up to sqrt(broadest^2 - sharpest^2) of the survey. Where PSFs are
    matched, to 1 % of the growth curve, it costs arcs their contrast for nothing. Refused with
    models that render images with the PSF of the grid."""
    background_offset_sigma: float = Field(0.0, ge=0)
    """Scatter of a constant that is added to each band of an image in training, in units of the
    background sigma of its pixels: what is wrong with a sky that was taken off. The median of the
    n pixels of a cutout is uncertain by sqrt(1.57 c / n) sigma where the noise has noise_corr c:
    by 0.12 for 64 x 64 pixels and c = 40, HSC matched to 1 arcsec. Off by default, where training
    and test set share the errors of their sky; 0.1 for a survey other than that of the test."""
    band_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance to hide a band in training (never the last one)."""
    adversarial: Adversarial | None = None
    """Learn from attacked images too; none for ordinary training."""
    samples_per_epoch: int | None = Field(None, ge=1)
    """Balanced draws per epoch; the number of training samples where none, and the online samples
    that belong to them."""

    @model_validator(mode="after")
    def _one_way_to_the_effective_batch(self) -> Self:
        if self.batch_size == "auto":
            if self.accumulate_batches != 1:
                raise ValueError(
                    f"accumulate_batches {self.accumulate_batches} needs a number as batch_size; "
                    "where that is auto, set effective_batch instead"
                )
            if self.effective_batch % self.devices:
                raise ValueError(
                    f"effective_batch {self.effective_batch} is not a multiple of the "
                    f"{self.devices} devices"
                )
        return self

    @property
    def samples_per_batch(self) -> int:
        """batch_size as a number. Raises ValueError while it is auto."""
        if self.batch_size == "auto":
            raise ValueError(
                "training.batch_size is auto, and this training got no result of a probe; set a "
                "number, or run it by the workflow"
            )
        return self.batch_size


if TYPE_CHECKING:
    Architecture = str
else:
    # of the registry, which is a dict: a type checker cannot know its keys
    Architecture = Literal[tuple(architectures())]


Parameter = int | float | str | bool | list[int]


class ModelConfig(Strict):
    """One file config/models/NAME.yaml."""

    base: str | None = None
    """Model that gives every key that this one does not name, and the single entries of
    `parameters`, `loss_terms` (null leaves one out) and `training`."""
    architecture: Architecture
    """Class in the registry."""
    backbone: str
    """Backbone family; models of one family share a pretrained checkpoint."""
    pretrained: bool = True
    """Start from that checkpoint where the experiment names a pretraining; false starts from
    random weights all the same."""
    residual_channels: bool = True
    """Add, per band, the image minus itself rotated by 180 degrees, and minus the next redder band
    scaled to the colour of the centre."""
    parameters: dict[str, Parameter | dict[str, Parameter]] = {}
    """Arguments of the architecture, some of them in groups: `backbone: {widths: [8, 16, 32, 64]}`.
    What a group does not name has its default."""
    loss_terms: dict[str, LossTerm] = {}
    """Terms of the loss beside the cross-entropy, by the names that the architecture has."""
    training: dict[str, Any] = {}
    """Keys of `training` that differ for this model."""
    description: str = ""
    """One sentence for lists and the report."""
    variants: dict[str, dict[str, Any]] = {}
    """Models that rest on this one as on a `base`, by what their names add to its: narrow, in
    resnet18.yaml, is the model resnet18_narrow. Variants may have variants: scratch, in narrow,
    is resnet18_narrow_scratch."""

    @property
    def facts(self) -> Facts:
        """What the architecture says of itself."""
        return facts_of(self.architecture)

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError where this model cannot be trained so. training : the merged one"""
        if training.compile and not self.facts.compiles:
            raise ValueError(
                f"training.compile is true, and {self.architecture} cannot be compiled as a whole: "
                "what it computes follows the segments or fits of a batch; set compile: false "
                "under `training` in the file of this model"
            )
        if training.psf_jitter_arcsec and self.facts.renders:
            raise ValueError(
                f"training.psf_jitter_arcsec {training.psf_jitter_arcsec:g} makes images broader "
                f"than the PSF of the grid, with which {self.architecture} renders its lenses; set "
                "psf_jitter_arcsec: 0 under `training` in the file of this model"
            )

    def network_values(self) -> dict[str, Any]:
        """What a training depends on here, as plain values: neither words, nor what is settled
        before it, its merged `training` and the checkpoint that it starts from."""
        return self.model_dump(
            exclude={"base", "description", "pretrained", "training", "variants"}
        )

    def backbone_values(self) -> dict[str, Any]:
        """What a pretraining depends on: of `network_values`, all but the terms of the loss."""
        return {key: v for key, v in self.network_values().items() if key != "loss_terms"}


def merged_training(*layers: Mapping[str, Any]) -> TrainingConfig:
    """Training settings where each later layer overrides the keys that it names."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer)
    try:
        return TrainingConfig(**values)
    except ValidationError as error:
        raise ConfigError(sentences(error, "training")) from None
