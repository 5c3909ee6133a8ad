"""Colour consistency: images of one source share its colour, up to dust in the lens.

Every segment carries information on the colours g-r, r-i, i-z, z-y: a precision matrix Q and a
vector of colours c. A band that is missing or too faint has no information there: two segments
are compared in the colours of consecutive bands that both have, whatever a third one lacks.

Dust of the lens shifts a segment's colours by E R with E ~ N(0, sigma_E^2); minimising over E,
    min_E (d - E R)^T C^-1 (d - E R) + E^2 / sigma_E^2
        = d^T C^-1 d - (R^T C^-1 d)^2 / (R^T C^-1 R + 1 / sigma_E^2),
is the same as adding sigma_E^2 R R^T to C (Woodbury), which is how each segment's Q is made.
"""

import math
from dataclasses import dataclass

import torch

#: Scatter in mag that calibration and PSF matching add to every colour.
FLOOR_MAG = 0.02
#: Spread of A_V of the images of a source, in mag. The median difference of E(B-V) between two
#: images is 0.04 mag in optically selected lenses (Falco et al. 1999, arXiv:astro-ph/9901037):
#: normal A_V of spread 0.13 mag each, with R_V = 3.1.
EXTINCTION_SIGMA_MAG = 0.1
#: Huber's delta of the loss, in sigma.
HUBER_DELTA = 2.0
#: Huber's delta of the centre: 95 % of chi2 with four degrees of freedom lie below its square, as
#: they do below 2^2 with one. A smaller one would call two fifths of good segments outliers.
CENTRE_DELTA = 3.1
#: A band with less S/N in a segment has no colour there.
SNR_MIN = 3.0
#: Spread in mag of the colour of two bands between galaxies that have nothing to do with each
#: other. Thirteen of HSC in COSMOS (a field of blends, as segments are) have 0.5 in g-r and 0.4 in
#: r-i; 1372 bright segments of the demo, far from their lens, 0.46 and 0.22.
FIELD_SCATTER_MAG = 0.4
#: Precision in mag^-2 of a colour of which nothing is known: it keeps matrices invertible.
NOTHING_KNOWN = 1e-4
_CENTRE_STEPS = 4
_POGSON = 2.5 / math.log(10)


@dataclass(frozen=True)
class _Colours:
    """colour [..., n - 1], precision [..., n - 1, n - 1]; usable [...], two bands or more."""

    colour: torch.Tensor
    precision: torch.Tensor
    usable: torch.Tensor


@dataclass(frozen=True)
class _Offsets:
    """Of every segment from its group: offset [..., n - 1] and its precision, q [...], known."""

    offset: torch.Tensor
    precision: torch.Tensor
    q: torch.Tensor
    known: torch.Tensor


def colour_consistency_loss(
    flux: torch.Tensor,
    variance: torch.Tensor,
    membership: torch.Tensor,
    reddening: torch.Tensor,
    weight: torch.Tensor | None = None,
    extinction_sigma_mag: float = EXTINCTION_SIGMA_MAG,
) -> torch.Tensor:
    """Loss per sample [batch] of the colours of segments that are held to be of one source.

    flux, variance : [batch, segment, band], of the segments; variance +inf (or flux NaN) where a
        band or a segment is missing
    membership : [batch, segment], 0..1, soft; what the network decides
    reddening : [batch, band], A(band) / A_V of dust at the lens (`reddening_curve`); NaN drops
        the band
    weight : [batch] or [batch, segment], see `colour_weight`; 1 where none

    L = sum_s weight_s [w_s rho(q_s) + (1 - w_s) cost_s] over usable segments, q_s from
    `group_distance`, rho Huber's. The second part keeps w from collapsing to 0 where segments
    agree: cost_s is what the same colours cost as those of a stranger, whose d has the spread S of
    FIELD_SCATTER_MAG beside its error C,
        cost_s = rho(d^T (C + S)^-1 d) + ln(det(C + S) / det C) / 2.
    The gradient by w, rho(q) - cost, is the log of the odds of stranger to member. It fades with
    the S/N, where colours say nothing; a constant cost lets everything join there. Where most
    systems have no two segments of one source, a head that is taught by nothing else empties all
    groups: a term that knows members keeps it from that (`models.grouping.grouping_term`).
    A sample with fewer than two usable segments contributes 0. Computed in float64 whatever the
    autocast; float32 (or float64, as `membership`) comes out.
    """
    against = _against_others(flux, variance, membership, reddening, extinction_sigma_mag)
    member = membership.to(against.q.dtype)
    terms = member * _huber(against.q) + (1 - member) * _stranger_cost(against)
    if weight is not None:
        terms = terms * (weight if weight.dim() == 2 else weight[:, None])
    loss = torch.where(against.known, terms, 0.0).sum(dim=1)
    return loss.to(torch.promote_types(membership.dtype, torch.float32))


