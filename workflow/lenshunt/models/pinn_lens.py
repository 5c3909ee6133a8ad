"""Classifier that fits a lens: its encoder predicts one, the simulator says how well it explains.

After the idea of physics-informed networks (Raissi et al. 2019) and of direct prediction of lens
parameters (Hezaveh et al. 2017), with the data themselves as the judge of the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import PARAMETERS, PixelGrid, RenderFailures, shear_loss, without_failed
from lenshunt.models.heads import Heads
from lenshunt.models.inputs import ImageInput
from lenshunt.models.interface import (
    Batch,
    LensNetwork,
    Normalisation,
    Prediction,
    theta_e_for,
)
from lenshunt.models.lens_fit import LensFit, fit_lenses
from lenshunt.models.lens_head import LensHead, bounded
from lenshunt.models.lens_terms import lens_equation_term, physics_term, simulated_term
from lenshunt.models.potential_correction import deflection_of, mass_loss
from lenshunt.models.render_features import RenderFeatures
from lenshunt.models.resnet import (
    RESNET18,
    ResNetBackbone,
    resnet_backbone,
    stage_maps,
)

#: Largest coefficient of a correction to the potential, arcsec^2: a few per cent of theta_E^2.
CORRECTION_MAX = 0.05
_AT = {name: i for i, name in enumerate(PARAMETERS)}


@dataclass(frozen=True)
class _Lenses:
    """Predicted lenses [b, p], what the correction adds (coefficients), and how they fit."""

    params: torch.Tensor
    correction: torch.Tensor | None
    fit: LensFit
    grid: PixelGrid


@dataclass(frozen=True)
class FitOptions:
    """Which lenses are predicted, and how they are rendered and judged.

    theta_e_min_arcsec, theta_e_max_arcsec : range of predicted Einstein radii
    supersampling : rays per pixel and axis; cusp_supersampling : in the middle of the lens galaxy
    slope_free : else the mass is isothermal
    correction_nodes : per side, of a free-form correction to the potential; 0 for none
    model_error : fraction of a pixel's light by which no model is better, see `fit_lenses`
    """

    theta_e_min_arcsec: float = 0.3
    theta_e_max_arcsec: float = 4.0
    supersampling: int = 2
    cusp_supersampling: int = 6
    slope_free: bool = False
    correction_nodes: int = 0
    model_error: float = 0.05


ISOTHERMAL_FIT = FitOptions()


class PinnLens(LensNetwork):
    """ResNet encoder, lens-parameter head, differentiable simulator, classifier.

    Gradients: the loss terms reach encoder and head through the lens parameters. What is fed back
    to the classifier is cut off from them, as is the gate: with a live path the classifier would
    bend lenses into signals of its own (a bad fit for every non-lens), and chi2 gain and theta_E
    would no longer be measurements that one can print in a candidate table.

    Where an image kept a PSF of its own there is no fit, as where a render failed: the model is
    drawn with the PSF that the others were matched to. The classifier is told so by an embedding.

    In pretraining (`auxiliary` values to regress) there is no lens to fit and no PSF is known:
    only the backbone is there, and no lens is predicted.

    fit : which lenses are predicted, and how they are rendered and judged
    feedback : whether the classifier is told about the fit; hide_fit : see `RenderFeatures`
    """

    reference = "Raissi et al. 2019, JCoPh 378, 686; Hezaveh et al. 2017, Nature 548, 555"
    renders = True
    compiles = False
    diagnostics = ("lens_parameters",)
    scores = ("chi2_gain", "theta_e")
    terms = ("physics", "shear", "mass", "lens_equation", "simulated")
    psf: torch.Tensor

    def __init__(
        self,
        normalisation: Normalisation,
        residual_channels: bool,
        auxiliary: Sequence[str] = (),
        *,
        backbone: ResNetBackbone = RESNET18,
        dropout: float = 0.0,
        fit: FitOptions = ISOTHERMAL_FIT,
        feedback: bool = True,
        feedback_width: int = 32,
        hide_fit: float = 0.1,
    ) -> None:
        super().__init__()
        self.input = ImageInput(normalisation, residual_channels)
        self.backbone = resnet_backbone(self.input.channels, backbone)
        channels = backbone.channels
        self.fits_lenses = not auxiliary
        self.feedback: RenderFeatures | None = None
        if self.fits_lenses:
            scale = normalisation.pixel_scale_arcsec
            self.register_buffer("psf", torch.tensor(_psf_of(normalisation)), persistent=False)
            self.sampling = (scale, fit.supersampling, fit.cusp_supersampling)
            self.correction_nodes = fit.correction_nodes
            self.model_error = fit.model_error
            self.failures = RenderFailures()
            self.lens_head = LensHead(
                channels[-1], channels[-2], (fit.theta_e_min_arcsec, fit.theta_e_max_arcsec),
                fit.slope_free, fit.correction_nodes**2,
            )  # fmt: skip
            if feedback:
                self.feedback = RenderFeatures(feedback_width, hide=hide_fit)
        width = channels[-1] + (feedback_width if self.feedback is not None else 0)
        self.heads = Heads(width, dropout, auxiliary)

    def forward(self, batch: Batch) -> Prediction:
        """`lens_parameters` has columns lensing.PARAMETERS; chi2_gain is NaN without a fit."""
        channels = self.input(batch)
        *_, before, last = stage_maps(self.backbone, channels)
        pooled = self.backbone.pooler(last).flatten(1)
        if not self.fits_lenses:
            return self.heads(pooled)
        with torch.autocast(pooled.device.type, enabled=False):
            lenses = self._lenses(pooled.float(), before.float(), batch)
        if self.feedback is not None:
            pooled = torch.cat([pooled, self._feedback(lenses).to(pooled.dtype)], dim=1)
        found = self.heads(pooled)
        theta_e = lenses.params[:, _AT["theta_e"]]
        return replace(
            found,
            lens_parameters=lenses.params,
            auxiliary={"chi2_gain": lenses.fit.gain, "theta_e": theta_e.detach()},
            internals=vars(lenses.fit)
            | ({} if lenses.correction is None else {"correction": lenses.correction}),
        )

    def _lenses(self, pooled: torch.Tensor, before: torch.Tensor, batch: Batch) -> _Lenses:
        """Predict lenses and fit their fluxes, in float32."""
        grid = self._grid(batch)
        params, raw = self.lens_head(pooled, before)
        correction, more = None, None
        if self.correction_nodes:
            side = self.correction_nodes
            correction = CORRECTION_MAX * bounded(without_failed(raw)).reshape(-1, side, side)
            more = deflection_of(correction, grid)
        fit = fit_lenses(
            params, batch, self.input.band_sigma, grid, self.psf, self.lens_head.n_shapes,
            self.failures, more, self.model_error,
        )  # fmt: skip
        return _Lenses(params, correction, fit, grid)

    def _feedback(self, lenses: _Lenses) -> torch.Tensor:
        """What the classifier gets of the fits, [b, f]; no gradient to the lenses."""
        assert self.feedback is not None
        more = None
        if lenses.correction is not None:
            coarse = PixelGrid(lenses.grid.size_px, lenses.grid.pixel_scale_arcsec, 1)
            more = deflection_of(lenses.correction.detach(), coarse)
        return self.feedback(lenses.fit, lenses.params.detach(), lenses.grid, more)

    def loss_terms(
        self, prediction: Prediction, batch: Batch, names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """physics, shear, mass, lens_equation and simulated: see `lens_terms`.

        Raises ValueError for `mass` without a correction, whose mass alone it is about, and for
        `simulated` with a batch that has no column theta_e.
        """
        assert prediction.lens_parameters is not None, "no lens is predicted in pretraining"
        known = dict(prediction.internals)
        correction = known.pop("correction", None)
        grid = self._grid(batch)
        lenses = _Lenses(prediction.lens_parameters, correction, LensFit(**known), grid)
        with torch.autocast(batch["image"].device.type, enabled=False):
            return {name: self._term(name, prediction.logit, lenses, batch) for name in names}

    def _grid(self, batch: Batch) -> PixelGrid:
        return PixelGrid(batch["image"].shape[-1], *self.sampling)

    def _term(self, name: str, logit: torch.Tensor, lenses: _Lenses, batch: Batch) -> torch.Tensor:
        params, fit = lenses.params, lenses.fit
        if name == "physics":
            return physics_term(logit, fit)
        if name == "lens_equation":
            return lens_equation_term(logit, params, fit, lenses.grid, lenses.correction)
        if name == "simulated":
            return simulated_term(params, theta_e_for(batch, name))
        if name == "shear":
            return shear_loss(params[:, _AT["gamma1"]], params[:, _AT["gamma2"]])
        if lenses.correction is None:
            raise ValueError(
                "the loss term mass is about the correction to the potential, and there is none; "
                "set fit.correction_nodes in the model's file or remove loss_terms.mass"
            )
        return mass_loss(lenses.correction, params, lenses.grid)


def _psf_of(normalisation: Normalisation) -> np.ndarray:
    """The PSF that images were matched to, [h, w] of unit sum."""
    fwhm, beta = normalisation.psf_fwhm_arcsec, normalisation.psf_moffat_beta
    if not fwhm > 0:
        raise ValueError(
            "pinn_lens renders images and the PSF they were matched to is unknown "
            "(psf_fwhm_arcsec is 0); train it on a grid of the config, which names its PSF"
        )
    return moffat_psf(fwhm, beta, normalisation.pixel_scale_arcsec)
