"""demo.sdss_seeing and sdss_exposures: drawn as asked for, in the images and in their headers."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from scipy.stats import kstest

from lenshunt.config import ConfigError, Demo, SeeingRange, parse_config
from lenshunt.core import ROOT
from lenshunt.images import kernel_for
from lenshunt.scenes.demo import demo_files, write_demo
from lenshunt.scenes.demo.look_alikes import FRACTIONS
from lenshunt.scenes.demo.sdss import draw_seeing, exposures, simulate_object
from lenshunt.schema import survey_named, survey_psf

WIDE = SeeingRange(best_arcsec=0.7, worst_arcsec=2.0)
R = 1


def drawn(n: int, within: SeeingRange | None) -> np.ndarray:
    """FWHM [n, band]."""
    return np.array([draw_seeing(np.random.default_rng(k), within) for k in range(n)])


def test_seeing_is_drawn_log_uniformly_in_the_range():
    seeing = drawn(2000, WIDE)[:, R]
    assert seeing.min() == 0.7
    assert seeing.max() == 2.0
    ends = np.log([0.7, 2.0])
    # steps of 0.05 arcsec are up to 0.07 wide where the seeing is best
    assert kstest(np.log(seeing), "uniform", (ends[0], ends[1] - ends[0])).statistic < 0.06


def test_bands_keep_the_ratios_of_the_survey():
    survey = survey_named("sdss")
    seeing = drawn(50, WIDE)
    ratio = survey.psf_fwhm("SDSS_G") / survey.psf_fwhm("SDSS_R")
    assert seeing[:, 0] / seeing[:, R] == pytest.approx(np.full(50, ratio), rel=0.01)


def test_without_a_range_the_seeing_is_that_of_the_survey():
    seeing = np.log(drawn(2000, None)[:, R] / survey_named("sdss").psf_fwhm("SDSS_R"))
    assert abs(seeing.mean()) < 0.01
    assert seeing.std() == pytest.approx(0.07, rel=0.1)


def test_a_broader_seeing_blurs_what_is_seen():
    peaks = {}
    for name, (best, worst) in {"sharp": (0.7, 0.71), "blurred": (1.99, 2.0)}.items():
        within = SeeingRange(best_arcsec=best, worst_arcsec=worst)
        images = [
            simulate_object(np.random.default_rng(k), 0, {"plain": 1.0}, within)[1]
            for k in range(4)
        ]
        peaks[name] = np.mean([image[R].max() / image[R].sum() for image in images])
    assert peaks["sharp"] > 1.5 * peaks["blurred"]


def test_exposures_that_are_added_up_lower_the_noise_and_nothing_else():
    one, twenty = (
        simulate_object(np.random.default_rng(2), 1, FRACTIONS, WIDE, added) for added in (1, 20)
    )
    assert one[2] == twenty[2]
    edge = np.s_[R, :8]
    assert one[1][edge].std() / twenty[1][edge].std() == pytest.approx(20**0.5, rel=0.1)
    for single, deep in zip(exposures(1), exposures(20), strict=True):
        # 20 exposures have the variance of one, sky and Poisson, 20 times less
        assert single.variance(1e3) == pytest.approx(20 * deep.variance(1e3))


def test_the_header_tells_the_seeing_of_each_object(tmp_path):
    demo = Demo(folder=str(tmp_path), sdss=10, sdss_seeing=WIDE)
    files = demo_files("sdss", demo)
    write_demo(kind="sdss", demo=demo, seed=3, out=files)
    found = []
    for path in sorted((Path(files[0]).parent / "images").glob("*.fits")):
        with fits.open(path) as hdus:
            found.append([hdu.header["SEEING"] for hdu in hdus[1:]])
    rng = np.random.default_rng([3, 3, 0])
    assert tuple(found[0]) == simulate_object(rng, int(rng.random() < 0.5), FRACTIONS, WIDE)[2]
    assert np.ptp([row[R] for row in found]) > 0.5


@pytest.mark.parametrize(
    ("seeing", "message"),
    [
        ({"best_arcsec": 2.0, "worst_arcsec": 0.7}, r"best_arcsec 2\.0 is not below worst_arcsec"),
        ({"best_arcsec": 0.2, "worst_arcsec": 1.0}, r"demo\.sdss_seeing\.best_arcsec"),
        ({"best_arcsec": 0.7}, r"demo\.sdss_seeing\.worst_arcsec"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_by_its_key(seeing, message):
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    values["demo"]["sdss_seeing"] = seeing
    with pytest.raises(ConfigError, match=message):
        parse_config(values)


def test_the_study_of_the_seeing_leaves_every_psf_as_it_is():
    """No PSF of its survey is brought to the target of its grid: the seeing stays in the images."""
    config = parse_config(yaml.safe_load((ROOT / "config" / "seeing.yaml").read_text()))
    grid, survey = config.grids["as_observed"], survey_named("sdss")
    scale = survey.pixel_scale_arcsec
    for fwhm in (config.demo.sdss_seeing.best_arcsec, config.demo.sdss_seeing.worst_arcsec):
        sharpest = fwhm * survey.psf_fwhm("SDSS_Z") / survey.psf_fwhm("SDSS_R")
        found = kernel_for(survey_psf(survey, "SDSS_Z", scale, sharpest), scale, grid)
        assert not found.matched
        assert found.match.peak_gain == 1.0
        assert grid.unmatched == "keep"
