"""Injection as a data set: the same in every chunk and run, nothing skipped in silence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from injection_runs import PRODUCTS, Injection, hosts_of, section, survey_in
from injection_samples import des_hosts, hst_records
from pyarrow import parquet
from raw_samples import common, write_records

from lenshunt.config import SplitConfig, StampsDataset
from lenshunt.core import raw_manifest, read_manifest
from lenshunt.dataset import excluded_rows, make_splits, read_exclusions, write_exclusions
from lenshunt.readers import raw_files
from lenshunt.scenes import plan
from lenshunt.scenes.host_records import cutouts_of
from lenshunt.scenes.hosts import host_shape
from lenshunt.scenes.real_sources import real_sources
from lenshunt.scenes.source_store import read_sources
from lenshunt.scenes.truth import COLUMNS, read_truth
from lenshunt.schema import (
    Cutout,
    magnitude_from_njy,
    read_metadata,
)
from lenshunt.schema.metadata import table_from_records


@pytest.fixture(autouse=True, scope="module")
def one_draw_per_population():
    """Equal populations are drawn once for all tests of this file."""
    draw, drawn = plan.draw_population, {}

    def remembered(rng, n, survey, selection):
        key = (str(rng.bit_generator.state), n, survey, selection)
        if key not in drawn:
            drawn[key] = draw(rng, n, survey, selection)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "draw_population", remembered)
        yield


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Eight hosts in two chunks, and the products of both."""
    made = Injection(tmp_path_factory.mktemp("injection"), [hosts_of(4), hosts_of(4, 4)])
    return made, [made.paint(0), made.paint(1)]


def test_every_host_gives_a_lens_and_itself_or_is_listed(painted):
    made, products = painted
    for (_, hosts), out in zip(made.hosts, products, strict=True):
        names = set(read_metadata(hosts)["sample_id"])
        truth, skipped = read_truth([out["truth"]]), Table.read(out["skipped"], format="ascii.ecsv")
        assert len(truth) >= 2
        assert set(truth["host_id"]) | set(skipped["sample_id"]) == names
        assert len(truth) + len(skipped) == len(names)
        assert skipped.meta["n_lenses"] == len(truth)
        table = read_metadata(out["metadata"])
        lenses, negatives = table[table["label"] == 1], table[table["label"] == 0]
        assert lenses["sample_id"].tolist() == truth["sample_id"].tolist()
        assert set(lenses["label_source"]) == {"sim:injection"}
        assert set(negatives["label_source"]) == {"obs:matched"}
        assert set(negatives["label_confidence"]) == {0.99}
        assert lenses["system_id"].tolist() == negatives["system_id"].tolist()
        assert set(table["system_id"]) == set(truth["system_id"]) <= names
        assert set(table["raw_file"]) == {"hosts.fits"}
        assert lenses["einstein_radius"].tolist() == truth["theta_e"].tolist()


def test_the_pixels_are_those_of_the_host_and_brighter_by_the_arcs(painted):
    made, products = painted
    before = {one.metadata.sample_id: one for one in cutouts_of(*made.hosts[0])}
    after = list(cutouts_of(products[0]["pixels"], products[0]["metadata"]))
    truth = read_truth([products[0]["truth"]])
    for (lens, negative), row in zip(
        zip(after[::2], after[1::2], strict=True), truth.itertuples(), strict=True
    ):
        host_record = before[row.host_id]
        assert np.array_equal(negative.image, host_record.image)
        assert np.array_equal(negative.variance, host_record.variance)
        assert np.array_equal(lens.psf, host_record.psf)
        added = (lens.image - host_record.image)[2].sum()
        noise = float(np.sqrt((lens.variance[2] - host_record.variance[2]).sum()))
        assert added == pytest.approx(row.arc_flux_i, abs=5 * noise)
        assert row.arc_flux_i > 5 * noise


def test_truth_columns_say_their_units_and_hold_sensible_values(painted):
    _, products = painted
    truth = read_truth([out["truth"] for out in products])
    schema = parquet.read_schema(products[0]["truth"])
    assert schema.names == list(COLUMNS)
    units = {name: schema.field(name).metadata[b"unit"].decode() for name in schema.names}
    assert (units["theta_e"], units["lensed_flux"], units["sigma_km_s"]) == (
        "arcsec", "nJy", "km/s",
    )  # fmt: skip
    assert truth["theta_e"].between(0.5, 3.0).all()
    assert (truth["z_source"] > truth["z_lens"]).all()
    assert (truth["visible_snr"] >= 20).all()
    assert (truth["arc_snr"] >= truth["visible_snr"]).all()
    assert truth["n_images"].between(1, 5).all()
    assert truth["flux_ratio"].between(0, 1, inclusive="neither").all()
    assert (truth["host_magnitude_i"] == 20.2).all()


