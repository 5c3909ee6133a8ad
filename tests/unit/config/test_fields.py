"""Checks of whole fields before any job is planned: what negatives need, and shared images."""

import pytest
import yaml

from lenshunt.config import ConfigError, check_config, parse_config
from lenshunt.core import ROOT

BASE = {"survey": "hst", "grids": ["space"]}
RELICS = {
    "reader": "relics",
    "role": "negatives",
    "z_cluster": {"a": 0.4},
    "fields": {"a": {"images": {"F814W": "a.fits"}, "catalogue": "a.txt", "arcs": "a.ecsv"}},
    **BASE,
}
FIELD = {
    "reader": "field",
    "role": "search",
    "images": {"F606W": "r.fits", "F814W": "i.fits"},
    "catalogue": "i.csv",
    **BASE,
}
GRIDS = {"space": {"psf_fwhm_arcsec": 0.2, "pixel_scale_arcsec": 0.06, "unmatched": "keep"}}


def problems(**datasets):
    """What check_config says of these data sets; "" where they are good."""
    config = parse_config({"grids": GRIDS, "datasets": datasets})
    try:
        check_config(config, {})
    except ConfigError as error:
        return str(error)
    return ""


def relics(field=None, **more):
    changed = {k: v for k, v in {**RELICS["fields"]["a"], **(field or {})}.items() if v is not None}
    return {**RELICS, "fields": {"a": changed}, **more}


MAPS = {"deflection_x": "x.fits", "deflection_y": "y.fits"}


def test_arcs_or_maps_or_both_are_enough_for_negatives():
    assert problems(n=relics()) == ""
    assert problems(n=relics({"arcs": None, **MAPS})) == ""
    assert problems(n=relics({**MAPS, "kappa": "k.fits"})) == ""
    # a field to be searched needs neither, nor a redshift
    assert problems(n=relics({"arcs": None}, role="search", z_cluster={})) == ""


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (relics({"arcs": None}), "datasets.n.fields.a.arcs: neither an arc list nor deflection_x"),
        (relics({"arcs": None, "deflection_x": "x"}), "deflection_x and deflection_y: one is miss"),
        (relics({"kappa": "k"}), "datasets.n.fields.a.kappa: of no use without deflection_x"),
        (relics(z_cluster={}), "datasets.n.z_cluster.a: missing"),
        (relics(MAPS, z_source_max=0.3), "datasets.n.z_source_max: 0.3 is not behind a at 0.4"),
        (relics(role="labelled"), "datasets.n.role: labelled, but reader relics"),
        (relics({"weights": {"F606W": "w"}}), "datasets.n.fields.a.weights: F606W is not among"),
        (relics({"images": {}}), "datasets.n.fields.a.images: names no image"),
        ({**FIELD, "role": "pretrain"}, "datasets.n.role: pretrain, but reader field"),
        ({**FIELD, "role": "negatives"}, "datasets.n.label_source: unlabelled, but role negatives"),
        ({**FIELD, "catalogue": None}, "datasets.n.catalogue: missing; only role search"),
        ({**FIELD, "psfs": {"F606W": "p"}}, "datasets.n.psfs: no PSF of F814W"),
        ({**FIELD, "weights": {"F105W": "w"}}, "datasets.n.weights: F105W is not among its images"),
        ({**FIELD, "zero_point_ab": {"F105W": 26.0}}, "datasets.n.zero_point_ab: F105W is not"),
    ],
)
def test_fields_that_cannot_be_used_are_named_by_their_key(dataset, message):
    assert message in problems(n=dataset)


def test_a_field_of_ones_own_can_be_searched_by_catalogue_or_scan():
    assert problems(n=FIELD) == ""
    assert problems(n={**FIELD, "catalogue": None, "scan_step_arcsec": 3.0}) == ""
    assert problems(n={**FIELD, "role": "negatives", "label_source": "obs:matched"}) == ""


def test_a_search_entry_scores_a_field_of_ones_own():
    """The example of a survey team: a data set of reader field, and the search that scores it."""
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    values["datasets"]["mine"] = {**FIELD, "magnitudes": {"F814W": "MAG_AUTO"}}
    values["search"]["mine"] = {"dataset": "mine", "experiment": "space", "prevalence": 1e-4}
    config = parse_config(values)
    check_config(config, {})
    assert config.datasets[config.search["mine"].dataset].reader == "field"


def test_images_that_are_scored_give_no_training_samples_under_any_reader():
    fields = {"a": {"images": {"F814W": "i.fits"}, "catalogue": "a.txt", "arcs": "a.ecsv"}}
    found = problems(mine=FIELD, n={**RELICS, "fields": fields})
    assert "datasets.n: i.fits is scored by mine" in found


def test_an_overlay_shows_a_relics_field_alone():
    config = parse_config({
        "grids": GRIDS,
        "datasets": {"mine": FIELD},
        "clusters": {"c": {"models": {"m": {"potentials": "p", "images": "i"}}, "dataset": "mine"}},
    })  # fmt: skip
    with pytest.raises(ConfigError, match=r"clusters\.c\.dataset: mine has reader field"):
        check_config(config, {})


MAP_MODEL = {"deflection_x": "x.fits", "deflection_y": "y.fits", "z_lens": 0.4, "images": "i"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"images": "i"}, r"names neither `potentials` nor `deflection_x`"),
        ({**MAP_MODEL, "deflection_y": None}, r"deflection_y: missing; a model of maps needs"),
        ({**MAP_MODEL, "z_lens": None}, r"z_lens: missing; a deflection map does not tell"),
        ({**MAP_MODEL, "z_lens": 1.5}, r"z_lens: 1\.5, but z_sources has 1\.0, not behind it"),
        ({**MAP_MODEL, "potentials": "p"}, r"deflection_x: of no use beside `potentials`"),
        ({"potentials": "p", "images": "i", "z_lens": 0.4}, r"z_lens: of no use beside"),
    ],
)
def test_a_mass_model_is_of_potentials_or_of_maps(model, message):
    values = {
        "grids": GRIDS,
        "datasets": {"mine": FIELD},
        "clusters": {"c": {"models": {"m": model}}},
    }
    with pytest.raises(ConfigError, match=r"clusters\.c\.models\.m[.:] ?" + message):
        check_config(parse_config(values), {})


def test_several_mass_models_of_both_kinds_are_accepted():
    models = {"lenstool": {"potentials": "p", "images": "i"}, "ltm": MAP_MODEL}
    check_config(
        parse_config(
            {"grids": GRIDS, "datasets": {"mine": FIELD}, "clusters": {"c": {"models": models}}}
        ),
        {},
    )


def test_the_keys_of_the_field_reader_are_explained():
    text = (ROOT / "config" / "README.md").read_text()
    for key in ("weight_kind", "first_pixel", "scan_step_arcsec", "deflection_x", "z_source_max"):
        assert f"`{key}`" in text