def group_distance(
    flux: torch.Tensor,
    variance: torch.Tensor,
    membership: torch.Tensor,
    reddening: torch.Tensor,
    extinction_sigma_mag: float = EXTINCTION_SIGMA_MAG,
) -> torch.Tensor:
    """q [batch, segment], float64: squared distance of a segment's colours from its group's.

    Arguments as `colour_consistency_loss`. The group's centre is the robust, inverse-variance
    mean of the *other* members: with the segment itself in it, d and the centre are correlated,
    and C + Var(centre) would be too large (thrice, for two equal segments). For members of one
    colour q is chi2 with (bands that segment and centre share) - 1 degrees of freedom. A
    membership w weakens what its segment tells the centre to w times its precision: a group with
    less than two members fades, it does not switch. NaN for a segment that is not usable, or that
    has no other usable one beside it.
    """
    against = _against_others(flux, variance, membership, reddening, extinction_sigma_mag)
    return torch.where(against.known, against.q, torch.nan)


def colour_distance(
    flux: torch.Tensor,
    variance: torch.Tensor,
    reddening: torch.Tensor,
    extinction_sigma_mag: float = EXTINCTION_SIGMA_MAG,
) -> torch.Tensor:
    """d(s, t) [batch, segment, segment]: squared colour distance of pairs, NaN where unknown.

    Each of the two has its own extinction. Depends on nothing but the two; 0 on the diagonal.
    Unknown: fewer than two bands in common, or a segment that is not usable.
    """
    own = _colours(flux, variance, reddening, extinction_sigma_mag)
    offset = own.colour[:, :, None] - own.colour[:, None]
    q = _distance(offset, _parallel(own.precision[:, :, None], own.precision[:, None]))
    good = _good_bands(flux, variance, reddening).to(q.dtype)
    shared = torch.einsum("bsk,btk->bst", good, good)
    return torch.where(shared >= 2, q, torch.nan).to(flux.dtype)


def colour_weight(
    point_like: torch.Tensor, microlensing_risk: torch.Tensor, time_delay_risk: torch.Tensor
) -> torch.Tensor:
    """Weight of the loss where colours may differ although the source is one; any common shape.

    0.1 for point-like images (quasars), microlensing risk > 0.7 or time-delay risk > 0.5; else
    0.5 for risks > 0.3 or > 0.2; else 1.
    """
    low = point_like.bool() | (microlensing_risk > 0.7) | (time_delay_risk > 0.5)
    middle = (microlensing_risk > 0.3) | (time_delay_risk > 0.2)
    one = torch.ones(low.shape, device=low.device)
    return torch.where(low, 0.1 * one, torch.where(middle, 0.5 * one, one))


def colour_curriculum(epoch: float, epochs: float = 10.0, maximum: float = 0.1) -> float:
    """Weight of the colour loss: from 0 along half a cosine to `maximum` after `epochs`.

    `maximum` from the start where `epochs` is 0.
    """
    if epochs <= 0:
        return maximum
    return maximum * 0.5 * (1 - math.cos(math.pi * min(max(epoch / epochs, 0.0), 1.0)))


def _good_bands(
    flux: torch.Tensor, variance: torch.Tensor, reddening: torch.Tensor
) -> torch.Tensor:
    """bool [batch, segment, band]: bands with a flux of SNR_MIN or more and a known reddening."""
    good = torch.isfinite(flux) & torch.isfinite(variance) & (variance > 0)
    bright = torch.where(good, flux, 0.0) >= SNR_MIN * torch.sqrt(torch.where(good, variance, 1.0))
    return good & bright & torch.isfinite(reddening)[:, None]


def _colours(
    flux: torch.Tensor, variance: torch.Tensor, reddening: torch.Tensor, sigma_mag: float
) -> _Colours:
    """Colours of consecutive bands of every segment and what is known of them, in float64."""
    good = _good_bands(flux, variance, reddening)
    # float64: precisions span eight decades, from NOTHING_KNOWN to the floor
    bright = torch.where(good, flux, 1.0).double()
    spread = torch.where(good, variance, 1.0).double()
    magnitude = torch.where(good, -_POGSON * torch.log(bright), 0.0)
    # The floor is one of bands (half of it in each), so that no order of bands is preferred.
    floor = FLOOR_MAG**2 / 2
    p = torch.where(good, 1 / ((_POGSON / bright) ** 2 * spread + floor), 0.0)
    total = p.sum(dim=-1, keepdim=True).clamp(min=1e-300)
    # Its brightness is free: take its mean magnitude off, and project it out of the precision.
    magnitude = torch.where(good, magnitude - (p * magnitude).sum(-1, keepdim=True) / total, 0.0)
    information = torch.diag_embed(p) - p[..., :, None] * p[..., None, :] / total[..., None]
    dust = torch.where(torch.isfinite(reddening), reddening, 0.0).double()[:, None]
    along = torch.einsum("bsij,bsj->bsi", information, dust.expand_as(p))
    stiffness = (along * dust).sum(-1)[..., None, None] + sigma_mag**-2
    information = information - along[..., :, None] * along[..., None, :] / stiffness
    take, spread_back = _difference_matrices(p.shape[-1], p.device)
    return _Colours(
        colour=magnitude @ take.T,
        precision=spread_back @ information @ spread_back.T,
        usable=good.sum(dim=-1) >= 2,
    )