def test_chunks_can_be_made_again_and_in_any_number_to_the_same_lenses(painted, tmp_path):
    made, products = painted
    again = made.paint(1, "again")
    for name in PRODUCTS:
        assert Path(again[name]).read_bytes() == Path(products[1][name]).read_bytes(), name
    whole = Injection(tmp_path, [hosts_of(8)])
    together = read_truth([whole.paint(0)["truth"]])
    apart = read_truth([out["truth"] for out in products])
    pd.testing.assert_frame_equal(together, apart)


def test_one_host_less_changes_no_other_lens(painted, tmp_path):
    made, products = painted
    fewer = Injection(tmp_path, [hosts_of(4), hosts_of(3, 4)])
    truth = read_truth([fewer.paint(1)["truth"]])
    before = read_truth([products[1]["truth"]])
    assert survey_in(fewer.plan["out_population"]) == survey_in(made.plan["out_population"])
    kept = before[before["host_id"] != "host-7"].reset_index(drop=True)
    assert len(kept) >= 1
    pd.testing.assert_frame_equal(truth, kept)


def test_another_seed_paints_other_lenses(painted, tmp_path):
    _, products = painted
    other = Injection(tmp_path, [hosts_of(4)], seed=6)
    truth = read_truth([other.paint(0)["truth"]])
    both = truth.merge(read_truth([products[0]["truth"]]), on="host_id")
    assert len(both)
    assert (both["theta_e_x"] != both["theta_e_y"]).all()


def test_what_is_no_host_is_left_out_and_said(tmp_path, capsys):
    records = hosts_of(6)
    records[0] = records[0].with_metadata(label=1, label_source="obs:lens")
    records[1] = records[1].with_metadata(magnitude=(np.nan, np.nan, 22.5, np.nan, np.nan))
    masked = records[4]
    masked.variance[2, 22:27, 22:27] = np.inf
    blank = Cutout(
        np.zeros_like(records[5].image), records[5].variance, records[5].metadata, records[5].psf
    )
    known = tmp_path / "known.csv"
    known.write_text(f"name,ra,dec\nSLACS,{10.2 + 5 / 3600},1.0\n")
    made = Injection(tmp_path, [[*records[:5], blank]], known=[str(known)])
    out = made.paint(0)
    skipped = Table.read(out["skipped"], format="ascii.ecsv")
    reasons = dict(zip(skipped["sample_id"], skipped["reason"], strict=True))
    assert reasons["host-0"] == "a lens is no host"
    assert "host_magnitude_max" in reasons["host-1"]
    assert reasons["host-2"] == "known lens SLACS (known.csv)"
    assert "core" in reasons["host-4"]
    assert "does not peak" in reasons["host-5"]
    assert skipped.meta["n_skipped"]["known lens"] == 1
    assert Table.read(out["rejected"], format="ascii.ecsv").meta["n_objects"] == len(
        read_metadata(out["metadata"])
    )
    printed = capsys.readouterr().out
    assert "1 hosts: known lens" in printed
    assert "1 hosts: a lens is no host" in printed


