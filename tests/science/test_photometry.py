"""Photometry through the whole chain: raw FITS to 16-bit file, against the injected flux."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lenshunt.config import QualityConfig
from lenshunt.images import (
    aperture_photometry,
    growth_curve,
    homogenise_chunk,
    make_kernels,
    prepare_chunk,
    read_cutouts,
    target_psf,
)
from lenshunt.records import SLOTS

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from images_samples import BANDS, GROUND, write_cutouts, write_manifest


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Fluxes put in, and the homogenised image, variance and table of what came out."""
    folder = tmp_path_factory.mktemp("photometry")
    fluxes = np.geomspace(2e3, 2e5, 60)
    dataset = write_cutouts(folder / "raw", fluxes, sigma_njy=1.0, sky=0.5)
    names = {
        n: str(folder / n) for n in ("p.h5", "m.pq", "r.ecsv", "k.h5", "k.csv", "t.tif", "h.pq")
    }
    prepare_chunk(
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
