"""The configured mass models of a cluster, and the field image that shows it."""

from lenshunt.config import Cluster, RelicsDataset
from lenshunt.config.datasets import RelicsField
from lenshunt.lensing import MassModel, load_mass_model


def mass_models(cluster: Cluster) -> dict[str, MassModel]:
    """Mass models by their name in the config."""
    return {
        name: load_mass_model(m.potentials, m.images, m.members)
        for name, m in cluster.models.items()
    }


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
