"""What each epoch leaves behind: a row of history, the best weights, and when to stop."""

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from tqdm import tqdm

from lenshunt.core import whole_file
from lenshunt.training.lightning_module import Fitting
from lenshunt.training.scores import FNR_LOW_MAX, selection_score


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows as CSV, atomically."""
    with whole_file(path) as partial, open(partial, "w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


class Progress(lightning.Callback):
    """Keeps history and best averaged weights in `folder`, and ends training on a plateau.

    `fingerprint` tells a resumed training that it is the same training.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self.rows: list[dict[str, Any]] = []
        self.best_score, self.best_epoch = -math.inf, -1

    def state_dict(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def _stop_on_plateau(self, trainer: lightning.Trainer, patience: int | None) -> None:
        if patience and self.rows and self.rows[-1]["epoch"] - self.best_epoch >= patience:
            trainer.should_stop = True

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        # Killed after its last epoch, a training must not go on beyond it.
        self._stop_on_plateau(trainer, pl_module.training_config.patience_epochs)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._start = time.perf_counter()
        self._images = 0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch["row"]) * trainer.world_size
        self._train_seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Runs after validation."""
        fitting: Fitting = pl_module
        monitor = fitting.task.monitor
        # of all processes, which have as many samples each
        loss = trainer.strategy.reduce(torch.stack(fitting.train_losses).double().mean())
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": float(loss),
            **fitting.scores,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "monitor": monitor,
            "seconds": round(time.perf_counter() - self._start, 3),
            "images_per_s": round(self._images / self._train_seconds, 1),
        }
        self.rows.append(row)
        score = math.nan if monitor == "none" else selection_score(monitor, fitting.scores)
        # Without validation the last epoch is as good as any.
        if monitor == "none" or score > self.best_score or self.best_epoch < 0:
            self.best_epoch = trainer.current_epoch
            self.best_score = score
            if trainer.is_global_zero:
                self._save_best(fitting, score)
        self._stop_on_plateau(trainer, fitting.training_config.patience_epochs)
        if trainer.is_global_zero:
            write_history(self.folder / "history.csv", self.rows)
            numbers = {k: v for k, v in row.items() if isinstance(v, float)}
            trainer.logger.log_metrics(numbers, step=trainer.current_epoch)
            self._tell(row)

    def _save_best(self, fitting: Fitting, score: float) -> None:
        state = {k: v.detach().cpu() for k, v in fitting.averaged.module.state_dict().items()}
        with whole_file(self.folder / "best.pt") as partial:
            torch.save({"state": state, "epoch": self.best_epoch, "score": score}, partial)

    def _tell(self, row: dict[str, Any]) -> None:
        shown = ("train_loss", "val_loss", "val_partial_auc", "val_auroc", "val_fnr_low")
        text = "  ".join(f"{name} {row[name]:.4f}" for name in shown if name in row)
        tqdm.write(
            f"epoch {row['epoch']:3d}  {text}  {row['images_per_s']:.0f} images/s", file=sys.stderr
        )
        if row.get("val_fnr_low", 0.0) > FNR_LOW_MAX:
            tqdm.write(
                f"warning: {row['val_fnr_low']:.0%} of the lenses of flux ratio < 0.1 are missed "
                "at FPR <= 0.1 in validation",
                file=sys.stderr,
            )
