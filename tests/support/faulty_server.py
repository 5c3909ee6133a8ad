"""An HTTP server on this machine that truncates, stalls, lies and recovers, as asked."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Served:
    """What the server holds and how it behaves.

    content, validators : the file, and headers (ETag, Last-Modified) that name its version
    ranges : whether it answers Range with a part
    faults : one per request, from the first on; after them it behaves
    asked : (Range, If-Range) of every request so far
    """

    content: bytes
    validators: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    faults: list[Callable[["Handler", bytes], None] | None] = field(default_factory=list)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the served file, or with the next fault."""

    served: Served

    def log_message(self, *arguments):
        return

    def do_GET(self):
        served = self.served
        wanted, version = self.headers.get("Range"), self.headers.get("If-Range")
        served.asked.append((wanted, version))
        fault = served.faults.pop(0) if served.faults else None
        start = 0
        if wanted and served.ranges and version in served.validators.values():
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(served.content) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(served.content)}")
            self.end_headers()
            return
        self.start = start
        (fault or Handler.whole)(self, served.content[start:])

    def head(self, length: int | None, **headers: str) -> None:
        """Status line and headers of a good answer."""
        self.send_response(206 if self.start else 200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.start:
            total = len(self.served.content)
            self.send_header("Content-Range", f"bytes {self.start}-{total - 1}/{total}")
        for name, value in {**self.served.validators, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def whole(self, body: bytes) -> None:
        self.head(len(body))
        self.wfile.write(body)


def cut(self: Handler, body: bytes) -> None:
    """The connection ends in the middle."""
    self.head(len(body))
    self.wfile.write(body[: len(body) // 2])


def stall(self: Handler, body: bytes) -> None:
    """Some bytes, then silence until the test ends."""
    self.head(len(body))
    self.wfile.write(body[: len(body) // 2])
    self.wfile.flush()
    self.served.released.wait(20)


def promises_more(self: Handler, body: bytes) -> None:
    """A Content-Length that the file does not have."""
    self.head(len(body) + 1000)
    self.wfile.write(body)


def promises_less(self: Handler, body: bytes) -> None:
    """A Content-Length that hides the end of the file."""
    self.head(len(body) - 1000)
    self.wfile.write(body)


def tells_no_length(self: Handler, body: bytes) -> None:
    """HTTP/1.0 at its plainest: the end of the connection is the end of the file."""
    self.head(None)
    self.wfile.write(body)


def web_page(self: Handler, body: bytes) -> None:
    """What portals send in place of a file that wants a login."""
    self.head(14, **{"Content-Type": "text/html; charset=utf-8"})
    self.wfile.write(b"<html></html>\n")


def answers(code: int, **headers: str) -> Callable[[Handler, bytes], None]:
    """An answer without a file."""

    def fault(self: Handler, body: bytes) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    return fault


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Run the server on a free port; `served.url` is the file's address."""
    handler = type("Handler", (Handler,), {"served": served})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{running.server_port}/a.fits"
        yield served
        served.released.set()
        running.shutdown()
        thread.join()
