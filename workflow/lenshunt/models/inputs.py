"""From nJy and variances to network channels: depth-scaled asinh, residuals, validity."""

import torch
from torch import nn

from lenshunt.models.interface import Batch, Normalisation

#: Scatter in arcsec of the Gaussian weight within which the colour of a deflector is measured.
CENTRE_ARCSEC = 0.5
#: Largest ratio of a deflector's S/N in one band and the next redder one, as a guard.
RATIO_MAX = 20.0


def usable_pixels(variance: torch.Tensor, band_flags: torch.Tensor) -> torch.Tensor:
    """Bool [b, band, y, x]: pixels of bands that are there, with a finite, positive variance."""
    # comparisons alone: torch's isfinite is ten times slower on a CPU, and NaN fails both
    return (variance > 0) & (variance < torch.inf) & (band_flags > 0)[:, :, None, None]


def background_sigma(variance: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """Background sigma of each band, [b, band]; NaN for a band without usable pixels.

    From the mean inverse variance, to which the object's own photon noise adds next to nothing.
    variance : [b, band, y, x]; good : bool, same shape
    """
    inverse = torch.where(good, 1.0 / variance, 0.0).sum(dim=(2, 3))
    count = good.sum(dim=(2, 3))
    return torch.where(count > 0, (count / inverse).sqrt(), torch.nan)


def white_sigma(sigma: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Sigma per pixel of the white noise that is as deep as a background of `sigma`, [b, band].

    The noise of a smoothed image is small and correlated; of n pixels together it has the variance
    n sigma^2 noise_corr, so that sigma sqrt(noise_corr) is what it was before the smoothing, and
    says how deep an image is whatever was done to its PSF. White where the batch has no noise_corr.
    """
    return sigma * batch["noise_corr"].sqrt() if "noise_corr" in batch else sigma


def asinh(x: torch.Tensor) -> torch.Tensor:
    """asinh by logarithm and root, which torch vectorises on the CPU as it does not its own asinh.

    Absolute error below 1e-6, far below the noise of any pixel.
    """
    root = torch.addcmul(torch.ones((), dtype=x.dtype, device=x.device), x, x).sqrt()
    return torch.copysign(torch.log(x.abs() + root), x)


def centre_weight(size: int, pixel_scale_arcsec: float, device: torch.device) -> torch.Tensor:
    """Gaussian [size, size] of scatter `CENTRE_ARCSEC` about the middle of an image."""
    place = (torch.arange(size, device=device) - (size - 1) / 2) * (
        pixel_scale_arcsec / CENTRE_ARCSEC
    )
    along = torch.exp(-0.5 * place.square())
    return along[:, None] * along[None, :]


def colour_residual(
    flux: torch.Tensor, valid: torch.Tensor, pixel_scale_arcsec: float
) -> torch.Tensor:
    """[b, band - 1, y, x]: each band less the next redder one scaled to the deflector's colour.

    What has the colour of the centre disappears, whatever its shape: B - alpha R of Gavazzi et al.
    2014 (arXiv:1403.1041), alpha by least squares within the weight of the centre. Divided by
    sqrt(1 + alpha^2), so that noise of 1 in all bands stays noise of 1.
    flux : [b, band, y, x] from blue to red, in units of each band's noise, of one PSF
    valid : 1 or 0 [b, band, y, x]; the residual is 0 where one of its bands is not
    """
    both = valid[:, :-1] * valid[:, 1:]
    blue, red = flux[:, :-1] * both, flux[:, 1:] * both
    weight = centre_weight(flux.shape[-1], pixel_scale_arcsec, flux.device)
    light = (red.square() * weight).sum(dim=(2, 3))
    ratio = (blue * red * weight).sum(dim=(2, 3)) / light.clamp(min=torch.finfo(light.dtype).tiny)
    ratio = ratio.clamp(0.0, RATIO_MAX)[:, :, None, None]
    return (blue - ratio * red) / (1.0 + ratio.square()).sqrt()


class ImageInput(nn.Module):
    """Channels of an image model: stretched bands, their residuals, and where they are valid.

    All bands of one image are divided by one depth factor (the geometric mean over its bands of
    noise / typical noise, both as `white_sigma`), so an image of another depth looks alike in S/N
    while its colours stay what they are. The stretch is asinh(flux / (softening x noise)), linear
    in noise and arcs and logarithmic in a galaxy's core (Lupton et al. 1999).

    There are two kinds of residuals. A band minus itself rotated by 180 degrees: an elliptical
    galaxy is symmetric and disappears, an arc on one side of it is not and stays. And a band minus
    the next redder one that the training has, see `colour_residual`.
    """

    band_sigma: torch.Tensor
    band_white_sigma: torch.Tensor

    def __init__(self, normalisation: Normalisation, residual_channels: bool) -> None:
        super().__init__()
        self.bands = len(normalisation.bands)
        self.residual_channels = residual_channels
        self.softening = normalisation.softening
        names, unseen = normalisation.bands, normalisation.bands_unseen
        self.seen = [place for place, name in enumerate(names) if name not in unseen]
        self.channels = self.bands * (4 if residual_channels else 2) - residual_channels
        self.pixel_scale_arcsec = normalisation.pixel_scale_arcsec
        self.register_buffer("band_sigma", torch.tensor(normalisation.band_sigma_njy))
        white = torch.tensor(normalisation.band_white_sigma_njy or normalisation.band_sigma_njy)
        self.register_buffer("band_white_sigma", white)

    def forward(self, batch: Batch) -> torch.Tensor:
        """[b, channels, y, x] float32; unusable pixels are 0 and 0 in their validity channel.

        Raises ValueError for a number of bands other than the one it was made for.
        """
        image, variance = batch["image"], batch["variance"]
        if image.shape[1] != self.bands:
            raise ValueError(
                f"images have {image.shape[1]} bands, the model was made for {self.bands}"
            )
        with torch.autocast(image.device.type, enabled=False):
            good = usable_pixels(variance, batch["band_flags"])
            white = white_sigma(background_sigma(variance, good), batch)[:, self.seen]
            typical, good = self.band_white_sigma[self.seen], good[:, self.seen]
            depth = torch.exp(torch.nanmean((white / typical).log(), dim=1)).nan_to_num(1.0)
            unit = (self.softening * depth)[:, None] * typical
            flux = torch.where(good, image[:, self.seen] / unit[:, :, None, None], 0.0)
            valid = good.to(flux.dtype)
            channels = [asinh(flux)]
            if self.residual_channels:
                difference = (flux - flux.flip((2, 3))) / 2**0.5
                channels.append(asinh(difference) * (valid * valid.flip((2, 3))))
                channels.append(asinh(colour_residual(flux, valid, self.pixel_scale_arcsec)))
            channels.append(valid)
            return self._in_their_places(channels)

    def _in_their_places(self, channels: list[torch.Tensor]) -> torch.Tensor:
        """[b, channels, y, x] of kinds of channels [b, band seen, y, x]; unseen bands are 0.

        Their places stay, so that networks of one backbone family fit each other's weights.
        """
        if len(self.seen) == self.bands:
            return torch.cat(channels, dim=1)
        count, _, *size = channels[0].shape
        every = channels[0].new_zeros(count, self.channels, *size)
        first = 0
        for values in channels:
            places = self.seen[: values.shape[1]]
            every[:, [first + place for place in places]] = values
            # a colour has its bluer band's place; the reddest has none
            first += self.bands - (len(self.seen) - len(places))
        return every
