"""RELICS fields: catalogues with sentinels, negatives, scanned fields."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from raw_samples import common, hst_header, noise_image, read_all

from lenshunt.config import RelicsDataset
from lenshunt.core import raw_manifest
from lenshunt.readers import raw_files, reader_of, star_field
from lenshunt.readers.field_objects import photometry

SHAPE = (200, 220)
SCALE = 0.06
NAMES = ("id", "RA", "Dec", "stel", "ell", "f606w_mag", "f814w_mag", "bright_mag", "zb")
#: id, arcsec East and North of the centre, stellarity, f606w, f814w, brightest magnitude, zb
SOURCES = (
    (1, 0.0, 0.0, 0.0, 21.0, 20.0, 20.0, 0.40),
    (2, 3.0, 0.0, 0.0, 22.0, 21.0, 21.0, 0.40),
    (3, -3.0, 2.0, 0.9, 22.0, 21.0, 21.0, 0.40),
    (4, 0.0, -3.0, 0.0, 99.0, 23.0, 23.0, 1.50),
    (5, -5.9, 0.0, 0.0, 22.0, -99.0, 22.0, 0.35),
    (6, 60.0, 0.0, 0.0, 22.0, 21.0, 21.0, 0.40),
    (7, 2.0, 4.0, 0.0, 28.0, 27.0, 27.0, 0.40),
)


def field(folder, arcs=((4.0, 0.5),), weight=True):
    """Write a field of two filters, its weights, catalogue and arcs; returns its config."""
    config = {"images": {}, "weights": {}, "catalogue": str(folder / "cat.txt")}
    for k, name in enumerate(("F606W", "F814W")):
        header = hst_header(SHAPE, name, scale_arcsec=SCALE)
        fits.writeto(folder / f"{name}_drc.fits", noise_image(SHAPE, k), header)
        config["images"][name] = str(folder / f"{name}_drc.fits")
        if weight:
            weights = np.full(SHAPE, 4.0, np.float32)
            weights[:, -5:] = 0
            fits.writeto(folder / f"{name}_wht.fits", weights, header)
            config["weights"][name] = str(folder / f"{name}_wht.fits")
    lines = ["## a RELICS catalogue", "##", *(f"# {k} {n}  text" for k, n in enumerate(NAMES, 1))]
    lines += ["##", "##  " + "  ".join(NAMES)]
    for number, east, north, stel, f606, f814, bright, zb in SOURCES:
        ra, dec = sky(east, north)
        lines.append(f" {number} {ra:.8f} {dec:.8f} {stel} 0.2 {f606} {f814} {bright} {zb}")
    (folder / "cat.txt").write_text("\n".join(lines) + "\n")
    if arcs is not None:
        positions = [sky(*arc) for arc in arcs]
        Table(rows=positions, names=("ra", "dec")).write(folder / "arcs.ecsv")
        config["arcs"] = str(folder / "arcs.ecsv")
    return config


def sky(east, north):
    return 150.0 + east / 3600 / math.cos(math.radians(2.0)), 2.0 + north / 3600


def dataset(folder, role="negatives", **more):
    settings = {"z_cluster": {"demo": 0.4}, "arc_radius_arcsec": 2.0, "size_px": 32, **more}
    fields = settings.pop("fields", None) or {"demo": field(folder)}
    return RelicsDataset(reader="relics", fields=fields, **common("hst", role), **settings)


def test_negatives_are_members_away_from_arcs_and_no_stars(tmp_path):
    cutouts, rejected = read_all(dataset(tmp_path), tmp_path)
    assert not rejected
    # 2 lies on the arc, 3 is a star, 4 is behind, 6 off the image, 7 too faint
    assert [c.metadata.sample_id for c in cutouts] == ["set-demo-1", "set-demo-5"]
    assert {(c.metadata.label, c.metadata.label_source) for c in cutouts} == {(0, "obs:relics")}


def test_a_scanned_field_takes_every_source_on_the_image_without_a_label(tmp_path):
    cutouts, _ = read_all(dataset(tmp_path, "search"), tmp_path)
    ids = [c.metadata.system_id for c in cutouts]
    assert ids == ["demo-1", "demo-2", "demo-3", "demo-4", "demo-5"]
    assert {(c.metadata.label, c.metadata.label_source) for c in cutouts} == {(-1, "unlabelled")}
    assert cutouts[0].metadata.z_phot == 0.4
    assert cutouts[0].metadata.magnitude[1:3] == (21.0, 20.0)
    # 99 and -99 are not magnitudes
    assert math.isnan(cutouts[3].metadata.magnitude[1])
    assert math.isnan(cutouts[4].metadata.magnitude[2])


def test_of_two_filters_on_one_slot_the_magnitude_is_that_of_the_image():
    magnitudes = {"F125W": 22.0, "F160W": 21.0, "F606W": 24.0}
    facts = photometry(magnitudes, ("", "F606W", "", "", "F160W"))
    assert facts["magnitude"][4] == 21.0
    assert facts["flux"][4] == pytest.approx(10 ** (0.4 * (31.4 - 21.0)))
    assert photometry(magnitudes, ("",) * 5)["magnitude"][4] == 22.0


def test_a_regular_grid_covers_the_observed_field(tmp_path):
    sample = dataset(tmp_path, "search", scan_step_arcsec=1.2)
    cutouts, _ = read_all(sample, tmp_path)
    grid = [c for c in cutouts if "-grid-" in c.metadata.sample_id]
    # 20 px steps: 10 rows x 11 columns of which the last lies at 210 px < 215 px
    assert len(grid) == 110
    assert len({c.metadata.sample_id for c in cutouts}) == len(cutouts)
    assert all(math.isfinite(c.metadata.ra) for c in grid)


def test_a_cutout_is_centred_on_its_source_with_the_variance_of_the_weights(tmp_path):
    cutout = read_all(dataset(tmp_path), tmp_path)[0][0]
    assert cutout.image.shape == (5, 32, 32)
    assert np.unravel_index(cutout.image[2].argmax(), (32, 32))[0] in range(13, 19)
    njy = 10 ** (0.4 * (31.4 - 25.947))
    np.testing.assert_allclose(cutout.variance[2], 0.25 * njy**2, rtol=4e-3)
    assert cutout.metadata.pixel_scale == pytest.approx(SCALE)


def test_pixels_beyond_the_image_or_without_weight_are_unusable(tmp_path):
    # source 5 lies 5.9 arcsec West: 98 px right of the middle, 11 px from the edge
    cutout = read_all(dataset(tmp_path), tmp_path)[0][1]
    assert "partly_outside" in cutout.metadata.flags
    columns = np.isposinf(cutout.variance[2]).all(axis=0)
    x = 109.5 + 5.9 / SCALE
    beyond = round(x) - 16 + np.arange(32) >= SHAPE[1] - 5
    assert (columns == beyond).all()


def test_without_weights_the_variance_is_unknown(tmp_path):
    sample = dataset(tmp_path, fields={"demo": field(tmp_path, weight=False)})
    cutout = read_all(sample, tmp_path)[0][0]
    assert np.isnan(cutout.variance[2]).all()
    assert not cutout.metadata.variance_available


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arcs": None}, "neither an arc list nor deflection maps"),
        ({"z_cluster": {}}, "no redshift of cluster demo"),
    ],
)
def test_negatives_need_an_arc_list_and_a_cluster_redshift(tmp_path, settings, message):
    if "arcs" in settings:
        sample = dataset(tmp_path, fields={"demo": field(tmp_path, arcs=None)})
    else:
        sample = dataset(tmp_path, **settings)
    cutouts, rejected = read_all(sample, tmp_path)
    assert not cutouts
    assert message in rejected[0].reason


def test_filters_on_different_grids_are_refused_with_the_remedy(tmp_path):
    sample = dataset(tmp_path)
    path = tmp_path / "F814W_drc.fits"
    header = hst_header(SHAPE, "F814W", scale_arcsec=0.03)
    fits.writeto(path, noise_image(SHAPE), header, overwrite=True)
    rejected = read_all(sample, tmp_path)[1]
    assert "pixel scale" in rejected[0].reason


def test_the_whole_field_is_offered_for_stars(tmp_path):
    sample = dataset(tmp_path)
    cutout = read_all(sample, tmp_path)[0][0]
    image, scale = star_field(sample, cutout.metadata.raw_file, "F814W")
    assert image.shape == SHAPE
    assert scale == pytest.approx(SCALE)
    assert np.isnan(image[:, -5:]).all()
    assert np.isfinite(image[:, :-5]).all()
    assert star_field(sample, cutout.metadata.raw_file, "F105W") is None


def test_a_broken_row_costs_that_row_and_is_named_by_its_line(tmp_path):
    config = field(tmp_path)
    with open(config["catalogue"], "a") as stream:
        stream.write("8 150.0 2.0\n")
    sample = dataset(tmp_path, fields={"demo": config})
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-demo-1", "set-demo-5"]
    assert [item.raw_index for item in rejected] == [2]
    assert "cat.txt:21: 3 values, the other rows have 9" in rejected[0].reason
    # the rows of a chunk that starts behind the good objects
    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    assert list(reader_of(sample).read("set", sample, 2, 3, manifest)) == rejected


def test_a_cutout_with_an_arc_in_its_corner_is_no_negative(tmp_path):
    # source 5 is 5.9 arcsec West; the arc 1.3 arcsec from it in x and in y: at 1.84 arcsec
    # outside the radius, inside the cutout of 48 px = 2.88 arcsec, whose corner is at 2.04
    config = field(tmp_path, arcs=((-4.6, 1.3),))
    more = {"fields": {"demo": config}, "arc_radius_arcsec": 1.5}
    names = [
        c.metadata.system_id for c in read_all(dataset(tmp_path, size_px=48, **more), tmp_path)[0]
    ]
    assert "demo-5" not in names
    assert "demo-1" in names
    for other in ({"size_px": 32}, {"size_px": 48, "arcs_inside_cutout": True}):
        cutouts, _ = read_all(dataset(tmp_path, **more, **other), tmp_path)
        assert "demo-5" in [c.metadata.system_id for c in cutouts]


def test_the_log_counts_what_each_rule_left_out(tmp_path, caplog):
    with caplog.at_level("INFO", logger="lenshunt.readers.relics"):
        read_all(dataset(tmp_path), tmp_path)
    # 7 too faint, 4 behind, 3 a star, 2 on the arc, 6 off the image
    assert caplog.messages == [
        "set: field demo: 7 sources; left out: 1 fainter than 24 or without a magnitude, 1 not "
        "within 0.1 of the cluster's redshift, 1 stars, 1 within 2 arcsec of a known arc, 0 with "
        "a known arc in the cutout, 1 not observed; 2 taken"
    ]


def test_an_arc_without_a_position_is_named(tmp_path):
    config = field(tmp_path, arcs=((4.0, 0.5), (math.nan, 1.0)))
    cutouts, rejected = read_all(dataset(tmp_path, fields={"demo": config}), tmp_path)
    assert not cutouts
    assert "arcs.ecsv: row 2 has no position" in rejected[0].reason


def test_an_empty_arc_list_says_that_there_are_none(tmp_path):
    config = field(tmp_path)
    Table({"ra": np.empty(0), "dec": np.empty(0)}).write(config["arcs"], overwrite=True)
    cutouts, _ = read_all(dataset(tmp_path, fields={"demo": config}), tmp_path)
    assert [c.metadata.system_id for c in cutouts] == ["demo-1", "demo-2", "demo-5"]


def test_negatives_need_photometric_redshifts_but_a_search_does_not(tmp_path):
    config = field(tmp_path)
    path = tmp_path / "cat.txt"
    path.write_text(path.read_text().replace(" zb", " odds"))
    sample = dataset(tmp_path, fields={"demo": config})
    assert "cat.txt: no column 'zb'" in read_all(sample, tmp_path)[1][0].reason
    cutouts, _ = read_all(sample.model_copy(update={"role": "search"}), tmp_path)
    assert [c.metadata.z_phot for c in cutouts] == [-1.0] * 5
