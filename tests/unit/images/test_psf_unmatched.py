"""Cutouts whose PSF is broader than the target: error, keep and drop, from raw files to shards."""

import numpy as np
import pandas as pd
import pytest
from images_samples import BANDS, GROUND, run_chain, write_planes

from lenshunt.config import SplitConfig
from lenshunt.core.moffat import moffat_psf
from lenshunt.dataset import make_splits, read_index, write_shards
from lenshunt.images import read_cutouts
from lenshunt.schema import read_metadata

N, BROAD = 6, (1, 4)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Six HSC cutouts of a star; the PSFs of two are 1.5 arcsec wide in i, all others 0.6."""
    rng = np.random.default_rng(8)
    sharp, broad = (moffat_psf(fwhm, 3.0, 0.168, 61) for fwhm in (0.6, 1.5))
    psf = np.stack([[sharp] * len(BANDS)] * N)
    for index in BROAD:
        psf[index, BANDS.index("i")] = broad
    planes = rng.normal(0, 5.0, (N, len(BANDS), 81, 81))
    planes[..., 10:71, 10:71] += 1e5 * psf
    folder = tmp_path_factory.mktemp("broad")
    return write_planes(folder, planes, BANDS, "hsc", np.full(planes.shape, 25.0), psf)


def _chain(raw, folder, unmatched):
    folder.mkdir(exist_ok=True)
    return run_chain(raw, folder, GROUND.model_copy(update={"unmatched": unmatched}))


def test_error_stops_with_the_cutouts_their_number_and_what_to_do(raw, tmp_path):
    with pytest.raises(ValueError, match="2 of 6 cutouts miss the target of 1 arcsec") as error:
        _chain(raw, tmp_path, "error")
    message = str(error.value)
    assert "set-img0001" in message
    assert "set-img0004" in message
    assert "set-img0000" not in message
    assert "band i of" in message
    assert "img0001.fits" in message
    assert "1.51 arcsec" in message
    assert "psf_fwhm_arcsec" in message
    assert "keep or drop" in message
    left = {path.name for path in tmp_path.iterdir()}
    assert not left & {"k.h5", "k.csv", "k.h5.partial", "k.csv.partial"}


def test_error_is_content_where_all_psfs_are_matched(raw, tmp_path):
    grid = GROUND.model_copy(update={"unmatched": "error", "psf_fwhm_arcsec": 1.6})
    table = pd.read_csv(run_chain(raw, tmp_path, grid)["psf_table"], keep_default_na=False)
    assert table["matched"].all()


def test_keep_leaves_the_broad_band_as_it_is_and_says_so(raw, tmp_path):
    paths = _chain(raw, tmp_path, "keep")
    table = read_metadata(paths["table"])
    broad = np.isin(np.arange(N), BROAD)
    assert list(table["psf_matched"]) == list(~broad)
    assert (table["psf_residual"][broad] > 0.05).all()
    assert (table["psf_residual"][~broad] < 0.003).all()
    assert table["flags"][broad].str.contains("psf_unmatched").all()
    ((image, _, _),) = read_cutouts(paths["cutouts"], paths["table"])
    i = "grizy".index("i")
    peak = image[:, i].max(axis=(1, 2))
    # The broad band keeps its own, lower peak: nothing was convolved, nothing sharpened.
    assert peak[broad].max() < 0.6 * peak[~broad].min()
    qa = pd.read_csv(paths["psf_table"], keep_default_na=False)
    missed = qa[~qa["matched"]]
    assert list(missed["band"]) == ["i"]
    assert list(missed["n_cutouts"]) == [len(BROAD)]
    assert missed["raw_file"].iloc[0].endswith("img0001.fits")
    assert "broader than the target 1" in missed["explanation"].iloc[0]
    assert (qa["explanation"][qa["matched"]] == "").all()
    assert (qa["residual"] <= qa["residual_before"]).all()
    assert (missed["noise_gain"] == 1.0).all()


@pytest.mark.parametrize("unmatched, left", [("keep", N), ("drop", N - len(BROAD))])
def test_drop_keeps_them_out_of_the_shards_and_keep_does_not(raw, tmp_path, unmatched, left):
    paths = _chain(raw, tmp_path, unmatched)
    splits = str(tmp_path / "s.parquet")
    make_splits(metadata=[paths["table"]], config=SplitConfig(), seed=1, out=splits, search=True)
    write_shards(
        cutouts=[(paths["cutouts"], paths["table"])],
        splits=splits,
        quality_threshold=0.1,
        drop_unmatched=unmatched == "drop",
        folder=str(tmp_path / "shards"),
        index=str(tmp_path / "i.json"),
        read=read_cutouts,
    )
    assert read_index(str(tmp_path / "i.json")).samples == left
