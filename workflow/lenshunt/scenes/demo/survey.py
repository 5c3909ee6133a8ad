"""The demo survey: which files of each kind are promised, and one function that writes a kind.

Files below `demo.folder` (NAME in capitals varies; key files are marked *):

galaxiesml      galaxiesml/5x64x64_{training,validation,testing}_with_morphology.hdf5 *
bologna_ground  bologna_ground/classifications.csv *
                bologna_ground/Public/Band{1,2,3,4}/imageSDSS_{R,I,G,U}-ID.fits
bologna_test    as bologna_ground, below bologna_test/, where `demo.bologna_test` asks for it
sdss            sdss/catalogue.csv *
                sdss/images/NAME.fits, extensions g r i z
castles         castles/castles.tsv *
                castles/images/SYSTEM_{F555W,F814W}.fits
relics          relics/CLUSTER/hlsp_relics_hst_acs-60mas_CLUSTER_{f606w,f814w}_v1_{drc,wht}.fits *
                relics/CLUSTER/hlsp_relics_hst_acs-wfc3ir_CLUSTER_multi_v1_cat.txt *
                relics/CLUSTER/arcs.ecsv *; CLUSTER is demo0001, demo0002, ...
smacs0723       smacs0723/hlsp_relics_hst_acs-60mas_smacs0723m73_{f606w,f814w}_v1_{drc,wht}.fits *
                smacs0723/hlsp_relics_hst_acs-wfc3ir_smacs0723m73_multi_v1_cat.txt *
"""

from importlib import import_module
from pathlib import Path

from lenshunt.config import Demo

#: What writes each kind, as function (folder, demo, seed); a job imports only the one it needs.
WRITERS: dict[str, str] = {
    "galaxiesml": "lenshunt.scenes.demo.galaxiesml.write_galaxiesml",
    "bologna_ground": "lenshunt.scenes.demo.bologna.write_bologna_ground",
    "bologna_test": "lenshunt.scenes.demo.bologna.write_bologna_test",
    "sdss": "lenshunt.scenes.demo.sdss.write_sdss",
    "castles": "lenshunt.scenes.demo.castles.write_castles",
    "relics": "lenshunt.scenes.demo.relics.write_relics",
    "smacs0723": "lenshunt.scenes.demo.smacs0723.write_smacs0723",
}
#: Filters of the cluster fields.
FIELD_FILTERS = ("F606W", "F814W")
#: Name of the field of SMACS J0723.3-7327 in the RELICS files.
SMACS_NAME = "smacs0723m73"
_SPLITS = ("training", "validation", "testing")


def demo_kinds(demo: Demo) -> list[str]:
    """Kinds that this demo writes: bologna_test only where it is asked for."""
    return [kind for kind in WRITERS if kind != "bologna_test" or demo.bologna_test]


def cluster_names(demo: Demo) -> list[str]:
    """Names of the fictional RELICS clusters."""
    return [f"demo{number:04d}" for number in range(1, demo.relics_fields + 1)]


def field_image(cluster: str, filter_name: str, product: str) -> str:
    """File name of a drizzled image (product drc) or its weights (wht)."""
    return f"hlsp_relics_hst_acs-60mas_{cluster}_{filter_name.lower()}_v1_{product}.fits"


def field_catalogue(cluster: str) -> str:
    """File name of the source catalogue of a field."""
    return f"hlsp_relics_hst_acs-wfc3ir_{cluster}_multi_v1_cat.txt"


def _field_files(cluster: str) -> list[str]:
    images = [
        field_image(cluster, name, product) for name in FIELD_FILTERS for product in ("drc", "wht")
    ]
    return [*images, field_catalogue(cluster)]


def demo_files(kind: str, demo: Demo) -> list[str]:
    """Key files of one kind: what its readers are configured with, few even when it has many.

    Raises KeyError naming the kinds there are.
    """
    match kind:
        case "galaxiesml":
            names = [f"5x64x64_{split}_with_morphology.hdf5" for split in _SPLITS]
        case "bologna_ground" | "bologna_test":
            names = ["classifications.csv"]
        case "sdss":
            names = ["catalogue.csv"]
        case "castles":
            names = ["castles.tsv"]
        case "relics":
            names = [
                f"{cluster}/{name}"
                for cluster in cluster_names(demo)
                for name in (*_field_files(cluster), "arcs.ecsv")
            ]
        case "smacs0723":
            names = _field_files(SMACS_NAME)
        case _:
            raise KeyError(f"unknown demo kind {kind!r}; there are {', '.join(WRITERS)}")
    return [str(Path(demo.folder) / kind / name) for name in names]


def write_demo(*, kind: str, demo: Demo, seed: int, out: list[str]) -> None:
    """Write one kind of the demo survey; the same seed writes the same bytes.

    out : the declared key files, as `demo_files` lists them; they appear last
    Raises ValueError where `out` differs from that list, and where the demo has no such kind.
    """
    expected = demo_files(kind, demo)
    if sorted(out) != sorted(expected):
        raise ValueError(f"demo {kind} writes {expected}, but {out} was asked for")
    module, _, function = WRITERS[kind].rpartition(".")
    write = getattr(import_module(module), function)
    write(Path(demo.folder) / kind, demo, seed)
