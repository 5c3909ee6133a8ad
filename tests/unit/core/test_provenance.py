"""Manifests follow bytes, not times; logs and versions tell what a result was made from."""

import errno
import io
import os
from pathlib import Path

import pytest

from lenshunt.core import UNHASHED, raw_manifest, read_manifest
from lenshunt.core.logs import logged_to
from lenshunt.core.provenance import package_versions


def test_a_touch_leaves_the_manifest_and_a_changed_byte_does_not(tmp_path):
    raw = tmp_path / "raw.fits"
    raw.write_bytes(b"lens")
    cache = tmp_path / "cache.json"
    before = raw_manifest([raw], cache)
    os.utime(raw, (1, 1))
    assert raw_manifest([raw], cache).digest == before.digest
    raw.write_bytes(b"ring")
    assert raw_manifest([raw], cache).digest != before.digest


def test_a_missing_raw_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        raw_manifest([tmp_path / "absent.fits"], tmp_path / "cache.json")
    assert error.value.filename == str(tmp_path / "absent.fits")


def test_manifest_is_read_as_written(tmp_path):
    raw = tmp_path / "a,b.fits"
    raw.write_bytes(b"1234")
    manifest = raw_manifest([raw], tmp_path / "cache.json")
    manifest.write(tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == manifest


def test_a_failure_is_logged_and_raised(tmp_path):
    with pytest.raises(RuntimeError), logged_to(tmp_path / "job.log"):
        print("started")
        raise RuntimeError("no light")
    text = Path(tmp_path / "job.log").read_text()
    assert "started" in text
    assert "RuntimeError: no light" in text


def test_versions_name_every_required_package():
    versions = package_versions()
    assert versions["numpy"][0].isdigit()
    assert {"torch", "snakemake", "astropy"} <= set(versions)


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_a_file_that_cannot_be_read_stands_in_the_manifest_as_such(tmp_path, kind):
    good, bad = tmp_path / "good.fits", tmp_path / "bad.fits"
    good.write_bytes(b"lens")
    bad.mkdir() if kind == "folder" else bad.symlink_to(tmp_path / "nowhere")
    manifest = raw_manifest([good, bad], tmp_path / "cache.json")
    assert manifest.sha256[str(bad)] == UNHASHED
    assert len(manifest.sha256[str(good)]) == 64
    bad.rmdir() if kind == "folder" else bad.unlink()
    bad.write_bytes(b"ring")
    assert raw_manifest([good, bad], tmp_path / "cache.json").digest != manifest.digest


def test_a_broken_cache_of_hashes_only_costs_time(tmp_path, capsys):
    raw, cache = tmp_path / "raw.fits", tmp_path / "cache.json"
    raw.write_bytes(b"lens")
    before = raw_manifest([raw], cache)
    cache.write_text(cache.read_text()[:10])
    assert raw_manifest([raw], cache) == before
    assert "hashed again" in capsys.readouterr().out


def test_a_full_disk_is_told_on_the_terminal_with_what_to_do(tmp_path, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr("sys.__stderr__", terminal)
    with pytest.raises(OSError, match="No space left"), logged_to(tmp_path / "job.log"):
        raise OSError(errno.ENOSPC, "No space left on device")
    for told in (terminal.getvalue(), (tmp_path / "job.log").read_text()):
        assert "bytes are free on the disk" in told
        assert "give the same command again" in told
