"""What a script takes apart of its job's inputs: files that may be missing, files by name."""

from collections.abc import Iterable, Mapping


def optional_file(files: Iterable[str]) -> str | None:
    """The only file of an input that may be empty; None where it is."""
    found = list(files)
    if len(found) > 1:
        raise ValueError(f"at most one file expected, got {', '.join(found)}")
    return found[0] if found else None


def by_chunk_counts(files: Iterable[str], counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Files of several data sets, by data set.

    files : those of the first data set, then those of the next
    counts : number of files by data set, in that order
    Raises ValueError where there are more or fewer files.
    """
    found = list(files)
    if len(found) != sum(counts.values()):
        raise ValueError(f"{len(found)} files for {sum(counts.values())} chunks of {list(counts)}")
    waiting = iter(found)
    return {name: [next(waiting) for _ in range(count)] for name, count in counts.items()}
