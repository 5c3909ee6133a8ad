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


def centred(x: torch.Tensor) -> torch.Tensor:
    """[b, channel, y, x] with every even axis made odd by the mean of neighbours.

    Every second place of an odd axis is symmetric about its middle; of an even axis it is not,
    and a stride of two would prefer one side.
    """
    even = [2 if size % 2 == 0 else 1 for size in x.shape[2:]]
    return x if even == [1, 1] else functional.avg_pool2d(x, even, stride=1)


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
    kernel : odd; stride : 1 or 2. An axis of n gets ceil(n / stride) places.
    The filters are stored once and oriented in every forward pass; without gradients in
    evaluation mode they are kept until the weights change. A compiled network orients them.
    """

    def __init__(
        self, inputs: int, fields: int, kernel: int, stride: int = 1, lifts: bool = False
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or stride not in (1, 2):
            raise ValueError(f"kernel {kernel} must be odd and stride {stride} 1 or 2")
        self.stride, self.padding, self.lifts = stride, kernel // 2, lifts
        # Four axes: only such weights can be told to lie with their channels last.
        self.weight = nn.Parameter(
            torch.empty(fields, inputs if lifts else ORDER * inputs, kernel, kernel)
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self._kept = _KeptFilters()

    def filters(self) -> torch.Tensor:
        """[8 field, channels of the input, k, k]."""
        orient = lifted_filters if self.lifts else group_filters
        if torch.compiler.is_compiling():
            return orient(self.weight)
        # A weight with a gradient may be stepped by a fused optimiser, which it does not count.
        uncounted = self.weight.grad is not None or self.weight.is_inference()
        if self.training or torch.is_grad_enabled() or uncounted:
            self._kept.forget()
            return orient(self.weight)
        return self._kept.of(self.weight, orient)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 2:
            x = centred(x)
        # With a stride over a single place, oneDNN leaves the bf16 gradients of those weights that
        # meet nothing but padding unwritten (torch 2.13 on a CPU).
        stride = [self.stride if size > 1 else 1 for size in x.shape[2:]]
        return functional.conv2d(x, self.filters(), stride=stride, padding=self.padding)


class GroupNormalisation(nn.Module):
    """Batch normalisation whose statistics and scales a field's eight elements share."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.fields = fields
        self.norm = nn.BatchNorm2d(fields)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x : [b, 8 field, y, x]."""
        count, _, height, width = x.shape
        # Elements become further pixels: a view where channels are last in memory.
        last = x.permute(0, 2, 3, 1).reshape(count, height, width * ORDER, self.fields)
        normal = self.norm(last.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return normal.reshape(count, height, width, -1).permute(0, 3, 1, 2)


def invariant_mean(x: torch.Tensor) -> torch.Tensor:
    """[b, 8 field, y, x] to [b, field]: the mean over places and elements, which nothing moves."""
    return x.mean(dim=(2, 3)).unflatten(1, (ORDER, -1)).mean(dim=1)
