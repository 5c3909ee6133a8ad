"""Downloads: checked, whole or not at all, against a server on this machine."""

import hashlib
import http.server
import threading
from functools import partial

import pytest
import requests

from lenshunt.raw.download import Source, fetch, load_sources, source_of

CONTENT = b"SIMPLE  =                    T" * 500


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `short.fits` promises more bytes than it sends."""

    def log_message(self, *arguments):
        return

    def do_GET(self):
        if self.path == "/short.fits":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT) + 1000))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.fits").write_bytes(CONTENT)
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def source(url: str, checksum: str = "") -> Source:
    return Source("data/a.fits", url, "the portal", checksum, "CC0", "Nobody 2026")


def test_a_file_arrives_whole_and_its_first_checksum_is_recorded(server, tmp_path, capsys):
    out = tmp_path / "a.fits"
    fetch(source(f"{server}/a.fits"), out)
    assert out.read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert digest in (tmp_path / "a.fits.sha256").read_text()
    assert "no published checksum" in capsys.readouterr().out


def test_other_bytes_than_recorded_are_refused(server, tmp_path):
    out = tmp_path / "a.fits"
    fetch(source(f"{server}/a.fits"), out)
    out.unlink()
    (tmp_path / "served" / "a.fits").write_bytes(b"changed")
    with pytest.raises(ValueError, match="hash"):
        fetch(source(f"{server}/a.fits"), out)
    assert not out.exists()


def test_a_wrong_published_checksum_is_refused(server, tmp_path):
    with pytest.raises(ValueError, match="hash"):
        fetch(source(f"{server}/a.fits", "md5:" + "0" * 32), tmp_path / "a.fits")
    assert not (tmp_path / "a.fits").exists()


@pytest.mark.parametrize("name", ["absent.fits", "short.fits"])
def test_a_failed_download_leaves_no_file_under_the_final_name(server, tmp_path, name):
    with pytest.raises(requests.exceptions.RequestException):
        fetch(source(f"{server}/{name}"), tmp_path / "a.fits")
    assert not (tmp_path / "a.fits").exists()


def test_a_file_without_address_says_where_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"get it from the portal \(Nobody 2026\)"):
        fetch(source(""), tmp_path / "a.fits")


def test_every_public_file_has_portal_licence_and_citation():
    sources = load_sources()
    assert len({entry.path for entry in sources}) == len(sources)
    assert all(entry.portal and entry.licence and entry.citation for entry in sources)
    assert source_of(sources[0].path) == sources[0]
