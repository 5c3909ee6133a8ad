"""One file over HTTP into a partial file: goes on after a cut, waits, tries again, tells why."""

import errno
import json
import re
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from lenshunt.core import write_json

#: A kill or a stall loses at most this much.
_BLOCK_BYTES = 1 << 16
#: Answers after which the same request may succeed (RFC 9110 and 6585).
_PASSING = (408, 425, 429, 500, 502, 503, 504)
#: What a broken connection raises; every one of them is worth another attempt.
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)


@dataclass(frozen=True)
class Patience:
    """How long a download waits.

    timeout_s : without a byte for this long, a connection counts as broken
    attempts : in a row that bring nothing new, then it gives up
    wait_s : before the second attempt; doubled before each later one, up to wait_max_s
    """

    timeout_s: float = 60.0
    attempts: int = 6
    wait_s: float = 2.0
    wait_max_s: float = 300.0


@dataclass(frozen=True)
class _Version:
    """Which version of the file a partial file is the beginning of.

    validator : strong ETag, else Last-Modified, else "" (then nothing can be continued)
    total : bytes of the whole file, -1 where the server does not tell
    """

    url: str
    validator: str
    total: int


class _PassingError(Exception):
    """An attempt that failed for a reason that may pass; wait_s is what the server asks for."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def transfer(url: str, partial: Path, patience: Patience, checksum_known: bool) -> None:
    """Bring the whole of `url` into `partial`, from where an earlier attempt or run was cut.

    What is there is continued only where the server confirms (If-Range) that the file is still
    the same; else it starts again. Beside `partial`, PARTIAL.json keeps which version it is.
    Raises OSError in a sentence: an answer that will not change (404), a full disk, too many
    attempts that brought nothing new, or, without a checksum, a server that does not tell where
    the file ends. The bytes that have arrived stay for the next run.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    furthest, in_vain = _size(partial), 0
    with requests.Session() as session:
        while True:
            try:
                _attempt(session, url, partial, patience, checksum_known)
                return
            except _PassingError as passing:
                reason, asked = str(passing), passing.wait_s
            except _BROKEN as error:
                reason, asked = _in_words(error, patience), 0.0
            here = _size(partial)
            in_vain = 0 if here > furthest else in_vain + 1
            furthest = max(furthest, here)
            if in_vain >= patience.attempts:
                break
            wait = patience.wait_s * 2.0 ** max(in_vain - 1, 0)
            wait = min(max(wait, asked), patience.wait_max_s)
            print(f"{url}: {reason}; {here} bytes are here, again in {wait:g} s", flush=True)
            time.sleep(wait)
    raise OSError(
        errno.EIO,
        f"{url}: {reason}; given up after {in_vain} attempts without a new byte. "
        f"{here} bytes are kept, run again to go on from there",
    )


def forget(partial: Path) -> None:
    """Remove a partial file and what was noted about it."""
    partial.unlink(missing_ok=True)
    _note(partial).unlink(missing_ok=True)


def _attempt(
    session: requests.Session, url: str, partial: Path, patience: Patience, checksum_known: bool
) -> None:
    """One request; returns when the file is whole."""
    version = _read_note(partial, url)
    start = _size(partial) if version and version.validator else 0
    if version and 0 <= version.total == start:
        return
    # Bytes as stored: a transparent compression would have another length.
    headers = {"Accept-Encoding": "identity"}
    if version and start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version.validator}
    limits = (patience.timeout_s, patience.timeout_s)
    with session.get(url, headers=headers, stream=True, timeout=limits) as answer:
        if answer.status_code == 416:
            forget(partial)
            raise _PassingError(f"the server has no bytes from {start} on; starting again")
        _require_good(answer, url)
        if answer.status_code == 206:
            found = _version_of_rest(answer, url, start)
            # The same version has the same length; if not, the validator cannot be trusted.
            if version is None or found is None or found.total != version.total:
                forget(partial)
                raise _PassingError("the server sends another part than was asked for")
        else:
            start, found = 0, _version(answer, url, int(answer.headers.get("Content-Length", -1)))
            _require_end(answer, found, checksum_known)
            forget(partial)
            _write_note(partial, found)
        _require_space(partial, found.total - start, url)
        _receive(answer, partial, start, found.total)
    if found.total >= 0 and _size(partial) != found.total:
        raise _PassingError(f"the connection ended at {_size(partial)} of {found.total} bytes")


