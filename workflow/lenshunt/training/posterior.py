"""After the training: fits what says how far the final weights may be trusted."""

from collections.abc import Iterator

import torch
from tqdm import tqdm

from lenshunt.models import Batch
from lenshunt.training.loading import EpochBatches, device_at_hand, on_device
from lenshunt.training.module import Fitting


def with_posterior(fitting: Fitting, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` with the posterior of its network, one whose `posterior_samples` are not 0.

    fitting : a fresh one of the training that `state`, the final weights, is of
    It is fitted to samples as the training draws them, without augmentation.
    """
    network = fitting.model
    network.load_state_dict(state)
    device = device_at_hand()
    network.to(device).eval()
    loader = fitting.train_loader(0, 1)
    batches = EpochBatches(loader, fitting.task.columns(loader.table), lambda: 0)
    network.fit_posterior(_first(batches, network.posterior_samples, device))
    return network.cpu().state_dict()


def _first(batches: EpochBatches, samples: int, device: torch.device) -> Iterator[Batch]:
    """Batches of together `samples` samples or more, if there are as many."""
    given = 0
    with tqdm(total=samples, desc="posterior", unit="sample", disable=None) as shown:
        for batch in batches:
            yield on_device(batch, device)
            given += len(batch["row"])
            shown.update(len(batch["row"]))
            if given >= samples:
                return
