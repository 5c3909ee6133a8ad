"""Hosts of injected lenses, and look-alikes on them: what may carry arcs, what resembles them."""

from dataclasses import replace

import numpy as np
import pytest
from injection_samples import POPULATION, host
from pydantic import ValidationError

from lenshunt.config import HardNegativeKinds
from lenshunt.core.cosmology import fine_distances
from lenshunt.scenes.arcs import ray_grid
from lenshunt.scenes.host_lenses import at_redshift
from lenshunt.scenes.host_look_alikes import FRACTIONS, KINDS, _Place, inject_look_alike
from lenshunt.scenes.hosts import UnsuitableHostError, host_shape, survey_of
from lenshunt.scenes.inject import inject, visible_lens
from lenshunt.scenes.painted_noise import matched_snr


def test_a_lens_has_the_redshift_of_its_host():
    one = host(13).with_metadata(z_spec=0.43)
    truth = inject(np.random.default_rng(2), one, POPULATION, "painted").truth
    assert truth["z_lens"] == 0.43
    place = (np.array(truth[name]) for name in ("sigma_km_s", "z_lens", "z_source"))
    assert truth["theta_e"] == pytest.approx(float(fine_distances().einstein_radius(*place)))


def test_a_lens_is_not_moved_to_a_host_behind_its_source():
    row = dict(POPULATION.iloc[0])
    assert at_redshift(row, row["z_source"] + 0.1) is None
    assert at_redshift(row, float("nan")) == row


def test_a_star_is_no_host():
    one = host(1)
    image = np.random.default_rng(1).normal(0, 1, one.image.shape).astype(np.float32)
    image[:3, 8:39, 8:39] += 8000.0 * one.psf[:3]
    with pytest.raises(UnsuitableHostError, match="as compact as its PSF"):
        host_shape(replace(one, image=image))


def test_a_galaxy_cut_off_by_the_edge_of_the_chip_is_no_host():
    one = host(15)
    one.variance[:, :, 28:] = np.inf
    with pytest.raises(UnsuitableHostError, match="edge, bright star"):
        host_shape(one)


def test_a_blue_galaxy_is_no_host():
    one = host(16)
    image = one.image.copy()
    image[0] = 0.8 * image[2]
    with pytest.raises(UnsuitableHostError, match="bluer than early types"):
        inject(np.random.default_rng(1), replace(one, image=image), POPULATION, "painted")


def test_a_galaxy_fainter_than_all_lenses_is_no_host():
    bright = POPULATION[POPULATION["lens_magnitude"] < 18]
    with pytest.raises(UnsuitableHostError, match="as bright or faint"):
        inject(np.random.default_rng(1), host(17), bright, "painted")


def test_a_galaxy_at_a_redshift_of_no_lens_is_told_so():
    far = host(1).with_metadata(z_spec=4.0)
    with pytest.raises(UnsuitableHostError, match=r"no lens of the population .* redshift"):
        inject(np.random.default_rng(1), far, POPULATION, "painted")


def test_correlated_noise_makes_a_survey_shallower():
    plain, correlated = (
        survey_of([replace(host(18), noise_corr=np.full(5, value, np.float32))])
        for value in (1.0, 4.0)
    )
    assert plain.depth_5sigma - correlated.depth_5sigma == pytest.approx(2.5 * np.log10(2.0))
    assert len(plain.bands) == 3


def test_arcs_are_seen_in_one_band_not_in_the_sum_of_all():
    one = host(19)
    painted = visible_lens(np.random.default_rng(3), one, POPULATION, None, 20.0, 20)
    arcs = painted.arcs_njy
    best = max(matched_snr(arcs[[b]], one.variance[[b]], one.noise_corr[[b]]) for b in range(3))
    assert 20.0 <= painted.visible_snr < best


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_alike_has_the_light_of_the_arcs_it_replaces(kind):
    """Flux in every band as the arcs', and so their colours; another shape, and no lens label."""
    one, only = host(20), {kind: 1.0}
    made = inject_look_alike(
        np.random.default_rng(5), one, POPULATION, "painted", snr_min=10.0, fractions=only
    )
    arcs = visible_lens(np.random.default_rng(5), one, POPULATION, None, 10.0, 20).arcs_njy
    assert made.truth["kind"] == kind
    assert made.light_njy.sum(axis=(1, 2)) == pytest.approx(arcs.sum(axis=(1, 2)), rel=1e-3)
    assert np.abs(made.light_njy - arcs).max() > 0.2 * arcs.max()
    record = made.record.metadata
    assert (record.label, record.label_source) == (0, "sim:injection")
    assert np.isnan([record.einstein_radius, record.flux_ratio, record.arc_snr]).all()
    assert record.system_id == made.host.metadata.system_id == one.metadata.system_id
    assert np.array_equal(made.host.image, one.image)
    assert not np.array_equal(made.record.image, one.image)


def test_a_tangential_disc_lies_across_the_line_to_the_host():
    one, only, along = host(21), {"tangential": 1.0}, []
    for k in range(12):
        light = inject_look_alike(
            np.random.default_rng(k), one, POPULATION, "p", snr_min=5.0, fractions=only
        ).light_njy[2].astype(float)  # fmt: skip
        y, x = np.indices(light.shape) - 23.5
        x0, y0 = (light * x).sum() / light.sum(), (light * y).sum() / light.sum()
        dx, dy = x - x0, y - y0
        xx, yy, xy = ((light * p).sum() for p in (dx * dx, dy * dy, dx * dy))
        along.append(np.cos(np.arctan2(2 * xy, xx - yy) - 2 * np.arctan2(y0, x0)))
    assert np.mean(along) < -0.4


def test_a_single_image_shows_next_to_nothing_twice():
    """Light from within the Einstein radius of the source plane has a second image."""
    one, twice = host(22), []
    for k in range(12):
        painted = visible_lens(np.random.default_rng(k), one, POPULATION, None, 5.0, 20)
        x, y = ray_grid((48, 48), 0.168, 3)
        light = KINDS["single_image"](_Place(x, y, painted, np.random.default_rng(k)))
        mass = painted.lens.mass
        behind = mass.source_position(x, y)
        within = np.hypot(behind[0] - mass.x, behind[1] - mass.y) < mass.theta_e
        if light.any():
            twice.append(light[within].sum() / light.sum())
    assert len(twice) > 6
    assert max(twice) <= 0.1


def test_a_galaxy_beyond_the_edge_of_the_image_is_not_painted_as_its_outskirts(monkeypatch):
    # 48 pixels of 0.168 arcsec: the edge is 4 arcsec away, and only wings lie within
    monkeypatch.setitem(KINDS, "companion", lambda place: place.galaxy(4.5, 0.0, 0.5))
    made = inject_look_alike(
        np.random.default_rng(5), host(20), POPULATION, "painted", snr_min=10.0,
        fractions={"companion": 1.0},
    )  # fmt: skip
    assert made is None


def test_the_fractions_of_look_alikes_are_those_of_the_configuration():
    assert set(FRACTIONS) == set(KINDS)
    assert sum(FRACTIONS.values()) == pytest.approx(1.0)
    with pytest.raises(ValidationError, match="blob"):
        HardNegativeKinds(blob=1.0)
    with pytest.raises(ValidationError, match="sum to 0\\.4, not to 1"):
        HardNegativeKinds(ring=0.4)
