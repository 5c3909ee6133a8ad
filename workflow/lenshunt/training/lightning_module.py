"""The Lightning module: one step, averaged weights, schedule, and the check for NaN."""

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import lightning
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lenshunt.config import LossTerm, TrainingConfig
from lenshunt.models import Batch, LensNetwork, Prediction
from lenshunt.training.adversarial import attacked
from lenshunt.training.augment import UPRIGHT_SHARE, augment
from lenshunt.training.loading import EpochBatches, LoaderFactory, ValidationBatches
from lenshunt.training.terms import sample_losses
from lenshunt.training.truth import TruthReadout

#: Of the steps of a training, those in which the learning rate rises, unless configured.
WARMUP_SHARE = 0.3


class Task(Protocol):
    """What is learned: classification or regression."""

    monitor: str

    def columns(self, table: pd.DataFrame) -> dict[str, np.ndarray]: ...

    def losses(self, prediction: Prediction, batch: Batch) -> torch.Tensor: ...

    def outputs(self, prediction: Prediction) -> torch.Tensor: ...

    def scores(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]: ...


@torch.no_grad()
def move_averages(decay: float, averages: list, current: list, steps: torch.Tensor) -> None:
    """Exponential moving average whose memory grows with the steps taken, up to `decay`.

    Without that growth the averages of a short training would still be its random start.
    """
    keep = min(decay, (1.0 + float(steps)) / (10.0 + float(steps)))
    for average, value in zip(averages, current, strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1.0 - keep)
        else:
            average.copy_(value)