def test_a_cap_takes_the_same_hosts_however_they_lie_in_chunks(tmp_path):
    dataset = section(hosts_max=3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = Injection(tmp_path / "a", [hosts_of(8)], dataset)
    two = Injection(tmp_path / "b", [hosts_of(3), hosts_of(5, 3)], dataset)
    chosen = []
    for made in (one, two):
        table = pd.read_parquet(made.plan["out_hosts"])
        chosen.append(set(table.loc[table["reason"] == "", "sample_id"]))
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 3


def test_hosts_of_which_none_can_serve_stop_the_run_with_the_key(tmp_path):
    lenses = [one.with_metadata(label=1, label_source="obs:lens") for one in hosts_of(2)]
    with pytest.raises(ValueError, match=r"datasets\.painted\.hosts: none of the 2 records"):
        Injection(tmp_path, [lenses])


def test_hosts_without_psf_or_band_stop_the_run_with_the_key(tmp_path):
    bare = [Cutout(one.image, one.variance, one.metadata) for one in hosts_of(2)]
    with pytest.raises(ValueError, match=r"datasets\.painted\.band: no host has band i with a PSF"):
        Injection(tmp_path, [bare])


def test_a_killed_job_leaves_nothing_half_written(painted, monkeypatch):
    made, _ = painted

    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lenshunt.scenes.injected_chunk.write_truth", fails)
    with pytest.raises(KeyboardInterrupt):
        made.paint(0, "killed")
    assert not [path.name for path in made.folder.iterdir() if ".partial" in path.name]


@pytest.fixture(scope="module")
def split(painted, tmp_path_factory):
    """Splits of hosts (pretraining, with galaxies that carry no lens) and lenses, by seed."""
    made, products = painted
    folder = tmp_path_factory.mktemp("splits")
    others = [one.metadata for one in hosts_of(12, 100)]
    table_from_records(others).to_parquet(folder / "others.parquet", index=False)
    tables = {
        "hosts": [*(metadata for _, metadata in made.hosts), str(folder / "others.parquet")],
        "painted": [out["metadata"] for out in products],
    }
    found = []
    for seed in range(12):
        paths = {name: str(folder / f"{name}-{seed}.parquet") for name in tables}
        for name, metadata in tables.items():
            config = SplitConfig(train=0.5, val=0.3)
            make_splits(metadata=metadata, config=config, seed=seed, out=paths[name])
        found.append(paths)
    return found


def test_lens_and_host_are_in_one_split(split):
    for paths in split:
        table = pd.read_parquet(paths["painted"])
        assert (table.groupby("system_id")["split"].nunique() == 1).all()
        assert (table.groupby("system_id")["label"].nunique() == 2).all()


def test_pretraining_never_sees_a_galaxy_whose_lens_is_validated_or_tested(split, tmp_path):
    seen = 0
    for number, paths in enumerate(split):
        out = str(tmp_path / f"{number}.parquet")
        write_exclusions(
            splits=paths, train=["hosts", "painted"], evaluate=["hosts", "painted"],
            radius_arcsec=2.0, out=out,
        )  # fmt: skip
        hosts = pd.read_parquet(paths["hosts"]).assign(dataset="hosts")
        kept = hosts[~excluded_rows(hosts, read_exclusions(out))]
        injected = pd.read_parquet(paths["painted"])
        scored = set(injected.loc[injected["split"] != "train", "system_id"])
        trained = set(kept.loc[kept["split"] == "train", "system_id"])
        assert not trained & scored
        seen += len(scored & set(hosts.loc[hosts["split"] == "train", "system_id"]))
    # without the exclusions there would have been some
    assert seen > 0


@pytest.mark.slow
@pytest.mark.real
def test_real_des_galaxies_and_real_hst_sources_make_a_data_set(real_data, tmp_path):
    records = [
        one.with_metadata(magnitude=tuple(_magnitudes(one)), label=-1, label_source="unlabelled")
        for one in des_hosts(real_data, tmp_path)
    ]
    dataset = section(survey="des", sources=["cosmos"])
    galaxies = hst_records(real_data, tmp_path)
    made = Injection(tmp_path, [records[:5], records[5:]], dataset, sources=galaxies)
    survey = survey_in(made.plan["out_population"])
    assert survey["seeing_arcsec"] == pytest.approx(1.0, abs=0.2)
    assert survey["depth_5sigma"] == pytest.approx(24.4, abs=0.6)
    stored, (direct, _) = read_sources(made.plan["out_sources"]), real_sources(galaxies)
    assert len(stored) >= 8
    by_name = {one.name: one for one in direct}
    for one in stored:
        assert np.array_equal(one.light, by_name[one.name].light)
        assert one.half_light_radius == by_name[one.name].half_light_radius
        assert one.centre == by_name[one.name].centre
    truth = read_truth([made.paint(chunk)["truth"] for chunk in (0, 1)])
    assert len(truth) >= 6
    assert truth["source_name"].str.len().gt(0).all()
    assert truth["source_name"].nunique() >= 3


def _magnitudes(one: Cutout) -> np.ndarray:
    flux = host_shape(one).flux_njy
    return np.where(flux > 0, magnitude_from_njy(np.maximum(flux, 1.0)), np.nan)


@pytest.mark.real
def test_real_hsc_stamps_as_the_workflow_prepares_them_become_lenses(real_data, tmp_path):
    stamps = StampsDataset(
        reader="stamps", images=[str(real_data / "hsc_stamps" / "*.npz")], size_px=64,
        **common("hsc", "pretrain"),
    )  # fmt: skip
    manifest = str(tmp_path / "manifest.csv")
    raw_manifest(raw_files(stamps), tmp_path / "hashes.json").write(manifest)
    records = str(tmp_path / "records.h5"), str(tmp_path / "records.parquet")
    write_records(
        name="stamps", dataset=stamps, chunk=0, chunks=1, manifest=manifest,
        pixels=records[0], metadata=records[1], rejected=str(tmp_path / "rejected.ecsv"),
    )  # fmt: skip
    made = Injection(tmp_path, [list(cutouts_of(*records))])
    survey = survey_in(made.plan["out_population"])
    # of the noise-equivalent area: wings make it wider than the FWHM of 0.55 arcsec
    assert survey["seeing_arcsec"] == pytest.approx(0.78, abs=0.1)
    # these stamps are of the UltraDeep layer, a magnitude deeper than Wide
    assert survey["depth_5sigma"] == pytest.approx(27.2, abs=0.4)
    out = made.paint(0)
    truth, skipped = read_truth([out["truth"]]), Table.read(out["skipped"], format="ascii.ecsv")
    # the stamps are boxes around blends: few have a bright galaxy in the middle
    assert len(truth) + len(skipped) == 27
    assert len(truth) >= 1
    assert sum(skipped.meta["n_skipped"].values()) == len(skipped)
    assert (truth["visible_snr"] >= 20).all()
    table = read_metadata(out["metadata"])
    assert table["raw_file"].str.endswith(".npz").all()
    assert set(table["raw_sha256"]) <= set(read_manifest(manifest).sha256.values())
