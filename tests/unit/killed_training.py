"""A training that is killed at the start of an epoch, for tests that resume it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lenshunt.training.progress import Progress


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@contextmanager
def killed_at(epoch: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, a training dies when it starts `epoch` (from 0); fails the test where none does."""
    ordinary = Progress.on_train_epoch_start

    def die(self, trainer, pl_module):
        if trainer.current_epoch == epoch:
            raise Killed
        ordinary(self, trainer, pl_module)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_train_epoch_start", die)
        with pytest.raises(Killed):
            yield