def learning_rate_factor(step: int, warmup_steps: int, total_steps: int) -> float:
    """Linear warm-up to 1, then half a cosine down to 0 at `total_steps`."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, norms and embeddings of one dimension do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


class Fitting(lightning.LightningModule):
    """Trains `model` on `task`. Validation and checkpoints use the averaged weights.

    train_loader, validation_loader : (rank, world) -> loader; no validation where None
    loss_terms : terms of the model's own that are added to the task's loss
    truth : what its features are to tell of lenses, with training.truth_weight; None for nothing
    """

    def __init__(
        self,
        model: LensNetwork,
        task: Task,
        training: TrainingConfig,
        seed: int,
        train_loader: LoaderFactory,
        validation_loader: LoaderFactory | None,
        loss_terms: Mapping[str, LossTerm] | None = None,
        truth: TruthReadout | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedModel(
            copy.deepcopy(model),
            multi_avg_fn=partial(move_averages, training.ema_decay),
            use_buffers=True,
        ).requires_grad_(False)
        self.task, self.training_config, self.seed = task, training, seed
        self.train_loader, self.validation_loader = train_loader, validation_loader
        self.loss_terms = dict(loss_terms or {})
        self.truth = truth
        self.scores: dict[str, float] = {}
        self.train_losses: list[torch.Tensor] = []
        self._found: list[dict[str, torch.Tensor]] = []
        # table rows of the batches whose gradients are accumulated
        self._step_rows: list[torch.Tensor] = []

    def setup(self, stage: str) -> None:
        # In each process anew: what is compiled cannot be sent to another one.
        if self.training_config.compile:
            self.model.compile()
            self.averaged.module.compile()

    def _batches(
        self, factory: LoaderFactory, kind: type[EpochBatches] = EpochBatches
    ) -> EpochBatches:
        loader = factory(self.global_rank, self.trainer.world_size)
        return kind(loader, self.task.columns(loader.table), lambda: self.current_epoch)

    def train_dataloader(self) -> EpochBatches:
        self._train_batches = self._batches(self.train_loader)
        table = self._train_batches.loader.table
        # one scale: loaders refuse shards of several grids
        self.pixel_scale_arcsec = float(table["pixel_scale"].median())
        return self._train_batches

    def val_dataloader(self) -> EpochBatches | list:
        if self.validation_loader is None:
            return []
        batches = self._batches(self.validation_loader, ValidationBatches)
        self._validation_table = batches.loader.table
        return batches

    def on_train_epoch_start(self) -> None:
        # Every epoch has its own random numbers, so a resumed training draws the same ones.
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)) % 2**32)
        self.train_losses, self._step_rows = [], []

    def seen(self, batch: Batch) -> Batch:
        """What the model is shown of a training batch: augmented, and attacked where configured."""
        # to an invariant network, images turned by 90 degrees are the same once more
        upright = 0.0 if self.model.invariant else UPRIGHT_SHARE
        seen = augment(batch, self.training_config, self.pixel_scale_arcsec, upright)
        if self.training_config.adversarial:
            seen = attacked(self.model, self.task.losses, seen, self.training_config.adversarial)
        return seen

    def step_losses(self, batch: Batch, batch_number: int) -> torch.Tensor:
        """Loss of each sample of a training batch, [b]."""
        epoch = self.current_epoch + batch_number / max(len(self._train_batches), 1)
        seen = self.seen(batch)
        return sample_losses(self.model, self._with_truth, seen, self.loss_terms, epoch)

    def _with_truth(self, prediction: Prediction, batch: Batch) -> torch.Tensor:
        """Loss of each sample by the task, and by what is known of the lens, [b]."""
        losses = self.task.losses(prediction, batch)
        if self.truth is not None:
            losses = losses + self.training_config.truth_weight * self.truth(prediction, batch)
        return losses

    def training_step(self, batch: Batch, batch_number: int) -> torch.Tensor:
        losses = self.step_losses(batch, batch_number)
        if not torch.isfinite(losses).all():
            self._stop_on_nan(batch, losses.detach())
        self._step_rows.append(batch["row"])
        loss = losses.mean()
        self.train_losses.append(loss.detach())
        return loss

    def _stop_on_nan(self, batch: Batch, losses: torch.Tensor) -> None:
        names = self._names(batch["row"][~torch.isfinite(losses)])
        raise FloatingPointError(
            f"epoch {self.current_epoch}: the loss is not finite for {len(names)} of "
            f"{len(losses)} samples of a batch: {', '.join(names)}; look at these samples, or "
            "lower training.learning_rate if it is every sample"
        )

    def _names(self, rows: torch.Tensor) -> list[str]:
        return self._train_batches.loader.table["sample_id"].iloc[rows.tolist()].tolist()

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        # bf16 needs no scaled gradients, on whose account Lightning refuses a fused optimizer.
        clip = self.training_config.gradient_clip
        norm = nn.utils.clip_grad_norm_(self.parameters(), clip, foreach=True)
        rows, self._step_rows = torch.cat(self._step_rows), []
        if not torch.isfinite(norm):
            names = self._names(rows)
            raise FloatingPointError(
                f"epoch {self.current_epoch}: the loss is finite but its gradient is not, in a "
                f"step over {len(names)} samples: {', '.join(names)}; look at these samples, or "
                "lower training.learning_rate"
            )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.averaged.update_parameters(self.model)

    def validation_step(self, batch: Batch, batch_number: int) -> None:
        # Processes may have unequal numbers of batches: DDP broadcasts its buffers in the first
        # batch after a step alone, to which `ValidationBatches` brings every process.
        if len(batch["row"]):
            self._found.append(self.validated(batch, batch_number))

    def validated(self, batch: Batch, batch_number: int) -> dict[str, torch.Tensor]:
        """Rows, losses [b] and outputs [b, o] of a validation batch, on the CPU."""
        prediction = self.averaged.module(batch)
        losses = self.task.losses(prediction, batch).float().cpu()
        if not torch.isfinite(losses).all():
            rows = batch["row"].cpu()[~torch.isfinite(losses)]
            names = self._validation_table["sample_id"].iloc[rows.tolist()].tolist()
            raise FloatingPointError(
                f"epoch {self.current_epoch}: the validation loss is not finite for "
                f"{', '.join(names)}; look at these samples"
            )
        outputs = self.task.outputs(prediction).float().cpu()
        return {"rows": batch["row"].cpu(), "losses": losses, "outputs": outputs}

    def on_validation_epoch_end(self) -> None:
        found, self._found = self._found, []
        if self.trainer.world_size > 1:
            parts: list = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, found)
            found = [one for part in parts for one in part]
        rows, losses, outputs = (
            torch.cat([one[name] for one in found]).numpy()
            for name in ("rows", "losses", "outputs")
        )
        order = np.argsort(rows, kind="stable")
        scores = self.task.scores(rows[order], outputs[order])
        self.scores = {"val_loss": float(losses[order].mean(dtype=np.float64)), **scores}

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        config = self.training_config
        optimizer = torch.optim.AdamW(
            parameter_groups(self, config.weight_decay), lr=config.learning_rate, fused=True
        )
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        rising = config.warmup_epochs
        share = WARMUP_SHARE if rising is None else rising / config.epochs
        warmup = round(total * share)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, warmup, total)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
