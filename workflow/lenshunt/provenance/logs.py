"""Send what a job prints to its log file, the traceback of a failure included."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


@contextmanager
def logged_to(path: Path | str) -> Iterator[None]:
    """Everything printed or logged inside goes to `path`; a failure goes there too and on."""
    with open(path, "w", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        logging.basicConfig(
            stream=log, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True
        )
        try:
            yield
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            raise
