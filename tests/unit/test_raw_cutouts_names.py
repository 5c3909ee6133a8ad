"""Plain FITS cutouts: names of objects and bands, labels of a catalogue, blank header cards."""

import pytest
from astropy.io import fits
from raw_samples import noise_image, read_all, tan_header
from test_raw_cutouts import SHAPE, catalogue, cutouts, extensions


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*_{band}.fits", {"g": "my_ring_g.fits", "r": "my_ring_r.fits"}),
        ("{band}-*.fits", {"g": "g-my_ring.fits", "r": "r-my_ring.fits"}),
        ("*_{band}_v1.fits", {"g": "my_ring_g_v1.fits", "r": "my_ring_r_v1.fits"}),
        ("{band}/*_{band}.fits", {"g": "g/my_ring_g.fits", "r": "r/my_ring_r.fits"}),
        ("*/{band}.fits", {"g": "my_ring/g.fits", "r": "my_ring/r.fits"}),
    ],
)
def test_a_name_that_holds_the_letter_of_a_band_is_one_object(tmp_path, pattern, files):
    for path in files.values():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        fits.writeto(tmp_path / path, noise_image(SHAPE))
    read, rejected = read_all(cutouts(tmp_path / pattern, "gr", layout="files"), tmp_path)
    assert not rejected
    assert len(read) == 1
    assert "my_ring" in read[0].metadata.sample_id


@pytest.mark.parametrize(
    ("pattern", "layout"),
    [("*.fits", "files"), ("*_{band}.fits", "cube"), ("{band}_{band}.fits", "files")],
)
def test_a_pattern_that_does_not_fit_the_layout_is_named(pattern, layout):
    with pytest.raises(ValueError, match=r"images: .*\{band\}"):
        cutouts(pattern, "gr", layout=layout)


@pytest.mark.parametrize("cell", ["0.7", "lens", "2"])
def test_what_is_no_label_is_never_cut_to_one(tmp_path, cell):
    extensions(tmp_path / "a.fits")
    path = catalogue(tmp_path, f"name,label,label_source\na,{cell},obs:lens\n")
    sample = cutouts(tmp_path / "*.fits", "gri", role="labelled", catalogue=path)
    with pytest.raises(ValueError, match=r"cat\.csv: a: label .* is none of -1, 0, 1"):
        read_all(sample, tmp_path)


def test_a_blank_unit_of_the_axes_is_degrees(tmp_path):
    header = tan_header(SHAPE, 0.3)
    header["CUNIT1"] = header["CUNIT2"] = fits.card.Undefined()
    extensions(tmp_path / "a.fits", header=header)
    read, _ = read_all(cutouts(tmp_path / "*.fits", "gri"), tmp_path)
    assert read[0].metadata.pixel_scale == pytest.approx(0.3)
