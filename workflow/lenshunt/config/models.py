"""Models and training: config/models/NAME.yaml and the section `training`."""

from typing import Literal

from pydantic import Field

from lenshunt.config.base import Strict


class TrainingConfig(Strict):
    """How a model is trained; every key can be overridden per model."""

    epochs: int = Field(30, ge=1)
    """Largest number of epochs; early stopping may end before."""
    patience_epochs: int = Field(8, ge=1)
    """Epochs without a better validation score after which training stops."""
    batch_size: int = Field(32, ge=1)
    """Samples per batch."""
    accumulate_batches: int = Field(1, ge=1)
    """Batches per optimiser step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak of the cosine schedule, AdamW."""
    weight_decay: float = Field(0.05, ge=0)
    """Of AdamW."""
    warmup_epochs: float = Field(1.0, ge=0)
    """Linear warm-up."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    ema_decay: float = Field(0.99, ge=0, lt=1)
    """Decay per step of the averaged weights that are evaluated and saved; 0 for none."""
    precision: Literal["32", "bf16"] = "bf16"
    """bf16 autocasts the network; simulator and losses stay in float32."""
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
    band_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance to hide a band in training (never the last one)."""
    samples_per_epoch: int | None = Field(None, ge=1)
    """Balanced draws per epoch; the number of training samples where none, and the online samples
    that belong to them."""


class ModelConfig(Strict):
    """One file config/models/NAME.yaml."""

    architecture: Literal["resnet", "vit", "film_resnet"]
    """Class in the registry."""
    backbone: str
    """Backbone family; models of one family share a pretrained checkpoint."""
    residual_channels: bool = True
    """Add, per band, the image minus itself rotated by 180 degrees."""
    parameters: dict[str, int | float | str | bool | list[int]] = {}
    """Arguments of the architecture: depths, widths, patch size."""
    training: dict[str, int | float | str | bool | None | dict[str, float]] = {}
    """Keys of `training` that differ for this model."""
    description: str = ""
    """One sentence for lists and the report."""
