# What painted lenses are made of, in files and while training: data sets and files.


def host_chunk(suffix):
    """The same chunk of the records on which an injected data set is painted."""
    return (
        lambda w: f"{R}/records/{CONFIG.datasets[w.dataset].hosts}/{w.chunk}.{suffix}"
    )


def source_records(dataset, suffix):
    """Records of all galaxies that an injected data set may lens."""
    names = CONFIG.datasets[dataset].sources
    return [path for name in names for path in records(name, suffix)]


def online_hosts(name):
    """Data sets whose galaxies carry the lenses that an experiment makes while training."""
    online = CONFIG.experiments[name].online
    return online.hosts if online else []


def online_section(name):
    """Section `online` of an experiment and its grid, as plain values; None without."""
    section = CONFIG.experiments[name]
    if section.online is None:
        return None
    return {
        "config": section.online.model_dump(),
        "grid": CONFIG.grids[section.grid].model_dump(),
    }


def online_sources(name):
    """File of the galaxies that an experiment lenses while training, where it names any."""
    online = CONFIG.experiments[name].online
    return [f"{R}/online/{name}/sources.h5"] if online and online.sources else []


def online_source_records(name, suffix):
    """Records of those galaxies."""
    names = CONFIG.experiments[name].online.sources
    return [path for dataset in names for path in records(dataset, suffix)]
