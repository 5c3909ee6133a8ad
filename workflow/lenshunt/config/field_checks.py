"""Checks of whole fields (readers relics and field): what negatives need, and shared images."""

from collections.abc import Iterator

from lenshunt.config.datasets import FieldDataset, RelicsDataset
from lenshunt.config.root import Config, MassModel


def check_fields(config: Config) -> list[str]:
    """Sentences, each naming a key, about fields that cannot be used as they are configured."""
    problems: list[str] = []
    for name, dataset in config.datasets.items():
        if isinstance(dataset, RelicsDataset):
            problems += _relics(f"datasets.{name}", dataset)
        elif isinstance(dataset, FieldDataset):
            problems += _field(f"datasets.{name}", dataset)
    return [*problems, *_shared_images(config), *_overlays(config)]


def _relics(key: str, dataset: RelicsDataset) -> Iterator[str]:
    if dataset.role not in ("negatives", "search"):
        yield f"{key}.role: {dataset.role}, but reader relics has roles negatives and search"
    for cluster, field in dataset.fields.items():
        here = f"{key}.fields.{cluster}"
        yield from _named_filters(here, "weights", field.weights, field.images)
        if not field.images:
            yield f"{here}.images: names no image"
        if (field.deflection_x is None) != (field.deflection_y is None):
            yield f"{here}.deflection_x and deflection_y: one is missing; name both or none"
        if field.kappa and field.deflection_x is None:
            yield f"{here}.kappa: of no use without deflection_x and deflection_y; name them"
        if dataset.role != "negatives":
            continue
        if field.arcs is None and field.deflection_x is None:
            yield (
                f"{here}.arcs: neither an arc list nor deflection_x and deflection_y, so members "
                "may be lensed; name one of them, or leave the field out"
            )
        z_cluster = dataset.z_cluster.get(cluster)
        if z_cluster is None:
            yield f"{key}.z_cluster.{cluster}: missing; its members are told by their redshift"
        elif field.deflection_x and dataset.z_source_max <= z_cluster:
            yield (
                f"{key}.z_source_max: {dataset.z_source_max} is not behind {cluster} at {z_cluster}"
            )


def _field(key: str, dataset: FieldDataset) -> Iterator[str]:
    if dataset.role == "pretrain":
        yield f"{key}.role: pretrain, but reader field has roles search, negatives and labelled"
    if dataset.role in ("negatives", "labelled") and dataset.label_source == "unlabelled":
        yield f"{key}.label_source: unlabelled, but role {dataset.role} gives labels; name theirs"
    if dataset.catalogue is None and (dataset.role != "search" or dataset.scan_step_arcsec is None):
        yield (
            f"{key}.catalogue: missing; only role search can do without one, with a "
            "scan_step_arcsec"
        )
    yield from _named_filters(key, "weights", dataset.weights, dataset.images)
    yield from _named_filters(key, "zero_point_ab", dataset.zero_point_ab, dataset.images)
    yield from _named_filters(key, "psfs", dataset.psfs, dataset.images)
    without = [name for name in dataset.images if dataset.psfs and name not in dataset.psfs]
    if without:
        yield f"{key}.psfs: no PSF of {', '.join(without)}; name one for every filter, or none"


def _named_filters(
    key: str, part: str, named: dict[str, str] | dict[str, float], images: dict[str, str]
) -> Iterator[str]:
    for name in named:
        if name not in images:
            yield f"{key}.{part}: {name} is not among its images ({', '.join(images)})"


def _image_files(dataset: RelicsDataset | FieldDataset) -> list[str]:
    if isinstance(dataset, FieldDataset):
        return list(dataset.images.values())
    return [path for field in dataset.fields.values() for path in field.images.values()]


def _shared_images(config: Config) -> Iterator[str]:
    """A field that is scored never gives training samples, under whatever name and reader."""
    fields = {
        name: dataset
        for name, dataset in config.datasets.items()
        if isinstance(dataset, (RelicsDataset, FieldDataset))
    }
    scored = {
        path: name
        for name, dataset in fields.items()
        if dataset.role == "search"
        for path in _image_files(dataset)
    }
    for name, dataset in fields.items():
        shared = [path for path in _image_files(dataset) if path in scored]
        if dataset.role != "search" and shared:
            yield (
                f"datasets.{name}: {shared[0]} is scored by {scored[shared[0]]}; a field that is "
                "scored must not give training samples"
            )


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


def _overlays(config: Config) -> Iterator[str]:
    for name, cluster in config.clusters.items():
        for label, model in cluster.models.items():
            yield from _mass_model(f"clusters.{name}.models.{label}", model, cluster.z_sources)
        dataset = config.datasets.get(cluster.dataset or "")
        if dataset is not None and not isinstance(dataset, RelicsDataset):
            yield (
                f"clusters.{name}.dataset: {cluster.dataset} has reader {dataset.reader}; the "
                "overlay shows a field of reader relics"
            )
