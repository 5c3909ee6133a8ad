"""Takes away the lock that a killed run leaves behind, so that the same command goes on.

Snakemake locks its working folder and cannot tell a run that was killed from one that is running.
On one machine it can be told: no process of a run is left in that folder. Where the jobs ran
elsewhere (Slurm) they may still be running, and the lock stays.
"""

import json
import os
import shutil
import socket
from pathlib import Path

from lenshunt.core.whole_file import whole_file

_NOTE = ".snakemake/lenshunt/run.json"


def note_run(folder: Path | str, jobs_are_local: bool) -> None:
    """Note that a run starts in `folder`, on this machine, with its jobs here or elsewhere."""
    with whole_file(Path(folder) / _NOTE, shared=True) as partial:
        note = {"host": socket.gethostname(), "local": jobs_are_local}
        partial.write_text(json.dumps(note) + "\n")


def remove_stale_lock(folder: Path | str) -> bool:
    """Remove the lock of a run in `folder` that was killed; whether there was one to remove.

    Only where the last run was started on this machine with local jobs, and no process of it,
    nor of any other run in this folder, is alive. The lock of another user stays: where that
    user's processes work cannot be seen.
    """
    locks, note = Path(folder) / ".snakemake" / "locks", Path(folder) / _NOTE
    if not note.exists() or not locks.is_dir() or not any(locks.iterdir()):
        return False
    last = json.loads(note.read_text())
    if last != {"host": socket.gethostname(), "local": True}:
        return False
    if any(lock.stat().st_uid != os.getuid() for lock in locks.iterdir()) or running_in(folder):
        return False
    shutil.rmtree(locks)
    return True


def running_in(folder: Path | str) -> list[int]:
    """Process ids of Snakemake and its jobs in `folder`, other than this one and its parents.

    Without /proc (not Linux) nothing can be told: then this process's own id is given.
    """
    if not Path("/proc/self/cwd").exists():
        return [os.getpid()]
    own = _with_parents(os.getpid())
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) in own:
            continue
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            # The folder itself, not its name: a container may have it under another path.
            here = os.path.samefile(path / "cwd", folder)
        except OSError:
            # It has ended meanwhile, or belongs to somebody else.
            continue
        is_python = os.path.basename(command[0]).startswith(b"python")
        if here and is_python and any(b"snakemake" in part for part in command):
            found.append(int(path.name))
    return found


def _with_parents(pid: int) -> set[int]:
    """A process and all its ancestors: a shell or make may name snakemake in its own command."""
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        # Field 4 is the parent; the name in field 2 may hold spaces but ends with ")".
        text = Path(f"/proc/{pid}/stat").read_text()
        pid = int(text.rpartition(")")[2].split()[1])
    return found
