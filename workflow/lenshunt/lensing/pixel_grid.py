"""Where the rays of an image start, and how they add up to pixels."""

from dataclasses import dataclass
from functools import lru_cache

import torch


@dataclass(frozen=True)
class PixelGrid:
    """Pixels of a square image: what stays the same from batch to batch.

    size_px : pixels per side; pixel_scale_arcsec : their size
    supersampling : rays per pixel and axis; what arcs lose or gain in total flux by sampling is,
        measured on sources of 0.1-0.5 arcsec at 0.168 arcsec/px, 2.7 % (rms) with 1, 1.3 % with 2,
        0.5 % with 3, 0.15 % with 4
    cusp_supersampling : rays per pixel and axis, for unlensed light, around its centre; the steep
        middle of a galaxy needs more than its outskirts. Not more than `supersampling`: none extra
    Positions are in arcsec from the centre of the image, x towards the right, y upwards.
    """

    size_px: int
    pixel_scale_arcsec: float
    supersampling: int = 2
    cusp_supersampling: int = 12

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.supersampling < 1 or self.pixel_scale_arcsec <= 0:
            raise ValueError(f"{self}: sizes, supersampling and pixel scale must be positive")

    @property
    def ray_step_arcsec(self) -> float:
        return self.pixel_scale_arcsec / self.supersampling

    def rays(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x [1, 1, fine] and y [1, fine, 1] in arcsec of every ray; made once per device."""
        axis = _ray_axis(self, str(device), dtype)
        return axis[None, None, :], axis[None, :, None]


@lru_cache(maxsize=32)
def _ray_axis(grid: PixelGrid, device: str, dtype: torch.dtype) -> torch.Tensor:
    fine = grid.size_px * grid.supersampling
    # a tensor made in inference mode could not take part in training later
    with torch.inference_mode(False):
        index = torch.arange(fine, device=device, dtype=torch.float64)
        return ((index - (fine - 1) / 2) * grid.ray_step_arcsec).to(dtype)


def bin_rays(fine: torch.Tensor, supersampling: int) -> torch.Tensor:
    """Mean over the rays of every pixel: [..., y * s, x * s] -> [..., y, x]."""
    if supersampling == 1:
        return fine
    pixels = torch.nn.functional.avg_pool2d(fine.flatten(0, -3)[:, None], supersampling)
    return pixels.reshape(*fine.shape[:-2], *pixels.shape[-2:])