def _difference_matrices(bands: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """D that takes colours of consecutive bands, and G = (D D^T)^-1 D: W = D^T (G W G^T) D."""
    eye = torch.eye(bands, dtype=torch.float64, device=device)
    take = eye[:-1] - eye[1:]
    return take, torch.linalg.solve(take @ take.T, take)


def _centres_of_others(own: _Colours, evidence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For every segment the robust mean colour of the others, and the precision of that mean.

    evidence : [batch, segment] what each segment counts
    Returns [batch, segment, colour] and [batch, segment, colour, colour].
    """
    count, colours = own.colour.shape[1:]
    nothing = NOTHING_KNOWN * torch.eye(colours, dtype=own.colour.dtype, device=own.colour.device)
    others = 1 - torch.eye(count, dtype=own.colour.dtype, device=own.colour.device)
    counted = others * evidence[:, None]
    told = torch.einsum("btij,btj->bti", own.precision, own.colour)
    huber = torch.ones_like(counted)
    for step in range(_CENTRE_STEPS):
        precision = torch.einsum("bst,btij->bsij", counted * huber, own.precision)
        summed = torch.einsum("bst,bti->bsi", counted * huber, told)
        centre = torch.linalg.solve(precision + nothing, summed)
        if step == _CENTRE_STEPS - 1:
            break
        # re-weighting is a choice of the estimator, not a path for the gradient
        with torch.no_grad():
            offset = own.colour[:, None] - centre[:, :, None]
            q = torch.einsum("bsti,btij,bstj->bst", offset, own.precision, offset)
            huber = CENTRE_DELTA / torch.sqrt(q.clamp(min=0)).clamp(min=CENTRE_DELTA)
    return centre, precision


def _against_others(
    flux: torch.Tensor,
    variance: torch.Tensor,
    membership: torch.Tensor,
    reddening: torch.Tensor,
    extinction_sigma_mag: float,
) -> _Offsets:
    """Every segment against the centre of the others."""
    own = _colours(flux, variance, reddening, extinction_sigma_mag)
    # Not a path for the gradient: a stranger's cost would fall fastest by weakening all the others.
    evidence = torch.where(own.usable, membership.detach(), 0.0).to(own.colour.dtype)
    centre, precision = _centres_of_others(own, evidence)
    offset, both = own.colour - centre, _parallel(own.precision, precision)
    known = own.usable & (own.usable.sum(dim=1, keepdim=True) >= 2)
    return _Offsets(offset, both, _distance(offset, both), known)


def _stranger_cost(against: _Offsets) -> torch.Tensor:
    """rho of the offsets [batch, segment] as a stranger's, and its normalisation; 0 where unknown.

    With Q = C^-1 and S = L L^T, by Woodbury,
        (C + S)^-1 = Q - Q L M^-1 L^T Q,   det(C + S) / det C = det M,   M = 1 + L^T Q L,
    which a singular Q does not disturb.
    """
    bands = against.offset.shape[-1] + 1
    take, _ = _difference_matrices(bands, against.offset.device)
    # half of the variance of a colour in each band, so that no order of bands is preferred
    spread = torch.linalg.cholesky(FIELD_SCATTER_MAG**2 / 2 * take @ take.T)
    eye = torch.eye(bands - 1, dtype=spread.dtype, device=spread.device)
    inner = eye + spread.T @ against.precision @ spread
    told = torch.einsum("...ij,...j->...i", against.precision, against.offset) @ spread
    explained = (told * torch.linalg.solve(inner, told)).sum(-1)
    q = torch.where(against.known, (against.q - explained).clamp(min=0), 0.0)
    return _huber(q) + 0.5 * torch.linalg.slogdet(inner).logabsdet


def _parallel(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(Q_1^-1 + Q_2^-1)^-1 of two precisions, also where a Q is singular.

    As the parallel sum Q_1 (Q_1 + Q_2)^-1 Q_2, whose range is what both know; a direction that
    one of them does not know adds nothing.
    """
    eye = torch.eye(one.shape[-1], dtype=one.dtype, device=one.device)
    both = one @ torch.linalg.solve(one + other + NOTHING_KNOWN * eye, other)
    return (both + both.mT) / 2


def _distance(offset: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
    """d^T Q d."""
    return torch.einsum("...i,...ij,...j->...", offset, precision, offset).clamp(min=0)


def _huber(q: torch.Tensor) -> torch.Tensor:
    """Huber's rho of sqrt(q): q / 2 near 0, linear in sqrt(q) beyond HUBER_DELTA."""
    far = q > HUBER_DELTA**2
    root = torch.sqrt(torch.where(far, q, 1.0))
    return torch.where(far, HUBER_DELTA * root - HUBER_DELTA**2 / 2, q / 2)
