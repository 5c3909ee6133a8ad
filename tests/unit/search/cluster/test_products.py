"""What is written about a cluster, with and without a search, and the overlay figure."""

import json
from functools import partial

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from regions import Regions

from lenshunt.config import Cluster, RelicsDataset
from lenshunt.core import RESOURCES
from lenshunt.lensing import critical_curves, load_mass_model
from lenshunt.reporting.figures import overlay
from lenshunt.reporting.figures.overlay import draw_overlay
from lenshunt.search.cluster import maps, read_candidates, write_cluster_products
from lenshunt.search.cluster import products as products_module

FOLDER = RESOURCES / "smacs0723"
KINDS = {"numbers": "n.json", "table": "t.ecsv", "maps": "m.fits", "regions": "r.reg"}


@pytest.fixture(scope="module", autouse=True)
def small_field():
    """The core of the cluster is enough, and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products_module, "MAP_HALF_WIDTH_ARCSEC", 25.0)
        patch.setattr(products_module, "HALF_WIDTH_MIN_ARCSEC", 30.0)
        patch.setattr(maps, "PIXEL_SCALE_ARCSEC", 0.5)
        patch.setattr(overlay, "critical_curves", partial(critical_curves, half_width_arcsec=30.0))
        yield


@pytest.fixture(scope="module")
def cluster():
    tables = {kind: str(FOLDER / f"{kind}.ecsv") for kind in ("potentials", "images", "members")}
    return Cluster(models={"mahler2023": tables}, z_sources=[2.0], random_catalogues=200)


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """A search that likes published images, among members and empty places."""
    images, members = (Table.read(FOLDER / f"{k}.ecsv") for k in ("images", "members"))
    random = np.random.default_rng(5)
    place = random.uniform(-25, 25, (2, 150)) / 3600
    ra = np.concatenate([images["ra"], members["ra"], 110.827 + place[0] / 0.2848])
    dec = np.concatenate([images["dec"], members["dec"], -73.4547 + place[1]])
    near = np.hypot((ra - 110.827) * 0.2848, dec + 73.4547) < 25 / 3600
    table = Table({"ra": ra[near], "dec": dec[near]})
    table["sample_id"] = [f"field-{i}" for i in range(len(table))]
    table["probability_calibrated"] = random.uniform(0.0, 0.4, len(table))
    table["probability_calibrated"][:40] = random.uniform(0.5, 1.0, 40)
    table["magnitude_i"] = random.uniform(20, 26, len(table))
    table["flags"] = [""] * len(table)
    path = tmp_path_factory.mktemp("search") / "candidates.ecsv"
    table.write(path, format="ascii.ecsv")
    return str(path)


def write(cluster, folder, candidates, **values):
    paths = {f"out_{kind}": str(folder / name) for kind, name in KINDS.items()}
    arguments = {"dataset": None, "seed": 3} | values
    write_cluster_products(
        cluster=cluster, name="smacs0723", candidates=candidates, **arguments, **paths
    )
    return json.loads((folder / "n.json").read_text())


@pytest.fixture(scope="module")
def products(cluster, candidates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    return folder, write(cluster, folder, candidates)


def test_numbers_tell_what_the_candidates_recover(products):
    entry = products[1]["models"]["mahler2023"]
    found = entry["candidates"]
    assert entry["image_plane_rms_arcsec"] == pytest.approx(0.32, abs=0.01)
    assert found["n_candidates"] == 40
    table = Table.read(products[0] / "t.ecsv")
    for name in ("distance_arcsec", "distance_main_arcsec"):
        assert found[f"median_{name}"] == pytest.approx(np.median(table[name]))
        assert 1 / 201 <= found[f"p_value_{name}"] <= 1
    assert found["recovered_fraction"] >= 40 / 60
    assert found["p_value_recovered"] == pytest.approx(1 / 201)


def test_the_candidate_table_has_units_and_places(products):
    table = Table.read(products[0] / "t.ecsv")
    assert len(table) == 40
    assert str(table["distance_arcsec"].unit) == "arcsec"
    assert (table["distance_arcsec"] <= table["distance_main_arcsec"]).all()
    assert np.all(np.diff(table["probability_calibrated"]) <= 0)


def test_maps_are_on_the_sky_and_agree_with_the_model(products):
    model = load_mass_model(FOLDER / "potentials.ecsv", FOLDER / "images.ecsv")
    with fits.open(products[0] / "m.fits") as hdus:
        hdu = hdus["KAPPA_Z2"]
        wcs = WCS(hdu.header)
        x, y = 20.0, -12.0
        column, row = (round(float(v)) for v in wcs.world_to_pixel_values(*model.sky(x, y)))
        at = model.tangent(*wcs.pixel_to_world_values(column, row))
        assert hdu.data[row, column] == pytest.approx(float(model.kappa(*at, 2.0)), rel=1e-5)
        mu = (1 - hdu.data) ** 2 - hdus["GAMMA_Z2"].data ** 2
        assert np.allclose(1 / hdus["MU_Z2"].data, mu, atol=1e-4)
        assert hdu.header["MODEL"] == "mahler2023"


def test_regions_are_read_back_by_astropy(products):
    regions = Regions.read(products[0] / "r.reg", format="ds9")
    kinds = {type(region).__name__ for region in regions}
    assert {"PolygonSkyRegion", "PointSkyRegion", "CircleSkyRegion"} <= kinds


@pytest.mark.slow
def test_products_are_the_same_bytes_when_repeated(products, cluster, candidates, tmp_path):
    write(cluster, tmp_path, candidates)
    for name in KINDS.values():
        assert (tmp_path / name).read_bytes() == (products[0] / name).read_bytes(), name
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_without_a_search_the_model_alone_is_written_and_drawn(cluster, tmp_path):
    numbers = write(cluster, tmp_path, None)
    assert numbers["models"]["mahler2023"]["candidates"] is None
    table = Table.read(tmp_path / "t.ecsv")
    assert len(table) == 0
    assert table["sample_id"].dtype.kind in "US"
    draw_overlay(
        cluster=cluster,
        name="SMACS J0723",
        candidates=None,
        dataset=None,
        numbers=str(tmp_path / "n.json"),
        out=str(tmp_path / "overlay.pdf"),
    )
    assert (tmp_path / "overlay.png").stat().st_size > 20_000


@pytest.mark.slow
def test_no_candidate_above_the_threshold_is_said_and_does_not_crash(cluster, candidates, tmp_path):
    strict = cluster.model_copy(update={"probability_min": 1.0})
    found = write(strict, tmp_path, candidates)["models"]["mahler2023"]["candidates"]
    assert found["n_candidates"] == 0
    assert "no candidate" in found["note"]


@pytest.mark.slow
def test_the_overlay_lies_on_the_field_image(cluster, candidates, products, tmp_path):
    random = np.random.default_rng(0)
    images = {}
    for name in ("f606w", "f814w"):
        header = WCS(naxis=2)
        header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        header.wcs.crval, header.wcs.crpix = [110.827, -73.4547], [250.5, 250.5]
        header.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
        images[name] = str(tmp_path / f"{name}.fits")
        pixels = random.normal(size=(500, 500)).astype(np.float32)
        fits.writeto(images[name], pixels, header.to_header())
    dataset = RelicsDataset(
        reader="relics",
        survey="hst",
        role="search",
        grids=["space"],
        fields={"smacs0723": {"images": images, "catalogue": "none.txt"}},
    )
    arguments = {"name": "SMACS J0723", "candidates": candidates, "dataset": dataset}
    arguments |= {"numbers": str(products[0] / "n.json"), "out": str(tmp_path / "overlay.pdf")}
    draw_overlay(cluster=cluster, **arguments)
    assert (tmp_path / "overlay.pdf").stat().st_size > 20_000
    wrong = cluster.model_copy(update={"field": "abell1"})
    with pytest.raises(ValueError, match="abell1"):
        draw_overlay(cluster=wrong, **arguments)


def test_the_overlay_title_tells_both_distances_and_knows_what_is_missing(products):
    numbers = json.loads(json.dumps(products[1]))
    found = numbers["models"]["mahler2023"]["candidates"]
    text = overlay._summary(numbers)
    for kind in ("distance_main", "distance"):
        assert f'{found[f"median_{kind}_arcsec"]:.1f}" (random ' in text
        assert f"p = {found[f'p_value_{kind}_arcsec']:.3f}" in text
    for key in ("median_distance_arcsec", "median_distance_arcsec_random"):
        found[key] = None
    found["p_value_distance_arcsec"] = None
    assert '-" (random -", p = -)' in overlay._summary(numbers)


def test_candidates_without_a_position_are_named(candidates, tmp_path):
    table = Table.read(candidates)
    table["ra"][3] = np.nan
    table.write(tmp_path / "bad.ecsv", format="ascii.ecsv")
    with pytest.raises(ValueError, match=str(table["sample_id"][3])):
        read_candidates(tmp_path / "bad.ecsv")
