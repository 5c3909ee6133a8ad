"""Convolutions that commute with rotations by 90 degrees and mirror images (the group p4m).

Cohen & Welling 2016, arXiv:1602.07576. The point group D4 has eight elements; element
r + 4 m mirrors an image along x where m is 1 and then turns it r times by 90 degrees. A feature
map holds one value per field and element, [b, 8 field, y, x], elements outermost. When the image
is moved by an element a, the map of element g becomes that of a^-1 g, moved by a.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

#: Elements of D4.
ORDER = 8


def moved_image(image: torch.Tensor, element: int) -> torch.Tensor:
    """Images [..., y, x] after an element of D4; no pixel is interpolated."""
    mirrored = image.flip(-1) if element >= 4 else image
    return torch.rot90(mirrored, element % 4, (-2, -1))


def product(first: int, second: int) -> int:
    """The element that moves an image by `second` and then by `first`."""
    turn, mirror = first % 4, first // 4
    # A mirror image turns the other way.
    return (turn + (second % 4) * (-1) ** mirror) % 4 + 4 * ((mirror + second // 4) % 2)


def inverse(element: int) -> int:
    """The element that undoes this one; each mirror image undoes itself."""
    return element if element >= 4 else (-element) % 4


#: Row g: for every element h, g^-1 h.
_RELATIVE = tuple(tuple(product(inverse(g), h) for h in range(ORDER)) for g in range(ORDER))


def lifted_filters(weight: torch.Tensor) -> torch.Tensor:
    """Filters on images [field, channel, k, k] in all eight orientations: [8 field, channel, k, k].

    Cohen & Welling 2016, eq. 10.
    """
    return torch.cat([moved_image(weight, g) for g in range(ORDER)])


def group_filters(weight: torch.Tensor) -> torch.Tensor:
    """Filters on feature maps [field, 8 input, k, k] in all orientations: [8 field, 8 input, k, k].

    That of g at h is the filter at g^-1 h, moved by g (Cohen & Welling 2016, eq. 11).
    """
    blocks = weight.chunk(ORDER, dim=1)
    rows = [
        moved_image(torch.cat([blocks[other] for other in _RELATIVE[g]], dim=1), g)
        for g in range(ORDER)
    ]
    return torch.cat(rows)


def turning_matrix(kernel: int) -> torch.Tensor:
    """Moves flattened filters [n, k k] by all elements at once: 0 and 1, [k k, 8 k k]."""
    numbers = torch.arange(kernel**2).view(kernel, kernel)
    places = torch.stack([moved_image(numbers, g).flatten() for g in range(ORDER)])
    return functional.one_hot(places.flatten(), kernel**2).T.float()


def evened(x: torch.Tensor) -> torch.Tensor:
    """[b, channel, y, x] with every odd axis made even by the mean of neighbours; one place stays.

    Every second place of an axis is never symmetric about the middle of an even one; pairs are.
    """
    odd = [2 if size % 2 and size > 1 else 1 for size in x.shape[2:]]
    return x if odd == [1, 1] else functional.avg_pool2d(x, odd, stride=1)


def halved(x: torch.Tensor, pool: Callable = functional.avg_pool2d) -> torch.Tensor:
    """[b, channel, y, x] at half the resolution, mean (or what `pool` takes) of pairs of places.

    Moves with the image, as every second place of an even axis would not, and keeps what is finer
    than the new places from being mistaken for something coarser (Zhang 2019, arXiv:1904.11486).
    """
    x = evened(x)
    pair = [min(size, 2) for size in x.shape[2:]]
    return pool(x, pair)


class _KeptFilters:
    """Oriented filters of a weight, until something is written into it; a copy starts with none.

    The weight counts what is written into it. Its memory is held here, so that no other weight
    can come to lie there.
    """

    def __init__(self) -> None:
        self.known: tuple[torch.Tensor, int, torch.Tensor] | None = None

    def __reduce__(self) -> tuple[type["_KeptFilters"], tuple[()]]:
        return _KeptFilters, ()

    def of(
        self, weight: torch.Tensor, orient: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """`orient(weight)`, made anew where the weight is not what it was."""
        if self.known is not None:
            held, version, filters = self.known
            if held.data_ptr() == weight.data_ptr() and version == weight._version:
                return filters
        filters = orient(weight)
        self.known = weight.detach(), weight._version, filters
        return filters

    def forget(self) -> None:
        self.known = None


class GroupConvolution(nn.Module):
    """Convolution to feature maps with `fields` fields, from images or from feature maps.

    inputs : channels of the images (lifts=True) or fields of the feature maps
    kernel : odd with stride 1, even with stride 2, which halves the resolution about the same
        middle: an axis of n gets n places, or n // 2.
    The filters are stored once and oriented in every forward pass; without gradients in
    evaluation mode they are kept until the weights change. A compiled network orients them.
    """

    turns: torch.Tensor
    blocks: torch.Tensor

    def __init__(
        self, inputs: int, fields: int, kernel: int, stride: int = 1, lifts: bool = False
    ) -> None:
        super().__init__()
        if stride not in (1, 2) or kernel % 2 != stride % 2:
            raise ValueError(
                f"kernel {kernel} and stride {stride}: with stride 1 the kernel must be odd, with "
                "stride 2 even"
            )
        self.stride, self.padding = stride, (kernel - 1) // 2
        # Four axes: only such weights can be told to lie with their channels last.
        self.weight = nn.Parameter(
            torch.empty(fields, inputs if lifts else ORDER * inputs, kernel, kernel)
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.lifts = lifts
        self.register_buffer("turns", turning_matrix(kernel), persistent=False)
        blocks = [g * ORDER + other for g in range(ORDER) for other in _RELATIVE[g]]
        self.register_buffer("blocks", torch.tensor(blocks), persistent=False)
        self._kept = _KeptFilters()

    def oriented(self, weight: torch.Tensor) -> torch.Tensor:
        """`lifted_filters` or `group_filters` of the weight, by one product and one look-up."""
        fields, channels, kernel, _ = weight.shape
        # Kept filters serve any precision; autocast would make them bfloat16.
        with torch.autocast(weight.device.type, enabled=False):
            moved = weight.reshape(-1, kernel**2) @ self.turns
        if self.lifts:
            rows = moved.view(fields, channels, ORDER, kernel**2).permute(2, 0, 1, 3)
        else:
            parts = moved.view(fields, ORDER, -1, ORDER, kernel**2).permute(3, 1, 0, 2, 4)
            chosen = parts.flatten(0, 1).index_select(0, self.blocks).unflatten(0, (ORDER, ORDER))
            rows = chosen.permute(0, 2, 1, 3, 4)
        return rows.reshape(ORDER * fields, channels, kernel, kernel)

    def filters(self) -> torch.Tensor:
        """Of the weight as it is, [8 field, channels of the input, k, k]."""
        if torch.compiler.is_compiling():
            return self.oriented(self.weight)
        # A weight with a gradient may be stepped by a fused optimiser, which it does not count.
        uncounted = self.weight.grad is not None or self.weight.is_inference()
        if self.training or torch.is_grad_enabled() or uncounted:
            self._kept.forget()
            return self.oriented(self.weight)
        return self._kept.of(self.weight, self.oriented)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 2:
            x = evened(x)
        return functional.conv2d(x, self.filters(), stride=self.stride, padding=self.padding)


class GroupNormalisation(nn.Module):
    """Batch normalisation whose scales and running statistics a field's eight elements share.

    In training each element is normalised by the statistics of its own batch: images come at any
    angle, so that these differ by chance alone, and torch normalises many channels several times
    as fast as many pixels of few. In evaluation all elements are treated alike, exactly.
    """

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, fields: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(fields))
        self.bias = nn.Parameter(torch.zeros(fields))
        self.register_buffer("mean", torch.zeros(fields))
        self.register_buffer("variance", torch.ones(fields))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x : [b, 8 field, y, x]."""
        mean, variance, weight, bias = (
            values.repeat(ORDER) for values in (self.mean, self.variance, self.weight, self.bias)
        )
        normal = functional.batch_norm(
            x, mean, variance, weight, bias, self.training, self.momentum
        )
        if self.training:
            # batch_norm has moved the repeated statistics, each element by its own
            with torch.no_grad():
                self.mean.copy_(mean.view(ORDER, -1).mean(dim=0))
                self.variance.copy_(variance.view(ORDER, -1).mean(dim=0))
        return normal


def invariant_mean(x: torch.Tensor) -> torch.Tensor:
    """[b, 8 field, y, x] to [b, field]: the mean over places and elements, which nothing moves."""
    return x.mean(dim=(2, 3)).unflatten(1, (ORDER, -1)).mean(dim=1)
