"""What goes into the shards: `splits`, `known_lens_radius_arcsec`, `quality` and `segments`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lenshunt.config.base import Strict


class SplitConfig(Strict):
    """Leak-proof stratified splits, per data set."""

    train: float = Field(0.70, gt=0, lt=1)
    """Fraction of the groups for training."""
    val: float = Field(0.15, gt=0, lt=1)
    """Halved into val_select and val_calibrate; the rest is test."""
    match_radius_arcsec: float = Field(2.0, ge=0)
    """Objects closer than this on the sky are one group."""
    min_stratum_groups: int = Field(20, ge=1)
    """Strata with fewer groups are merged along the order of factors."""
    folds: int | None = Field(None, ge=3)
    """Number of cross-validation folds; experiments name theirs with `fold`. None makes none."""

    @model_validator(mode="after")
    def _leaves_a_test_split(self) -> Self:
        if self.train + self.val >= 1:
            raise ValueError(f"train {self.train} and val {self.val} leave nothing to test")
        return self


class KnownLensRadii(Strict):
    """How far from the listed position of a known lens a negative must lie, by type of lens.

    Of the 101 CASTLES systems 71 lie within 2 arcsec of their entry in lenscat 1.1.3, 86 within
    5 and 99 within 10: many positions are rounded or of another image. All entries of lenscat
    with 10 arcsec cover 2e-5 of the sky, so that a wide radius costs next to no negatives.
    """

    galaxy: float = Field(10.0, gt=0)
    """Arcsec; also for tables without a column `type`."""
    group: float = Field(15.0, gt=0)
    """Arcsec; covers the arcs of a group."""
    cluster: float = Field(30.0, gt=0)
    """Arcsec; covers the arcs of a cluster. Negatives of source obs:relics stay: they were cut
    away from the arcs of that very cluster."""


class QualityConfig(Strict):
    """Which cutouts are good enough."""

    threshold: float = Field(0.7, ge=0, le=1)
    """Cutouts below this quality stay out of the shards; they are listed with their flags."""


class SegmentsConfig(Strict):
    """Arcs and companions around the galaxy of each cutout, with their colours."""

    enabled: bool = False
    """Make them for every data set that is not for pretraining; needed by models that use them."""
    method: Literal["rotation", "isophotes"] = "rotation"
    """How the light of the galaxy in the middle is taken off: the image less itself rotated by
    180 degrees, or less its mean along ellipses."""
    n_max: int = Field(8, ge=2, le=64)
    """Segments kept per cutout, those of the highest S/N."""
    snr_min: float = Field(5.0, gt=0)
    """Segments of less S/N, all bands together, are left out."""
