"""Preparation and homogenisation of chunks: order, rejections, PSF sources, repeatability."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from images_samples import GROUND, write_cutouts, write_manifest
from raw_samples import write_records
from scipy.ndimage import shift

from lenshunt.config import QualityConfig
from lenshunt.core.moffat import moffat_psf
from lenshunt.images import (
    homogenise,
    homogenise_chunk,
    make_kernels,
    merge_rejected,
    psf_from_stars,
    read_cutouts,
)
from lenshunt.images.psf import fwhm, psf_residual
from lenshunt.images.rejected import write_rejected
from lenshunt.reporting.figures.psf import draw_psf_qa
from lenshunt.schema import Rejected, read_metadata, tables


def _prepare(dataset, folder, chunk=0, chunks=1, name="stars"):
    paths = [str(folder / f"{chunk}-{chunks}{end}") for end in (".h5", ".parquet", ".ecsv")]
    write_records(
        name=name,
        dataset=dataset,
        chunk=chunk,
        chunks=chunks,
        manifest=write_manifest(dataset, folder),
        pixels=paths[0],
        metadata=paths[1],
        rejected=paths[2],
    )
    return paths


def _homogenise(paths, folder, name="a"):
    kernels, table = str(folder / "k.h5"), str(folder / "k.csv")
    make_kernels(chunks=[(paths[0], paths[1])], grid=GROUND, out=kernels, table=table)
    out = str(folder / f"{name}.tif"), str(folder / f"{name}.parquet")
    homogenise_chunk(
        pixels=paths[0],
        metadata=paths[1],
        kernels=kernels,
        grid=GROUND,
        quality=QualityConfig(),
        out=out[0],
        out_metadata=out[1],
    )
    return out, table


def test_chunks_share_the_objects_among_them_without_gap_or_overlap(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(7, 1e4))
    names = [
        list(read_metadata(_prepare(dataset, tmp_path, chunk, 3)[1])["sample_id"])
        for chunk in range(3)
    ]
    assert [len(part) for part in names] == [2, 2, 3]
    assert len({name for part in names for name in part}) == 7


def test_records_say_where_psf_and_variance_come_from(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(3, 1e4))
    table = read_metadata(_prepare(dataset, tmp_path)[1])
    assert (table["psf_source"] == "survey").all()
    assert not table["variance_available"].any()
    assert table["flags"].str.contains("sky_variance").all()
    assert table["psf_fwhm"].between(0.55, 0.75).all()
    assert (table["seeing"] == table["psf_fwhm"]).all()
    assert (table["snr"] > 100).all()
    assert (table["pipeline_commit"] != "").all()


def test_a_truncated_file_is_rejected_by_name_and_the_others_go_on(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(4, 1e4))
    broken = tmp_path / "raw" / "star001.fits"
    broken.write_bytes(broken.read_bytes()[:5000])
    paths = _prepare(dataset, tmp_path)
    rejected = Table.read(paths[2])
    assert len(read_metadata(paths[1])) == 3
    assert len(rejected) == 1
    assert "star001.fits" in rejected["raw_file"][0]
    assert rejected.meta["n_objects"] == 4


def test_a_sky_without_scatter_and_without_variance_is_rejected(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(3, 1e4))
    flat = tmp_path / "raw" / "star000.fits"
    with fits.open(flat, mode="update") as file:
        for band in ("g", "r", "i"):
            file[band].data[:] = 1.0
    reasons = Table.read(_prepare(dataset, tmp_path)[2])["reason"]
    assert "no scatter" in reasons[0]
    assert "give a variance image" in reasons[0]


def test_a_shipped_psf_without_a_width_costs_only_its_object(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(3, 1e4))
    psf = moffat_psf(0.6, 3.0, 0.168, 31)
    for index in range(3):
        shape = psf + psf.max() if index == 1 else psf
        planes = [fits.PrimaryHDU(), *(fits.ImageHDU(shape, name=b) for b in dataset.bands)]
        fits.HDUList(planes).writeto(tmp_path / "raw" / f"psf{index:03d}.fits")
    pattern = (r"star(\d+)", r"psf\1")
    paths = _prepare(
        dataset.model_copy(
            update={"psf_pattern": pattern, "images": [str(tmp_path / "raw" / "star*.fits")]}
        ),
        tmp_path,
    )
    assert list(read_metadata(paths[1])["psf_source"]) == ["shipped", "shipped"]
    rejected = Table.read(paths[2])
    assert list(rejected["raw_index"]) == [1]
    assert "half its maximum" in rejected["reason"][0]


def test_homogenised_files_are_bit_identical_when_made_again(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.geomspace(1e3, 1e5, 6))
    paths = _prepare(dataset, tmp_path)
    (tiff, table), _ = _homogenise(paths, tmp_path, "a")
    (again, table_again), _ = _homogenise(paths, tmp_path, "b")
    with open(tiff, "rb") as one, open(again, "rb") as two:
        assert one.read() == two.read()
    with open(table, "rb") as one, open(table_again, "rb") as two:
        assert one.read() == two.read()


def test_images_of_two_sizes_keep_the_order_of_the_table(tmp_path):
    folder = tmp_path / "raw"
    dataset = write_cutouts(folder, np.geomspace(1e4, 1e5, 6), side=81)
    small = write_cutouts(tmp_path / "small", np.geomspace(1e4, 1e5, 6), side=71)
    for index in (1, 4):
        name = f"star{index:03d}.fits"
        (tmp_path / "small" / name).replace(folder / name)
    assert small.bands == dataset.bands
    (tiff, table), _ = _homogenise(_prepare(dataset, tmp_path), tmp_path)
    ((image, _, rows),) = read_cutouts(tiff, table)
    # The flux grows along the table, whatever the size of the raw image.
    assert (np.diff(image[:, 2].sum(axis=(1, 2))) > 0).all()
    assert list(rows["sample_id"]) == sorted(rows["sample_id"])


def test_the_kernel_table_has_one_row_per_psf_and_band(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(5, 1e4))
    _, table = _homogenise(_prepare(dataset, tmp_path), tmp_path)
    rows = pd.read_csv(table)
    assert sorted(rows["band"]) == ["g", "i", "r"]
    assert (rows["n_cutouts"] == 5).all()
    assert rows["matched"].all()
    assert (rows["residual"] <= 0.003).all()
    assert (rows["noise_corr"] > 1).all()


def test_kernels_of_another_target_are_refused(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(2, 1e4))
    paths = _prepare(dataset, tmp_path)
    _homogenise(paths, tmp_path)
    with pytest.raises(ValueError, match="make the kernels again"):
        homogenise_chunk(
            pixels=paths[0],
            metadata=paths[1],
            kernels=str(tmp_path / "k.h5"),
            grid=GROUND.model_copy(update={"psf_fwhm_arcsec": 1.2}),
            quality=QualityConfig(),
            out=str(tmp_path / "z.tif"),
            out_metadata=str(tmp_path / "z.parquet"),
        )
    assert not (tmp_path / "z.tif").exists()
    assert not (tmp_path / "z.parquet").exists()


@pytest.mark.slow
def test_the_qa_figure_is_drawn_as_pdf_and_png(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(2, 1e4))
    _, table = _homogenise(_prepare(dataset, tmp_path), tmp_path)
    draw_psf_qa(kernels=str(tmp_path / "k.h5"), table=table, out=str(tmp_path / "qa.pdf"))
    assert (tmp_path / "qa.pdf").stat().st_size > 1000
    assert (tmp_path / "qa.png").stat().st_size > 1000


def test_a_chunk_in_which_all_was_rejected_goes_through_every_step(tmp_path):
    dataset = write_cutouts(tmp_path / "raw", np.full(2, 1e4))
    for path in (tmp_path / "raw").iterdir():
        path.write_bytes(b"no FITS")
    (tiff, rows), table = _homogenise(_prepare(dataset, tmp_path), tmp_path)
    assert list(read_cutouts(tiff, rows)) == []
    draw_psf_qa(kernels=str(tmp_path / "k.h5"), table=table, out=str(tmp_path / "qa.pdf"))
    assert (tmp_path / "qa.pdf").exists()


def _rejections(folder, counts, n_objects):
    paths = []
    for chunk, count in enumerate(counts):
        path = folder / f"{chunk}.ecsv"
        items = [Rejected(f"f{chunk}-{i}.fits", i, "truncated") for i in range(count)]
        write_rejected(items, n_objects, path)
        paths.append(str(path))
    return paths


def test_rejections_of_all_chunks_are_joined(tmp_path):
    out = tmp_path / "all.ecsv"
    tables = _rejections(tmp_path, [0, 2, 1], 200)
    merge_rejected(tables=tables, out=str(out), fraction_max=0.01, name="demo")
    merged = Table.read(out)
    assert len(merged) == 3
    assert merged.meta["n_objects"] == 600


def test_too_many_rejections_stop_the_run_with_counts_and_first_reason(tmp_path):
    out = tmp_path / "all.ecsv"
    with pytest.raises(ValueError, match=r"demo: 9 of 400 .*truncated") as error:
        merge_rejected(
            tables=_rejections(tmp_path, [9, 0], 200), out=str(out), fraction_max=0.01, name="demo"
        )
    assert "rejected_fraction_max" in str(error.value)
    # a failed job's output is removed by the workflow, so the list has a name of its own
    assert not out.exists()
    assert len(Table.read(tmp_path / "demo.too_many.ecsv")) == 9


@pytest.mark.slow
def test_the_psf_of_a_field_is_found_from_its_stars_among_galaxies():
    rng = np.random.default_rng(11)
    field = rng.normal(0, 1, (700, 700))
    star, galaxy = moffat_psf(0.12, 3.0, 0.05, 41), moffat_psf(0.35, 2.5, 0.05, 41)
    spots = [(y, x) for y in range(40, 680, 60) for x in range(40, 680, 60)]
    for index, (y, x) in enumerate(spots):
        shape = star if index % 3 == 0 else galaxy
        moved = shift(shape, rng.uniform(-0.5, 0.5, 2), order=5)
        field[y - 20 : y + 21, x - 20 : x + 21] += moved * rng.uniform(2e3, 2e4)
    field[:5] = np.nan
    psf = psf_from_stars(field, 0.10 / 0.05)
    assert psf is not None
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    assert fwhm(psf, 0.05) == pytest.approx(fwhm(star, 0.05), rel=0.06)
    assert psf_residual(psf, star, fwhm(star, 1.0)) < 0.03


def test_a_field_without_stars_has_no_star_psf():
    assert psf_from_stars(np.random.default_rng(0).normal(size=(300, 300)), 2.5) is None
    assert psf_from_stars(np.full((300, 300), np.nan), 2.5) is None


def test_a_chunk_of_mixed_shapes_keeps_its_order_and_all_other_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 3)
    monkeypatch.setattr(homogenise, "BATCH_PIXELS", 1e5)
    fluxes = np.array([4e3, 9e3, 2e4])
    parts = [
        write_cutouts(tmp_path / name, fluxes, side=side) for name, side in (("a", 81), ("b", 91))
    ]
    paths = sorted((tmp_path / "a").glob("*.fits")) + sorted((tmp_path / "b").glob("*.fits"))
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index, path in enumerate(paths):
        path.rename(folder / f"star{(index % 3) * 2 + index // 3:03d}.fits")
    dataset = parts[0].model_copy(update={"images": [str(folder / "*.fits")]})
    chunk = _prepare(dataset, tmp_path)
    (out, metadata), _ = _homogenise(chunk, tmp_path)
    before, after = read_metadata(chunk[1]), read_metadata(metadata)
    changed = ["psf_matched", "target_psf_fwhm", "psf_residual", "quality", "pixel_scale", "flags"]
    changed += [f"noise_corr_{slot}" for slot in "grizy"]
    pd.testing.assert_frame_equal(before.drop(columns=changed), after.drop(columns=changed))
    assert after["quality"].notna().all()
    total = np.concatenate(
        [image[:, 2].sum(axis=(1, 2)) for image, _, _ in read_cutouts(out, metadata)]
    )
    np.testing.assert_allclose(total, np.repeat(fluxes, 2), rtol=0.05)