def _receive(answer: requests.Response, partial: Path, start: int, total: int) -> None:
    """Append the body to `partial`; the bar shows on a terminal, even where output is logged."""
    with (
        open(partial, "ab") as sink,
        tqdm(
            initial=start,
            total=total if total >= 0 else None,
            desc=partial.name.removesuffix(".partial"),
            unit="B",
            unit_scale=True,
            disable=None,
            file=sys.__stderr__,
        ) as progress,
    ):
        for block in answer.raw.stream(_BLOCK_BYTES, decode_content=False):
            try:
                sink.write(block)
                sink.flush()
            except OSError as error:
                raise _no_space(partial, error) from error
            progress.update(len(block))


def _require_good(answer: requests.Response, url: str) -> None:
    """Raises for any answer that brings no bytes of the file."""
    code = answer.status_code
    if code in _PASSING:
        asked = answer.headers.get("Retry-After", "")
        raise _PassingError(
            f"the server answers {code} {answer.reason}", float(asked) if asked.isdigit() else 0.0
        )
    if code not in (200, 206):
        raise OSError(
            errno.ENOENT if code in (404, 410) else errno.EIO,
            f"{url}: the server answers {code} {answer.reason}",
        )
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise OSError(errno.ENOENT, f"{url}: the server sends a web page in place of the file")


def _require_end(answer: requests.Response, version: _Version, checksum_known: bool) -> None:
    """Without length, chunks or checksum a cut connection would look like the end of the file."""
    chunked = answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if version.total < 0 and not chunked and not checksum_known:
        raise OSError(
            errno.EPROTO,
            f"{version.url}: the server does not tell the length of the file and no checksum is "
            "published, so a broken download could not be told; get the file by hand",
        )


def _version(answer: requests.Response, url: str, total: int) -> _Version:
    etag = answer.headers.get("ETag", "")
    # A weak ETag does not promise equal bytes and is not allowed in If-Range (RFC 9110, 13.1.5).
    strong = etag if etag and not etag.startswith("W/") else ""
    return _Version(url, strong or answer.headers.get("Last-Modified", ""), total)


def _version_of_rest(answer: requests.Response, url: str, start: int) -> _Version | None:
    """What an answer 206 is part of; None where it does not begin at `start`."""
    place = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", place.strip())
    if not match or int(match.group(1)) != start:
        return None
    total = match.group(2)
    return _version(answer, url, -1 if total == "*" else int(total))


def _require_space(partial: Path, wanted: int, url: str) -> None:
    free = shutil.disk_usage(partial.parent).free
    if wanted > free:
        raise OSError(
            errno.ENOSPC,
            f"{url}: {wanted} bytes are still to come, {partial.parent} has {free} bytes free; "
            "make room and run again, what is there will be continued",
        )


def _no_space(partial: Path, error: OSError) -> OSError:
    free = shutil.disk_usage(partial.parent).free
    return OSError(
        error.errno,
        f"{partial}: {error.strerror} after {_size(partial)} bytes ({free} bytes free on that "
        "disk); make room and run again, what is there will be continued",
    )


def _in_words(error: Exception, patience: Patience) -> str:
    text = str(error)
    if isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in text.lower():
        return f"no byte for {patience.timeout_s:g} s"
    return f"the connection broke ({text or type(error).__name__})"


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _note(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _write_note(partial: Path, version: _Version) -> None:
    write_json(asdict(version), _note(partial), indent=None)


def _read_note(partial: Path, url: str) -> _Version | None:
    """The version that `partial` is the beginning of; None where unknown or of another address."""
    if not _note(partial).exists() or not partial.exists():
        return None
    version = _Version(**json.loads(_note(partial).read_text()))
    return version if version.url == url else None
