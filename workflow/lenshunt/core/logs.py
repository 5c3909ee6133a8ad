"""Send what a job prints to its log file, the traceback of a failure included."""

import errno
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

#: No space, over quota, larger than a file may be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def logged_to(path: Path | str) -> Iterator[None]:
    """Everything printed or logged inside goes to `path`; a failure goes there too and on."""
    with open(path, "w", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        logging.basicConfig(
            stream=log, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True
        )
        try:
            yield
        except BaseException as error:
            # A full disk takes no log either; the error itself must not be lost over that.
            with suppress(OSError):
                traceback.print_exc(file=sys.stderr)
            code = _system_error(error)
            if code in _FULL:
                _tell_of_full_disk(os.strerror(code))
            raise


def _system_error(error: BaseException | None) -> int:
    """errno of an error or of what it was raised after; 0 where there is none.

    HDF5 raises RuntimeError as well, with the number in the text.
    """
    while error is not None:
        told = re.search(r"errno = (\d+)", str(error))
        code = (error.errno or 0) if isinstance(error, OSError) else int(told[1]) if told else 0
        if code:
            return code
        error = error.__cause__ or error.__context__
    return 0


def _tell_of_full_disk(reason: str) -> None:
    """What to do, on the terminal and in the log: libraries seldom name the file or the disk."""
    here = os.getcwd()
    text = (
        f"No room left to write ({reason}): {shutil.disk_usage(here).free} bytes "
        f"are free on the disk of {here}. Nothing half-written is taken for whole; make room (or "
        "raise the quota) and give the same command again, it goes on from here."
    )
    print(text, file=sys.__stderr__, flush=True)
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
