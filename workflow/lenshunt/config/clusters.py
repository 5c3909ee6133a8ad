"""Section `clusters`: candidates drawn on the critical curves of a cluster."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from lenshunt.config.base import Strict, undefined
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.config.fields import RelicsDataset


class MassModel(Strict):
    """A published lens model: `potentials`, or deflection maps with `z_lens`."""

    potentials: str | None = None
    """Lenstool .par file, or ECSV of dPIE potentials."""
    deflection_x: str | None = None
    """Deflection map, x in arcsec at D_LS/D_S = 1 (x-arcsec-deflect.fits of RELICS and HFF)."""
    deflection_y: str | None = None
    """Deflection map of the same model, y in arcsec (y-arcsec-deflect.fits)."""
    kappa: str | None = None
    """Convergence map of the same model; the deflections are checked against it."""
    z_lens: float | None = Field(None, gt=0)
    """Redshift of the cluster, for maps; potentials bring theirs."""
    images: str
    """Multiple images: Lenstool arcs file, or ECSV."""
    members: str | None = None
    """Cluster members: Lenstool catalogue, or ECSV."""


class Cluster(Strict):
    """The overlay of candidates on the critical curves of a cluster."""

    models: dict[str, MassModel] = Field(min_length=1)
    """Mass models by the name in the figure's legend."""
    z_sources: list[float] = [1.0, 2.0, 9.0]
    """Source redshifts of the critical curves."""
    dataset: str | None = None
    """Data set of role search whose fields show the cluster; none draws the model alone."""
    field: str | None = None
    """Name of the field in that data set."""
    search: str | None = None
    """Key of `search` that scores it."""
    random_catalogues: int = Field(1000, ge=10)
    """Magnitude-matched random subsets for the p-value."""
    probability_min: float = Field(0.5, ge=0, le=1)
    """Candidates below this calibrated probability are not counted in the numbers."""


def check_clusters(
    clusters: Mapping[str, Cluster],
    searches: Mapping[str, object],
    datasets: Mapping[str, DatasetSection],
) -> list[str]:
    """What does not fit together, by key."""
    problems: list[str] = []
    for name, cluster in clusters.items():
        key = f"clusters.{name}"
        problems += undefined(f"{key}.search", cluster.search, searches)
        problems += undefined(f"{key}.dataset", cluster.dataset, datasets)
        for label, model in cluster.models.items():
            problems += _mass_model(f"{key}.models.{label}", model, cluster.z_sources)
        dataset = datasets.get(cluster.dataset or "")
        if dataset is not None and not isinstance(dataset, RelicsDataset):
            problems.append(
                f"{key}.dataset: {cluster.dataset} has reader {dataset.reader}; the "
                "overlay shows a field of reader relics"
            )
    return problems


def _mass_model(key: str, model: MassModel, z_sources: list[float]) -> Iterator[str]:
    maps = {"deflection_x": model.deflection_x, "deflection_y": model.deflection_y}
    named = [name for name in ("deflection_x", "deflection_y", "kappa") if getattr(model, name)]
    if model.potentials:
        for name in [*named, *(["z_lens"] if model.z_lens is not None else [])]:
            yield f"{key}.{name}: of no use beside `potentials`; name it in a model of its own"
        return
    if not named:
        yield f"{key}: names neither `potentials` nor `deflection_x` and `deflection_y`"
        return
    for name, path in maps.items():
        if not path:
            yield f"{key}.{name}: missing; a model of maps needs deflection_x and deflection_y"
    if model.z_lens is None:
        yield f"{key}.z_lens: missing; a deflection map does not tell the redshift of its lens"
        return
    for z_source in z_sources:
        if z_source <= model.z_lens:
            yield f"{key}.z_lens: {model.z_lens}, but z_sources has {z_source}, not behind it"
