"""The configured mass models of a cluster, and the field image that shows it."""

from lenshunt.config import Cluster, RelicsDataset, RelicsField
from lenshunt.config import MassModel as MassModelEntry
from lenshunt.lensing import LensModel, load_mass_model
from lenshunt.search.cluster.map_model import load_map_model


def mass_models(cluster: Cluster) -> dict[str, LensModel]:
    """Mass models by their name in the config, of potentials or of deflection maps."""
    return {name: _mass_model(name, entry) for name, entry in cluster.models.items()}


def _mass_model(name: str, entry: MassModelEntry) -> LensModel:
    if entry.potentials is not None:
        return load_mass_model(entry.potentials, entry.images, entry.members)
    if entry.deflection_x is None or entry.deflection_y is None or entry.z_lens is None:
        raise ValueError(
            f"mass model {name}: it needs `potentials`, or `deflection_x`, `deflection_y` and "
            "`z_lens`"
        )
    return load_map_model(
        entry.deflection_x,
        entry.deflection_y,
        entry.z_lens,
        entry.images,
        entry.members,
        entry.kappa,
    )


def centre_of(model: LensModel, reference: LensModel) -> tuple[float, float]:
    """(x, y) arcsec in `model` of the reference position of another: teams choose their own."""
    x, y = model.tangent(reference.ra0, reference.dec0)
    return float(x), float(y)


def shown_field(cluster: Cluster, dataset: RelicsDataset | None) -> RelicsField | None:
    """The field of `dataset` that shows the cluster; None without a data set.

    Raises ValueError naming the key where the field is not there or not unique.
    """
    if dataset is None:
        return None
    known = ", ".join(dataset.fields)
    if cluster.field is None:
        if len(dataset.fields) == 1:
            return next(iter(dataset.fields.values()))
        raise ValueError(f"clusters: key `field` is needed, one of: {known}")
    if cluster.field not in dataset.fields:
        raise ValueError(
            f"clusters: field {cluster.field!r} is not in the data set; it has {known}"
        )
    return dataset.fields[cluster.field]
