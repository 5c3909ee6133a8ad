"""Attention of patches to patches as a vision transformer computes it, reduced layer by layer."""

from typing import Any

import torch

from lenshunt.models import Batch, LensNetwork

#: Attention weights held at once, per layer: 2^25 of 4 bytes are 128 MiB.
WEIGHTS_AT_ONCE = 1 << 25


def transformer_of(network: LensNetwork) -> Any:
    """The transformer inside a network of architecture `vit` or `enhanced_vit`."""
    backbone = network.backbone
    return getattr(backbone, "vit", backbone)


def attention_weights(module: Any, hidden: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """softmax(q k^T / sqrt(d) + bias) of one layer, [b, head, query, key], class token first."""
    shape = (*hidden.shape[:-1], -1, module.head_dim)
    query, key = (p(hidden).view(shape).transpose(1, 2) for p in (module.q_proj, module.k_proj))
    scores = query @ key.transpose(2, 3) * module.scaling
    return (scores if bias is None else scores + bias).softmax(dim=-1)


@torch.inference_mode()
def attention_masses(network: LensNetwork, batch: Batch, pairs: torch.Tensor) -> torch.Tensor:
    """Attention summed over weighted pairs of patches, [set, layer, b, head].

    pairs : [set, b, query, key], weights without the class token
    In units of an even spread over the patches where the weights of a set sum to 1.
    """
    patches, heads = pairs.shape[-1], transformer_of(network).config.num_attention_heads
    step = max(1, WEIGHTS_AT_ONCE // (heads * (patches + 1) ** 2))
    parts = []
    for start in range(0, len(batch["image"]), step):
        rows = slice(start, start + step)
        part: Batch = {name: values[rows] for name, values in batch.items()}  # type: ignore
        parts.append(_masses(network, part, pairs[:, rows].to(batch["image"].device)))
    return torch.cat(parts, dim=2) * patches


def _masses(network: LensNetwork, batch: Batch, pairs: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []

    def weigh(module: Any, arguments: tuple, named: dict[str, Any]) -> None:
        hidden = arguments[0] if arguments else named["hidden_states"]
        bias = arguments[1] if len(arguments) > 1 else named.get("attention_mask")
        weights = attention_weights(module, hidden, bias)[:, :, 1:, 1:]
        found.append(torch.einsum("bhqk,sbqk->sbh", weights.float(), pairs))

    hooks = [
        layer.attention.register_forward_pre_hook(weigh, with_kwargs=True)
        for layer in transformer_of(network).layers
    ]
    try:
        network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found, dim=1)
