"""Photometry through the whole chain: raw FITS to 16-bit file, against the injected flux."""

import numpy as np
import pytest
from images_samples import BANDS, GROUND, write_cutouts, write_manifest
from photometry import CASES, Source, recover
from raw_samples import write_records
from stamp_photometry import against, against_injected, stamp_fluxes

from lenshunt.config import QualityConfig
from lenshunt.images import (
    aperture_photometry,
    growth_curve,
    homogenise_chunk,
    make_kernels,
    read_cutouts,
    target_psf,
)
from lenshunt.schema import SLOTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Fluxes put in, and the homogenised image, variance and table of what came out."""
    folder = tmp_path_factory.mktemp("photometry")
    fluxes = np.geomspace(2e3, 2e5, 60)
    dataset = write_cutouts(folder / "raw", fluxes, sigma_njy=1.0, sky=0.5)
    names = {
        n: str(folder / n) for n in ("p.h5", "m.pq", "r.ecsv", "k.h5", "k.csv", "t.tif", "h.pq")
    }
    write_records(
        name="stars",
        dataset=dataset,
        chunk=0,
        chunks=1,
        manifest=write_manifest(dataset, folder),
        pixels=names["p.h5"],
        metadata=names["m.pq"],
        rejected=names["r.ecsv"],
    )
    make_kernels(
        chunks=[(names["p.h5"], names["m.pq"])],
        grid=GROUND,
        out=names["k.h5"],
        table=names["k.csv"],
    )
    homogenise_chunk(
        pixels=names["p.h5"],
        metadata=names["m.pq"],
        kernels=names["k.h5"],
        grid=GROUND,
        quality=QualityConfig(),
        out=names["t.tif"],
        out_metadata=names["h.pq"],
    )
    ((image, variance, table),) = read_cutouts(names["t.tif"], names["h.pq"], batch=100)
    return fluxes, image, variance, table


@pytest.mark.parametrize("diameter", [2.0, 3.0, 5.0])
def test_the_flux_in_an_aperture_is_the_injected_one_to_0_3_percent(chain, diameter):
    fluxes, image, variance, _ = chain
    psf = target_psf(GROUND)
    inside = growth_curve(psf, np.array([diameter / 2 / GROUND.pixel_scale_arcsec]))[0]
    # The 81 px cutout is centred on a pixel, the 64 px grid between pixels.
    measured = _aperture_on_star(image, variance, diameter)
    for band in (SLOTS.index(name) for name in BANDS):
        ratio = measured[:, band] / (fluxes * inside)
        weight = fluxes**2
        assert np.average(ratio, weights=weight) == pytest.approx(1, abs=0.003)
        assert np.median(ratio) == pytest.approx(1, abs=0.003)


def _aperture_on_star(image, variance, diameter):
    """Flux about the star: the odd cutout has its centre half a pixel off the even grid's."""
    size = image.shape[-1] - 1
    parts = []
    for y in (0, 1):
        for x in (0, 1):
            part = (..., slice(y, y + size), slice(x, x + size))
            parts.append(
                aperture_photometry(
                    image[part], variance[part], GROUND.pixel_scale_arcsec, 1.0, diameter
                )[0]
            )
    return np.max(parts, axis=0)


def test_the_catalogue_flux_of_the_records_is_the_aperture_flux(chain):
    fluxes, _, _, table = chain
    inside = table["flux_i"].to_numpy() / fluxes
    # A 3 arcsec aperture holds 95-98 % of a 0.61 arcsec Moffat; the same of every star.
    assert 0.93 < np.median(inside) < 0.99
    assert np.std(inside[-20:]) < 0.002
    assert (table["psf_source"] == "survey").all()
    assert table["psf_matched"].all()


def test_the_noise_of_the_final_images_is_what_their_variance_says(chain):
    _, image, variance, table = chain
    band = SLOTS.index("i")
    # Corners of the faintest stars, whose wings are far below the noise there.
    part = (slice(0, 15), band, slice(3, 18), slice(3, 18))
    assert np.isfinite(variance[part]).all()
    pull = image[part] / np.sqrt(variance[part])
    assert pull.std() == pytest.approx(1.0, abs=0.15)
    assert (table["noise_corr_i"] > 1).all()


#: Bias, in parts of the flux in 3 arcsec, that is known and larger than the 0.3 % of all others.
KNOWN_BIAS = {
    # no part of the 80 px cutout is free of the galaxy
    "HSC n=1 3 arcsec 1e5": 0.02,
    # one sigma per pixel across a small cutout, whose brighter side looks like a source
    "HSC point 1e4, gradient": 0.055,
    # n = 4 wings and a gradient together
    "HST n=4 0.5 arcsec 1e4, gradient": 0.005,
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_flux_of_every_kind_of_source_is_recovered(name, tmp_path):
    one = recover(CASES[name], tmp_path, 20)
    assert abs(one.bias) <= KNOWN_BIAS.get(name, 0.003) + 3 * one.error


def test_a_galaxy_in_an_hst_cutout_keeps_its_wings(tmp_path):
    # a map of the background took 2.4 % of this one
    one = recover(Source("hst", 1e4, 0.5, 4), tmp_path, 12)
    assert abs(one.bias) <= 0.003 + 2 * one.error


@pytest.fixture(scope="module")
def stamps(real_data, tmp_path_factory):
    """Fluxes of the objects of all real HSC stamps, after the chain and raw."""
    return stamp_fluxes(real_data / "hsc_stamps", tmp_path_factory.mktemp("stamps"))


@pytest.mark.real
def test_real_fluxes_are_those_of_an_independent_convolution(stamps):
    for column, limit in (("reference", 0.001), ("coadd", 0.003)):
        found = against(stamps, column).set_index("diameter")
        assert (found["n"].loc[[1.5, 2.0, 3.0]] > 100).all()
        assert (found["mean"].abs() < limit).all()
        assert (found["median"].abs().loc[[1.5, 2.0, 3.0]] < limit).all()
    # without a choice of sky, all but objects beside what lies beyond the crop
    assert (against(stamps, "reference")["scatter"] < 0.001).all()


@pytest.mark.real
def test_matching_conserves_the_flux_of_real_isolated_stars(stamps):
    alone = stamps[(stamps["kind"] == "star") & (stamps["alone_px"] > 15)]
    found = against(alone, "raw", snr_min=100).set_index("diameter")
    # the target PSF is wider than that of the coadds: the flux moves out, and is whole at 5 arcsec
    assert found["median"].is_monotonic_increasing
    assert found["median"][1.5] < -0.1
    assert found["n"][10.0] >= 5
    assert abs(found["median"][10.0]) < 0.003


@pytest.mark.real
def test_injected_stars_have_the_magnitude_that_was_injected(stamps):
    stars = against_injected(stamps)
    bright = stars["offset"][stars["magnitude"] < 20]
    assert len(bright) > 25
    # who injected them took a zero point or PSF that differs by some hundredths of a magnitude
    assert abs(bright.median()) < 0.05
    assert (bright - bright.median()).abs().median() < 0.02
