"""Section `demo`, the demo survey: how many objects of each kind, and which non-lenses."""

from typing import Self

from pydantic import Field, model_validator

from lenshunt.config.base import Fractions, Strict


class Impostors(Fractions):
    """Fractions of the kinds of non-lenses; a kind that is not named has none. They sum to 1."""

    plain: float = Field(0.0, ge=0, le=1)
    """The lens galaxy alone."""
    companions: float = Field(0.0, ge=0, le=1)
    """One to four unlensed blue galaxies around the Einstein radius."""
    alignment: float = Field(0.0, ge=0, le=1)
    """An edge-on blue disk that happens to lie tangentially."""
    single_image: float = Field(0.0, ge=0, le=1)
    """A source outside the region of multiple images: sheared and magnified, one image."""
    spiral: float = Field(0.0, ge=0, le=1)
    """A red bulge with blue arms."""
    ring: float = Field(0.0, ge=0, le=1)
    """A ring of star formation around an early-type core."""
    merger: float = Field(0.0, ge=0, le=1)
    """Two early-type cores with a curved tidal tail."""


class ClassCounts(Strict):
    """How many objects of either class a data set has."""

    lenses: int = Field(ge=1)
    """Number of lenses."""
    nonlenses: int = Field(ge=1)
    """Number of non-lenses; a false-positive rate of 1e-3 is resolved from 20,000 on."""


class SeeingRange(Strict):
    """Seeing that is drawn log-uniformly: as often from 0.7 to 1.0 arcsec as from 1.0 to 1.43."""

    best_arcsec: float = Field(ge=0.5)
    """FWHM in r in the best nights; SDSS's pixels of 0.396 arcsec sample no sharper one."""
    worst_arcsec: float = Field(le=4.0)
    """FWHM in r in the worst nights."""

    @model_validator(mode="after")
    def _best_before_worst(self) -> Self:
        if self.best_arcsec >= self.worst_arcsec:
            raise ValueError(
                f"best_arcsec {self.best_arcsec} is not below worst_arcsec {self.worst_arcsec}"
            )
        return self


class Demo(Strict):
    """The synthetic survey of `make run`, written in the official raw formats."""

    folder: str = "results/demo"
    """Where the raw files of the demo are written."""
    galaxiesml: int = Field(2000, ge=10)
    """Number of GalaxiesML galaxies."""
    bologna_ground: int = Field(2000, ge=10)
    """Number of Bologna ground objects, half of them lenses."""
    bologna_test: ClassCounts | None = None
    """A second set like bologna_ground, of other objects, for a data set with `held_out: true`;
    its labels are bologna_test/classifications.csv and its images bologna_test/Public, both below
    `folder`. None writes none."""
    sdss: int = Field(300, ge=10)
    """Number of SDSS-like objects, for scores across surveys."""
    sdss_seeing: SeeingRange | None = None
    """Seeing of the SDSS-like objects, one draw per object, in r; other bands follow the survey's
    ratios. None scatters it by 7 per cent around the survey's median, 1.43 arcsec, about half of
    SDSS's own scatter: the quartiles of its fields are 1.30 and 1.58 arcsec (sdss.org, DR7)."""
    sdss_exposures: int = Field(1, ge=1)
    """Exposures of 54 s that are added up to an SDSS-like object, all in its seeing: 1 in SDSS's
    main survey, about 20 in Stripe 82 (Annis et al. 2014, ApJ 794, 120)."""
    castles_systems: int = Field(30, ge=2)
    """Number of CASTLES-like systems, each in two filters."""
    relics_fields: int = Field(4, ge=1)
    """Number of RELICS-like cluster fields."""
    impostors: Impostors = Impostors(
        plain=0.20,
        companions=0.22,
        alignment=0.12,
        single_image=0.12,
        spiral=0.14,
        ring=0.10,
        merger=0.10,
    )
    """Kinds of the non-lenses of bologna_ground, bologna_test and sdss. By default plain 0.20,
    companions 0.22, alignment 0.12, single_image 0.12, spiral 0.14, ring 0.10, merger 0.10."""
