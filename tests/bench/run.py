"""`make bench`: run every bench_*.py beside this file and print one table."""

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="bench_NAME.py to run; all where none is named")
    names = parser.parse_args().names or sorted(p.stem[6:] for p in HERE.glob("bench_*.py"))
    sys.path.insert(0, str(HERE))
    print(f"{'what':70s} {'ours':>10s} {'peer':>10s} {'ratio':>8s} {'bar':>6s}")
    for name in names:
        for row in importlib.import_module(f"bench_{name}").bench():
            verdict = ""
            if row.bar is not None:
                verdict = f"{row.bar:6.2f} {'reached' if row.ratio >= row.bar else 'MISSED'}"
            print(
                f"{row.what:70s} {row.ours:10.4g} {row.peer:10.4g} {row.ratio:8.2f} {verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
