"""Lenstool files and ECSV tables of mass models: what is read, and how errors read."""

import numpy as np
import pytest

from lenshunt.core import write_ecsv
from lenshunt.core.cosmology import arcsec_per_kpc
from lenshunt.lensing import load_mass_model, potentials_table, read_lenstool

PAR = """#Lenstool
#2.0 z:1.5 dlsds:0.6
runmode
\treference     3 110.8 -73.4
\tend
potential O1
\tprofile       81
\tx_centre     1.0
\ty_centre     -2.0
\tellipticity     0.3
\tangle_pos       -10.0
\tcore_radius         1.5
\tcut_radius         100.0
\tv_disp     800.0
\tz_lens     0.3900
\tend
cosmology
\tH0        70.0
\tomegaM    0.3
\tend
finish
"""
ARCS = "1.1 110.80 -73.40 0.1 0.1 0 2.0 0.0\n2.1 110.81 -73.41 0.1 0.1 0 0.0 0.0\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "best.par").write_text(PAR)
    (tmp_path / "arcs.dat").write_text(ARCS)
    (tmp_path / "gal.cat").write_text(
        "1 110.8 -73.4 0.6 0.2 -51.1 18.2 0.0\n# 4 110.7 -73.4 1 1 0 20 0\n"
    )
    return tmp_path


def test_lenstool_files_are_read(files):
    model = load_mass_model(files / "best.par", files / "arcs.dat", files / "gal.cat")
    assert (model.ra0, model.dec0, model.z_lens) == (110.8, -73.4, 0.39)
    assert model.potentials.angle_deg[0] == 170.0
    assert list(model.images["system"]) == ["1", "2"]
    assert list(model.images["z"]) == [2.0, 1.5]
    assert list(model.images["z_source"]) == ["measured", "model"]
    assert list(model.members["scaled"]) == [True, False]


def test_french_keywords_and_radii_in_kpc_are_understood(files):
    text = PAR.replace("potential", "potentiel").replace("profile", "profil")
    text = text.replace("ellipticity", "ellipticite").replace("core_radius ", "core_radius_kpc ")
    (files / "fr.par").write_text(text)
    potentials = read_lenstool(files / "fr.par").potentials
    assert potentials.ellipticity[0] == 0.3
    assert potentials.core[0] == pytest.approx(1.5 * arcsec_per_kpc(0.39))


def test_ecsv_tables_hold_the_same_model(files):
    model = load_mass_model(files / "best.par", files / "arcs.dat", files / "gal.cat")
    for name, table in (
        ("p", potentials_table(model)), ("i", model.images), ("m", model.members)
    ):  # fmt: skip
        write_ecsv(table, files / f"{name}.ecsv")
    again = load_mass_model(files / "p.ecsv", files / "i.ecsv", files / "m.ecsv")
    assert np.array_equal(again.deflection(3.0, 4.0, 2.0), model.deflection(3.0, 4.0, 2.0))
    assert list(again.images["image"]) == ["1.1", "2.1"]
    assert not list(files.glob("*.partial"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tv_disp     800.0\n", "", "potential O1 has no number for v_disp"),
        ("profile       81", "profile       12", "profile 12; only 81"),
        ("\treference     3 110.8 -73.4\n", "", "no `reference`"),
        ("reference     3", "reference     0", "reference mode 0"),
        ("H0        70.0", "H0        67.0", "H0 = 67.0"),
    ],
)
def test_what_is_wrong_in_a_parameter_file_is_named(files, old, new, message):
    (files / "bad.par").write_text(PAR.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_lenstool(files / "bad.par")


def test_a_system_without_any_redshift_is_named(files):
    (files / "best.par").write_text(PAR.replace("#2.0 z:1.5 dlsds:0.6\n", ""))
    with pytest.raises(ValueError, match=r"arcs.dat: no redshift for systems \['2'\]"):
        load_mass_model(files / "best.par", files / "arcs.dat")


def test_a_file_that_is_no_table_of_potentials_is_refused(files):
    model = load_mass_model(files / "best.par", files / "arcs.dat")
    write_ecsv(model.images, files / "images.ecsv")
    with pytest.raises(ValueError, match=r"images.ecsv: no columns \['name', 'x_arcsec'"):
        load_mass_model(files / "images.ecsv", files / "images.ecsv")
