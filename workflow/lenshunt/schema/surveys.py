"""Facts of each survey, from resources/surveys.yaml; an unknown survey is an error."""

from dataclasses import dataclass
from functools import cache

import yaml

from lenshunt.core import RESOURCES
from lenshunt.schema.bands import filter_named

_FACTS = ("pixel_scale_arcsec", "zero_point_ab", "psf_fwhm_arcsec", "moffat_beta", "filters")
_OPTIONAL = ("saturation", "masked_value", "zero_point_key", "header")


@dataclass(frozen=True)
class Survey:
    """One survey.

    pixel_scale_arcsec : arcsec per pixel of its usual images
    zero_point_ab : AB magnitude of one count, by filter or "default"; empty where headers tell
    psf_fwhm_arcsec : typical FWHM by filter or "default"
    moffat_beta : wing exponent of its PSF
    filters : names of its filters
    saturation : pixel value in counts from which a pixel is unusable, or None
    masked_value : pixel value that marks a masked pixel, or None
    zero_point_key : header key that holds the zero point of one file, or None
    header : signatures of its files: regular expression by header key
    source : where each number comes from, by field
    """

    name: str
    pixel_scale_arcsec: float
    zero_point_ab: dict[str, float]
    psf_fwhm_arcsec: dict[str, float]
    moffat_beta: float
    filters: tuple[str, ...]
    saturation: float | None
    masked_value: float | None
    zero_point_key: str | None
    header: tuple[dict[str, str], ...]
    source: dict[str, str]

    def zero_point(self, filter_name: str, where: str = "") -> float:
        """AB zero point of `filter_name`. Raises KeyError where only a header could tell."""
        return self._by_filter("zero_point_ab", filter_name, where)

    def psf_fwhm(self, filter_name: str, where: str = "") -> float:
        """Typical PSF FWHM in arcsec in `filter_name`."""
        return self._by_filter("psf_fwhm_arcsec", filter_name, where)

    def _by_filter(self, fact: str, filter_name: str, where: str) -> float:
        values: dict[str, float] = getattr(self, fact)
        known = filter_named(filter_name, where)
        for key in (known.name, "default"):
            if key in values:
                return values[key]
        raise KeyError(
            f"{where + ': ' if where else ''}survey {self.name} has no {fact} for filter "
            f"{known.name}; add it to resources/surveys.yaml, or give it in the config or header"
        )


def _survey(name: str, entry: dict, path: str) -> Survey:
    unknown = set(entry) - {*_FACTS, *_OPTIONAL, "sources"}
    missing = [fact for fact in (*_FACTS, "sources") if fact not in entry]
    if unknown or missing:
        raise ValueError(
            f"{path}: survey {name}: missing {missing}, unknown keys {sorted(unknown)}"
        )
    # where no value of saturation is given, its source says what tells instead
    wanted = [*(fact for fact in entry if fact != "sources"), "saturation"]
    unsourced = [fact for fact in dict.fromkeys(wanted) if fact not in entry["sources"]]
    if unsourced:
        raise ValueError(f"{path}: survey {name}: no source for {', '.join(unsourced)}")
    return Survey(
        name=name,
        pixel_scale_arcsec=float(entry["pixel_scale_arcsec"]),
        zero_point_ab=_filter_table(entry["zero_point_ab"]),
        psf_fwhm_arcsec=_filter_table(entry["psf_fwhm_arcsec"]),
        moffat_beta=float(entry["moffat_beta"]),
        filters=tuple(filter_named(one, f"{path}: {name}").name for one in entry["filters"]),
        saturation=entry.get("saturation"),
        masked_value=entry.get("masked_value"),
        zero_point_key=entry.get("zero_point_key"),
        header=tuple(dict(one) for one in entry.get("header", [])),
        source=dict(entry["sources"]),
    )


def _filter_table(values: dict[str, float]) -> dict[str, float]:
    return {
        key if key == "default" else filter_named(key).name: float(value)
        for key, value in values.items()
    }


@cache
def load_surveys() -> dict[str, Survey]:
    """All surveys of resources/surveys.yaml, by name."""
    path = RESOURCES / "surveys.yaml"
    table = yaml.safe_load(path.read_text())["surveys"]
    return {name: _survey(name, entry, str(path)) for name, entry in table.items()}


def survey_named(name: str, where: str = "") -> Survey:
    """The survey called `name`. Raises KeyError naming `where`, what is known and the remedy."""
    surveys = load_surveys()
    if name not in surveys:
        raise KeyError(
            f"{where + ': ' if where else ''}unknown survey {name!r} (known: "
            f"{', '.join(sorted(surveys))}); add it to resources/surveys.yaml"
        )
    return surveys[name]
