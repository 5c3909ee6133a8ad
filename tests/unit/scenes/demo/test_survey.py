"""The demo survey: official formats that the readers accept, same seed same bytes."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from raw_samples import common, read_all

from lenshunt.config import (
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Demo,
    GalaxiesMLDataset,
    RelicsDataset,
)
from lenshunt.lensing import follow_images, mean_source
from lenshunt.scenes.deflectors import draw_deflector, lens_model
from lenshunt.scenes.demo import WRITERS, demo_files, write_demo
from lenshunt.scenes.demo.bologna import FILTERS, simulate_object
from lenshunt.scenes.demo.castles import _quasar_images
from lenshunt.scenes.demo.relics import cluster_redshift
from lenshunt.scenes.demo.smacs0723 import mass_model
from lenshunt.scenes.demo.smacs0723 import simulate_field as simulate_smacs0723


def small(folder: Path) -> Demo:
    return Demo(
        folder=str(folder), galaxiesml=21, bologna_ground=12, sdss=10, castles_systems=4,
        relics_fields=1,
    )  # fmt: skip


def write(folder: Path, kind: str, seed: int = 3) -> list[str]:
    demo = small(folder)
    write_demo(kind=kind, demo=demo, seed=seed, out=demo_files(kind, demo))
    return demo_files(kind, demo)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def relics(folder: str, name: str, role: str, arcs: bool = True) -> RelicsDataset:
    base = f"{folder}/hlsp_relics_hst_acs-60mas_{name}_%s_v1_%s.fits"
    filters = ("F606W", "F814W")
    field = {
        "images": {band: base % (band.lower(), "drc") for band in filters},
        "weights": {band: base % (band.lower(), "wht") for band in filters},
        "catalogue": f"{folder}/hlsp_relics_hst_acs-wfc3ir_{name}_multi_v1_cat.txt",
        "arcs": f"{folder}/arcs.ecsv" if arcs else None,
    }
    return RelicsDataset(
        reader="relics", fields={name: field}, size_px=96, label_source="sim:demo",
        z_cluster={name: cluster_redshift(1)}, **common("hst", role),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["galaxiesml", "bologna_ground", "sdss", "castles"])
def test_the_same_seed_writes_the_same_bytes(kind, tmp_path):
    write(tmp_path / "a", kind)
    write(tmp_path / "b", kind)
    write(tmp_path / "c", kind, seed=4)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    assert first != other
    assert not [name for name in first if name.endswith(".partial")]


def test_an_object_does_not_depend_on_how_many_there_are(tmp_path):
    demo = small(tmp_path)
    write(tmp_path, "bologna_ground")
    name = "bologna_ground/Public/Band2/imageSDSS_I-100003.fits"
    before = digests(tmp_path)[name]
    fewer = demo.model_copy(update={"bologna_ground": 10})
    files = demo_files("bologna_ground", fewer)
    write_demo(kind="bologna_ground", demo=fewer, seed=3, out=files)
    after = digests(tmp_path)
    assert after[name] == before
    assert "bologna_ground/Public/Band2/imageSDSS_I-100011.fits" not in after


def test_galaxiesml_files_are_read_with_redshift_shape_and_split(tmp_path):
    files = write(tmp_path, "galaxiesml")
    dataset = GalaxiesMLDataset(reader="galaxiesml", files=files, **common("hsc", "pretrain"))
    read, rejected = read_all(dataset, tmp_path)
    assert (len(read), len(rejected)) == (21, 0)
    splits = [cutout.metadata.official_split for cutout in read]
    assert [splits.count(name) for name in ("training", "validation", "testing")] == [15, 3, 3]
    assert all(cutout.metadata.z_spec > 0 for cutout in read)
    ratios = []
    for cutout in read:
        y, x = np.mgrid[:64, :64] - 31.5
        aperture = cutout.image[2][np.hypot(x, y) < 18].sum()
        ratios.append(aperture / cutout.metadata.flux[2])
    # the catalogue's flux is in the image, but for what neighbours add
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)


def test_bologna_files_are_read_with_lensing_for_lenses_alone(tmp_path):
    folder = Path(write(tmp_path, "bologna_ground")[0]).parent
    dataset = BolognaDataset(
        reader="bologna", labels=str(folder / "classifications.csv"), variant="ground",
        images=str(folder / "Public"), label_source="sim:demo", **common("bologna_ground"),
    )  # fmt: skip
    read, rejected = read_all(dataset, tmp_path)
    assert (len(read), len(rejected)) == (12, 0)
    labels = [cutout.metadata.label for cutout in read]
    assert 0 < sum(labels) < 12
    for cutout in read:
        assert np.isfinite(cutout.metadata.einstein_radius) == (cutout.metadata.label == 1)
    table = pd.read_csv(folder / "classifications.csv")
    # as in the official table, negatives carry the area of a lens that was not used
    assert (table["Einstein_area"] > 0).all()
    assert (table.loc[table["is_lens"] == 0, "numb_pix_lensed_image"] == 0).all()


def test_bologna_pixels_are_fluxes_with_zero_point_zero_and_100_where_masked(tmp_path):
    folder = Path(write(tmp_path, "bologna_ground")[0]).parent
    masked = 0
    for path in folder.glob("Public/Band2/*.fits"):
        pixels = fits.getdata(path)
        assert pixels.shape == (101, 101)
        assert pixels.dtype == ">f4"
        sky = pixels[np.abs(pixels) < 99]
        spread = 1.4826 * np.median(np.abs(sky - np.median(sky)))
        assert 2.5e-12 < spread < 1.5e-11
        masked += (pixels == 100.0).any()
    assert masked < 12


def test_the_image_holds_the_flux_of_its_lens():
    scene, images, arcs, _ = simulate_object(np.random.default_rng(8), label=1)
    band = FILTERS.index("SDSS_I")
    wanted = scene.arcs_flux_njy[band]
    assert arcs.sum() == pytest.approx(wanted, rel=0.01)
    assert images[band].sum() > 0.8 * (wanted + scene.deflector_flux_njy[band])


def test_sdss_cutouts_are_read_with_the_catalogue(tmp_path):
    folder = Path(write(tmp_path, "sdss")[0]).parent
    dataset = CutoutsDataset(
        reader="cutouts", images=[f"{folder}/images/*.fits"], bands=["g", "r", "i", "z"],
        catalogue=str(folder / "catalogue.csv"), label_source="sim:demo", **common("sdss"),
    )  # fmt: skip
    read, rejected = read_all(dataset, tmp_path)
    assert (len(read), len(rejected)) == (10, 0)
    for cutout in read:
        metadata = cutout.metadata
        assert metadata.band_flags == (1, 1, 1, 1, 0)
        assert 1.0 < metadata.seeing < 2.0
        assert np.isnan(metadata.ra)
        assert np.isfinite(metadata.flux_ratio) == (metadata.label == 1)


def test_castles_systems_are_read_in_two_filters_whatever_their_unit(tmp_path):
    folder = Path(write(tmp_path, "castles")[0]).parent
    dataset = CastlesDataset(
        reader="castles", images=[f"{folder}/images/*.fits"], table=str(folder / "castles.tsv"),
        label_source="sim:demo", **common("hst"),
    )  # fmt: skip
    read, rejected = read_all(dataset, tmp_path)
    assert (len(read), len(rejected)) == (4, 0)
    assert all(cutout.metadata.band_flags == (0, 1, 1, 0, 0) for cutout in read)
    assert all(cutout.metadata.pixel_scale == pytest.approx(0.06) for cutout in read)
    assert all("not_in_table" not in cutout.metadata.flags for cutout in read)
    units = {fits.getheader(path, "SCI")["BUNIT"] for path in folder.glob("images/*.fits")}
    assert units == {"ELECTRONS", "ELECTRONS/S"}
    # the sky has one depth in nJy, so no unit was forgotten
    sky = [np.percentile(cutout.variance[2], 1) for cutout in read]
    assert max(sky) < 3 * min(sky)


def test_quasar_images_solve_the_lens_equation_and_are_the_same_every_time():
    for seed in range(12):
        deflector = draw_deflector(np.random.default_rng(seed), (0.45, 1.6), slope_scatter=0.08)
        # inside the caustic for most of them
        place = deflector.light.x + 0.1, deflector.light.y + 0.05
        x, y, magnification = _quasar_images(deflector, *place)
        again = _quasar_images(deflector, *place)
        assert all(np.array_equal(a, b) for a, b in zip((x, y, magnification), again, strict=True))
        assert len(x) in (2, 3, 4)
        model, keywords = lens_model(deflector)
        np.testing.assert_allclose(
            np.transpose(model.ray_shooting(x, y, keywords)), [place] * len(x), atol=1e-7
        )


@pytest.mark.slow
def test_relics_members_become_negatives_away_from_the_arcs(tmp_path):
    catalogue = next(name for name in write(tmp_path, "relics") if name.endswith("_cat.txt"))
    folder = Path(catalogue).parent
    dataset = relics(str(folder), "demo0001", "negatives")
    read, rejected = read_all(dataset, tmp_path)
    assert not rejected
    assert len(read) >= 25
    assert all(cutout.metadata.label == 0 for cutout in read)
    arcs = Table.read(folder / "arcs.ecsv")
    for cutout in read:
        ra, dec = cutout.metadata.ra, cutout.metadata.dec
        x = (arcs["ra"] - ra) * np.cos(np.radians(dec)) * 3600
        assert np.hypot(x, (arcs["dec"] - dec) * 3600).min() > dataset.arc_radius_arcsec - 0.1


@pytest.mark.slow
def test_relics_sources_lie_where_the_catalogue_says(tmp_path):
    catalogue = next(name for name in write(tmp_path, "relics") if name.endswith("_cat.txt"))
    read, _ = read_all(relics(str(Path(catalogue).parent), "demo0001", "search"), tmp_path)
    bright = [c for c in read if c.metadata.magnitude[2] < 20 and "outside" not in c.metadata.flags]
    peaks = [np.unravel_index(c.image[2, 44:53, 44:53].argmax(), (9, 9)) for c in bright]
    offsets = np.hypot(*(np.array(peaks).T - 4.0))
    assert len(bright) > 10
    assert np.median(offsets) <= 1.5


@pytest.mark.slow
def test_smacs0723_shows_arcs_where_the_published_model_predicts_images():
    model = mass_model()
    canvas, sources = simulate_smacs0723(np.random.default_rng(0), model, size_px=1201)
    arcs = [source for source in sources if source.q == 0.4]
    assert len(arcs) == len(model.images)
    mine = model.images[model.images["system"] == "1"]
    z = float(mine["z"][0])
    x, y = model.tangent(mine["ra"], mine["dec"])
    x, y = follow_images(model, x, y, mean_source(model, x, y, z), z)
    for one_x, one_y in zip(x, y, strict=True):
        near = canvas.patch(float(one_x), float(one_y), 0.3)
        around = canvas.patch(float(one_x), float(one_y), 2.5)
        # a bright knot stands on its surroundings
        inner = canvas.light[1, near.rows, near.columns].mean()
        assert inner > 1.5 * np.median(canvas.light[1, around.rows, around.columns])


def test_an_unknown_kind_names_the_kinds_there_are():
    with pytest.raises(KeyError, match=r"galaxiesml.*smacs0723"):
        demo_files("kids", Demo())


def test_outputs_other_than_the_promised_ones_are_refused(tmp_path):
    with pytest.raises(ValueError, match="asked for"):
        write_demo(kind="sdss", demo=small(tmp_path), seed=1, out=["elsewhere.csv"])


def test_promised_files_are_below_the_folder_and_unique():
    demo = Demo(folder="somewhere")
    files = [name for kind in WRITERS for name in demo_files(kind, demo)]
    assert len(files) == len(set(files))
    assert all(name.startswith("somewhere/") for name in files)


def test_listing_files_needs_no_astronomy_library():
    code = "import sys, lenshunt.scenes.demo; print({'astropy', 'lenstronomy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
