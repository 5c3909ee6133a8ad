"""Downloads: checked, whole or not at all, whatever the server does."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import faulty_server as server
import numpy as np
import pytest
from faulty_server import Served, serving

from lenshunt.readers import transfer as transfer_module
from lenshunt.readers.download import Source, fetch, load_sources, source_of
from lenshunt.readers.transfer import Patience

CONTENT = np.random.default_rng(5).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(timeout_s=0.3, attempts=3, wait_s=0.01, wait_max_s=0.02)


@pytest.fixture
def served():
    with serving(Served(CONTENT)) as running:
        yield running


def source(url: str, checksum: str = "") -> Source:
    return Source("data/a.fits", url, "the portal", checksum, "CC0", "Nobody 2026")


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_whole_and_its_first_checksum_is_recorded(served, tmp_path, capsys):
    out = tmp_path / "a.fits"
    fetch(source(served.url), out, QUICK)
    assert out.read_bytes() == CONTENT
    assert json.loads((tmp_path / "a.fits.sha256").read_text())["sha256"] in SHA256
    assert "no published checksum" in capsys.readouterr().out
    assert files_in(tmp_path) == {"a.fits", "a.fits.sha256"}


@pytest.mark.parametrize("checksum", [SHA256, "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_a_published_checksum_is_checked_and_none_recorded(served, tmp_path, checksum):
    fetch(source(served.url, checksum), tmp_path / "a.fits", QUICK)
    assert files_in(tmp_path) == {"a.fits"}


@pytest.mark.parametrize(
    "faults",
    [
        [server.cut],
        [server.cut, server.cut, server.cut, server.cut, server.cut],
        [server.stall],
        [server.promises_more],
        [server.answers(503)],
        [server.answers(429, Retry_After="0"), server.cut, server.answers(500)],
    ],
    ids=["cut", "cut five times", "stall", "promises more", "503", "mixed"],
)
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_what_passes_is_tried_again_until_the_file_is_whole(served, tmp_path, faults, ranges):
    served.faults, served.ranges = list(faults), ranges
    if not ranges and len(faults) == 5:
        pytest.skip("without ranges every cut costs all bytes: that gives up, see below")
    fetch(source(served.url, SHA256), tmp_path / "a.fits", QUICK)
    assert (tmp_path / "a.fits").read_bytes() == CONTENT
    assert files_in(tmp_path) == {"a.fits"}


def test_a_cut_download_asks_only_for_the_rest_of_the_same_version(served, tmp_path):
    served.faults = [server.cut]
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert served.asked == [(None, None), ("bytes=150000-", '"one"')]


@pytest.mark.parametrize(
    ("validators", "resumed"),
    [
        ({"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, True),
        ({"ETag": 'W/"weak"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, True),
        ({"ETag": 'W/"weak"'}, False),
        ({}, False),
    ],
)
def test_only_what_names_a_version_is_continued(served, tmp_path, validators, resumed):
    served.validators, served.faults = validators, [server.cut]
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert (tmp_path / "a.fits").read_bytes() == CONTENT
    assert (served.asked[1][0] is not None) == resumed


def test_a_file_that_changes_between_two_attempts_is_not_stitched_together(served, tmp_path):
    def cut_and_change(handler, body):
        server.cut(handler, body)
        served.content, served.validators = CONTENT[::-1], {"ETag": '"two"'}

    served.faults = [cut_and_change]
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert (tmp_path / "a.fits").read_bytes() == CONTENT[::-1]


def test_a_server_that_always_cuts_is_given_up_and_the_next_run_goes_on(served, tmp_path):
    served.faults, served.ranges = [server.cut] * 20, False
    with pytest.raises(OSError, match=r"a\.fits: .*given up after 3 attempts") as error:
        fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert "150000 bytes are kept" in str(error.value)
    assert "the portal" in str(error.value)
    assert "a.fits" not in files_in(tmp_path)
    served.faults, served.ranges = [], True
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert served.asked[-1] == ("bytes=150000-", '"one"')
    assert (tmp_path / "a.fits").read_bytes() == CONTENT


def test_a_length_that_is_always_a_lie_ends_in_a_sentence(served, tmp_path):
    served.faults = [server.promises_more] * 20
    with pytest.raises(OSError, match="given up after 3 attempts"):
        fetch(source(served.url, SHA256), tmp_path / "a.fits", QUICK)
    assert "a.fits" not in files_in(tmp_path)


def test_a_length_that_hides_the_end_is_found_by_the_checksum(served, tmp_path):
    served.faults = [server.promises_less]
    with pytest.raises(ValueError, match=r"sent 299000 bytes of sha256 .* they were removed"):
        fetch(source(served.url, SHA256), tmp_path / "a.fits", QUICK)
    assert files_in(tmp_path) == set()


def test_without_length_and_checksum_a_file_is_not_trusted(served, tmp_path):
    served.faults = [server.tells_no_length]
    with pytest.raises(OSError, match="does not tell the length"):
        fetch(source(served.url), tmp_path / "a.fits", QUICK)
    served.faults = [server.tells_no_length]
    fetch(source(served.url, SHA256), tmp_path / "a.fits", QUICK)
    assert (tmp_path / "a.fits").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_an_answer_that_will_not_change_is_not_tried_again(served, tmp_path, code):
    served.faults = [server.answers(code)]
    with pytest.raises(OSError, match=rf"the server answers {code} .* the portal"):
        fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert len(served.asked) == 1
    assert files_in(tmp_path) == set()


def test_a_web_page_is_not_taken_for_the_file(served, tmp_path):
    served.faults = [server.web_page]
    with pytest.raises(OSError, match="a web page in place of the file"):
        fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert files_in(tmp_path) == set()


def test_nobody_at_the_address_is_a_sentence(tmp_path):
    with serving(Served(CONTENT)) as gone:
        url = gone.url
    with pytest.raises(OSError, match="the connection broke"):
        fetch(source(url), tmp_path / "a.fits", QUICK)


def test_other_bytes_than_at_first_are_refused_and_removed(served, tmp_path):
    out = tmp_path / "a.fits"
    fetch(source(served.url), out, QUICK)
    out.unlink()
    served.content, served.validators = b"changed", {}
    with pytest.raises(ValueError, match=r"a\.fits\.sha256 says .* they were removed"):
        fetch(source(served.url), out, QUICK)
    assert files_in(tmp_path) == {"a.fits.sha256"}


def test_a_wrong_published_checksum_is_refused_and_removed(served, tmp_path):
    with pytest.raises(ValueError, match=r"md5 .* but resources/datasets.yaml says 000"):
        fetch(source(served.url, "md5:" + "0" * 32), tmp_path / "a.fits", QUICK)
    assert files_in(tmp_path) == set()


def test_a_disk_without_room_is_told_before_the_first_byte(served, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(transfer_module.shutil, "disk_usage", lambda _: usage(1e6, 1e6, 1000))
    with pytest.raises(OSError, match=r"300000 bytes are still to come, .* has 1000 bytes free"):
        fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert "a.fits" not in files_in(tmp_path)


#: A download in a process of its own: URL, folder, largest file in bytes (0: no limit).
CHILD = """
import resource, signal, sys
from lenshunt.readers.download import Source, fetch
from lenshunt.readers.transfer import Patience
url, folder, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
source = Source("data/a.fits", url, "the portal", "", "CC0", "Nobody 2026")
fetch(source, folder + "/a.fits", Patience(timeout_s=30, attempts=2, wait_s=0.01))
"""


def download_in_a_process(url: str, folder: Path, limit: int = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, url, str(folder), str(limit)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_fills_up_ends_in_a_sentence_and_the_next_run_goes_on(served, tmp_path):
    process = download_in_a_process(served.url, tmp_path, limit=100_000)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"[Errno {errno.EFBIG}]" in printed
    assert "make room and run again" in printed
    assert "a.fits" not in files_in(tmp_path)
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert served.asked[-1][0] is not None
    assert (tmp_path / "a.fits").read_bytes() == CONTENT


def test_a_killed_download_goes_on_where_it_stopped(served, tmp_path):
    served.faults = [server.stall]
    process = download_in_a_process(served.url, tmp_path)
    partial = tmp_path / "a.fits.partial"
    deadline = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    here = partial.stat().st_size
    assert 0 < here < len(CONTENT)
    assert "a.fits" not in files_in(tmp_path)
    fetch(source(served.url), tmp_path / "a.fits", QUICK)
    assert served.asked[-1] == (f"bytes={here}-", '"one"')
    assert (tmp_path / "a.fits").read_bytes() == CONTENT
    assert files_in(tmp_path) == {"a.fits", "a.fits.sha256"}


def test_a_file_without_address_says_where_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"get it from the portal \(Nobody 2026\)"):
        fetch(source(""), tmp_path / "a.fits", QUICK)


def test_every_public_file_has_portal_licence_and_citation():
    sources = load_sources()
    assert len({entry.path for entry in sources}) == len(sources)
    assert all(entry.portal and entry.licence and entry.citation for entry in sources)
    assert source_of(sources[0].path) == sources[0]
