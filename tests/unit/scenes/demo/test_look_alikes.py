"""demo.impostors: the fractions asked for are drawn, and bad ones are refused by their key."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from lenshunt.config import ConfigError, Demo, Impostors, parse_config
from lenshunt.core import ROOT
from lenshunt.scenes.deflectors import ARC_MAGNITUDE_BOUNDS, CONTRAST_MAG_MAX, draw_deflector
from lenshunt.scenes.demo import bologna, demo_files, sdss, write_demo
from lenshunt.scenes.demo.look_alikes import FRACTIONS, NON_LENSES


def values(**demo: object) -> dict:
    loaded = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return {**loaded, "demo": {**loaded["demo"], **demo}}


def test_every_kind_that_can_be_painted_is_a_key_and_no_other():
    assert list(Impostors.model_fields) == list(NON_LENSES)


def test_the_default_fractions_are_those_of_the_configuration():
    assert parse_config(values()).demo.impostors.model_dump() == FRACTIONS


def test_kinds_that_are_not_named_have_none():
    impostors = parse_config(values(impostors={"ring": 0.25, "spiral": 0.75})).demo.impostors
    assert impostors.model_dump() == dict.fromkeys(NON_LENSES, 0.0) | {
        "ring": 0.25,
        "spiral": 0.75,
    }


@pytest.mark.parametrize(
    ("impostors", "message"),
    [
        ({"ring": 0.5}, r"demo\.impostors: .*sum to 0\.5, not to 1"),
        ({"ring": 1.2, "spiral": -0.2}, r"demo\.impostors\.(ring|spiral): "),
        ({"blob": 1.0}, r"demo\.impostors\.blob: "),
        ({}, r"demo\.impostors: .*sum to 0, not to 1"),
    ],
)
def test_fractions_that_make_no_sense_are_refused_by_their_key(impostors, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(values(impostors=impostors))


@pytest.mark.parametrize("survey", [bologna, sdss], ids=["bologna_ground", "sdss"])
def test_a_survey_draws_the_kinds_that_it_is_asked_for(survey):
    wanted = {"ring": 1.0}
    kinds = {
        survey.simulate_object(np.random.default_rng(k), label, wanted)[0].kind
        for k in range(3)
        for label in (0, 1)
    }
    assert kinds == {"ring", "lens"}


@pytest.mark.parametrize("kind", ["bologna_ground", "sdss"])
def test_the_key_reaches_the_files_of_the_non_lenses_alone(kind, tmp_path):
    written = {}
    for name, impostors in (("rings", {"ring": 1.0}), ("plain", {"plain": 1.0})):
        demo = Demo(folder=str(tmp_path / name), bologna_ground=10, sdss=10, impostors=impostors)
        files = demo_files(kind, demo)
        write_demo(kind=kind, demo=demo, seed=5, out=files)
        folder = Path(files[0]).parent
        written[name] = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.fits")
        }
    rings, plain = written["rings"], written["plain"]
    assert rings.keys() == plain.keys()
    same = [rings[name] == plain[name] for name in rings]
    # the lenses are the same, the others are not
    assert 0 < sum(same) < len(same)


def test_the_light_of_arcs_and_of_impostors_does_not_depend_on_the_lens_galaxy():
    """A bright galaxy has no brighter arcs, but for those too faint beside it to be listed."""
    drawn = [draw_deflector(np.random.default_rng(k)) for k in range(600)]
    arcs = np.array([lens.arc_magnitude_i for lens in drawn])
    galaxies = np.array([lens.magnitude_i for lens in drawn])
    assert (arcs >= ARC_MAGNITUDE_BOUNDS[0]).all()
    assert (arcs <= ARC_MAGNITUDE_BOUNDS[1]).all()
    assert (arcs - galaxies <= CONTRAST_MAG_MAX).all()
    # beside these no arc is too faint; 0 +- 0.07 for 200 of them
    free = galaxies > np.quantile(galaxies, 2 / 3)
    assert galaxies[free].min() > 19.5
    assert abs(np.corrcoef(arcs[free], galaxies[free])[0, 1]) < 0.25


def test_a_magnitude_limit_of_the_sample_is_kept():
    drawn = [draw_deflector(np.random.default_rng(k), magnitude_max=18.5) for k in range(50)]
    assert max(lens.magnitude_i for lens in drawn) <= 18.5
