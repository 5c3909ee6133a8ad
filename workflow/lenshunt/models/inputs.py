"""From nJy and variances to network channels: depth-scaled asinh, residuals, validity."""

import torch
from torch import nn

from lenshunt.models.interface import Normalisation


def usable_pixels(variance: torch.Tensor, band_flags: torch.Tensor) -> torch.Tensor:
    """Bool [b, band, y, x]: pixels of bands that are there, with a finite, positive variance."""
    return torch.isfinite(variance) & (variance > 0) & (band_flags > 0)[:, :, None, None]


def background_sigma(variance: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """Background sigma of each band, [b, band]; NaN for a band without usable pixels.

    From the mean inverse variance, to which the object's own photon noise adds next to nothing.
    variance : [b, band, y, x]; good : bool, same shape
    """
    inverse = torch.where(good, 1.0 / torch.where(good, variance, 1.0), 0.0).sum(dim=(2, 3))
    count = good.sum(dim=(2, 3))
    return torch.where(count > 0, (count / inverse).sqrt(), torch.nan)


def asinh(x: torch.Tensor) -> torch.Tensor:
    """asinh by logarithm and root, which torch vectorises on the CPU as it does not its own asinh.

    Absolute error below 1e-6, far below the noise of any pixel.
    """
    return torch.copysign(torch.log(x.abs() + torch.sqrt(x * x + 1.0)), x)


class ImageInput(nn.Module):
    """Channels of an image model: stretched bands, their residuals, and where they are valid.

    All bands of one image are divided by one depth factor (the geometric mean over its bands of
    background sigma / `band_sigma_njy`), so an image of another depth looks alike in S/N while
    its colours stay what they are. The stretch is asinh(flux / softening), linear in the noise
    and logarithmic in a galaxy's core (Lupton et al. 1999).

    The residual of a band is the image minus itself rotated by 180 degrees: an elliptical
    galaxy is symmetric and disappears, an arc on one side of it is not and stays.
    """

    band_sigma: torch.Tensor

    def __init__(self, normalisation: Normalisation, residual_channels: bool) -> None:
        super().__init__()
        self.bands = len(normalisation.bands)
        self.residual_channels = residual_channels
        self.softening = normalisation.softening
        self.channels = self.bands * (3 if residual_channels else 2)
        self.register_buffer("band_sigma", torch.tensor(normalisation.band_sigma_njy))

    def forward(
        self, image: torch.Tensor, variance: torch.Tensor, band_flags: torch.Tensor
    ) -> torch.Tensor:
        """[b, channels, y, x] float32; unusable pixels are 0 and 0 in their validity channel.

        Raises ValueError for a number of bands other than the one it was made for.
        """
        if image.shape[1] != self.bands:
            raise ValueError(
                f"images have {image.shape[1]} bands, the model was made for {self.bands}"
            )
        with torch.autocast(image.device.type, enabled=False):
            good = usable_pixels(variance, band_flags)
            ratio = background_sigma(variance, good) / self.band_sigma
            depth = torch.exp(torch.nanmean(ratio.log(), dim=1)).nan_to_num(1.0)
            unit = (self.softening * depth)[:, None] * self.band_sigma
            flux = torch.where(good, image / unit[:, :, None, None], 0.0)
            channels = [asinh(flux)]
            if self.residual_channels:
                both = good & good.flip((2, 3))
                difference = (flux - flux.flip((2, 3))) / 2**0.5
                channels.append(torch.where(both, asinh(difference), 0.0))
            channels.append(good.to(flux.dtype))
            return torch.cat(channels, dim=1)
