"""The packed segments of a batch as named tensors, and their colours with covariances."""

import math
from dataclasses import dataclass

import torch

from lenshunt.images.segments import GEOMETRY, packed_bands
from lenshunt.lensing.colour_prior import FLOOR_MAG, SNR_MIN

_POGSON = 2.5 / math.log(10)


@dataclass(frozen=True)
class SegmentTensors:
    """Segments of a batch, those of the highest S/N first; padding at the end.

    there : bool [batch, segment], False in the padding
    flux, variance : [batch, segment, band], nJy and nJy^2; 0 and +inf where a band or a segment
        is missing: as `colour_consistency_loss` and `colour_distance` take them
    position : [batch, segment, 2] (x, y) in arcsec from the middle of the cutout, right and up,
        the plane of `PixelGrid`; 0 in the padding
    area : [batch, segment] square arcsec; 0 in the padding
    snr, psf_likeness : [batch, segment], 0 in the padding
    """

    there: torch.Tensor
    flux: torch.Tensor
    variance: torch.Tensor
    position: torch.Tensor
    area: torch.Tensor
    snr: torch.Tensor
    psf_likeness: torch.Tensor


def unpack_segments(packed: torch.Tensor) -> SegmentTensors:
    """Named tensors of `segments` [batch, segment, column] of a loader's batch.

    The layout is that of `images.Segments.packed`. Raises ValueError for other columns.
    """
    bands = packed_bands(packed.shape[-1])
    geometry = dict(zip(GEOMETRY, packed[..., 2 * bands :].unbind(-1), strict=True))
    return SegmentTensors(
        there=geometry["area"] > 0,
        flux=packed[..., :bands],
        variance=packed[..., bands : 2 * bands],
        position=torch.stack([geometry["x"], geometry["y"]], dim=-1),
        area=geometry["area"],
        snr=geometry["snr"],
        psf_likeness=geometry["psf_likeness"],
    )


@dataclass(frozen=True)
class SegmentColours:
    """Colours of consecutive usable bands: entry k is band k less the next usable one, AB mag.

    colour, known : [batch, segment, band - 1]; an entry whose first band is not usable, or that
        has no usable band after it, is False in `known`, and no number but 0 stands there
    covariance : [batch, segment, band - 1, band - 1], mag^2: two colours that share a band have
        minus its variance in common. Rows and columns that are not known are those of the
        identity, so that a matrix can be inverted whole
    """

    colour: torch.Tensor
    known: torch.Tensor
    covariance: torch.Tensor


def segment_colours(
    flux: torch.Tensor, variance: torch.Tensor, snr_min: float = SNR_MIN
) -> SegmentColours:
    """Colours of segments with their covariances, as features of a network.

    flux, variance : [batch, segment, band] of `unpack_segments`; a band of less S/N than snr_min
        is not usable
    Errors are those of `colour_consistency_loss`: photon noise and FLOOR_MAG per colour.
    """
    good = torch.isfinite(variance) & (variance > 0) & torch.isfinite(flux)
    spread = torch.where(good, variance, 1.0)
    good = good & (torch.where(good, flux, 0.0) >= snr_min * torch.sqrt(spread))
    bright = torch.where(good, flux, 1.0)
    magnitude = torch.where(good, -_POGSON * torch.log(bright), 0.0)
    error2 = torch.where(good, (_POGSON / bright) ** 2 * spread + FLOOR_MAG**2 / 2, 0.0)
    bands = flux.shape[-1]
    # [.., k, j]: band j is the first usable one after band k
    later = torch.ones(bands, bands, dtype=torch.bool, device=flux.device).triu(1)
    after = good[..., None, :] & later
    following = after & (after.cumsum(dim=-1) == 1)
    known = (good & following.any(dim=-1))[..., :-1]
    own = torch.eye(bands, device=flux.device, dtype=flux.dtype)
    take = torch.where(known[..., None], own[:-1] - following[..., :-1, :].to(flux.dtype), 0.0)
    covariance = torch.einsum("...ki,...i,...li->...kl", take, error2, take)
    return SegmentColours(
        colour=torch.einsum("...ki,...i->...k", take, magnitude),
        known=known,
        covariance=covariance + torch.diag_embed((~known).to(flux.dtype)),
    )
