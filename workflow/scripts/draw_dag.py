"""Simplify the rule graph for the README: `snakemake --rulegraph | draw_dag.py | dot -Tsvg`.

Figures, `all`, bookkeeping and steps that the demo does not take are left out; the demo's
rules are one node.
"""

import re
import sys

LEFT_OUT = re.compile(
    r"all|.*_figure|.*_curves|.*_gallery|overlay|label_sources|provenance|manifest|rejected"
    r"|matched_negatives|segments|online_sources|probe|comparisons|study_table|model_sizes|costs"
    r"|diagnostics"
)
STYLE = (
    "graph [rankdir=LR, nodesep=0.15, ranksep=0.35]; "
    'node [shape=box, style="rounded,filled", fillcolor="#e8f1f8", color="#0072B2", '
    'fontname="Helvetica", fontsize=11, height=0.3]; edge [color="#777777", arrowsize=0.6];'
)


def simplified(dot: str) -> str:
    """The graph with one node per stage; edges through a node left out join its neighbours."""
    names = {
        number: re.sub(r"^demo_.*", "raw files", label)
        for number, label in re.findall(r'(\d+)\[label = "(\w+)', dot)
    }
    edges = {
        (names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot) if names[a] != names[b]
    }
    for name in sorted({n for n in names.values() if LEFT_OUT.fullmatch(n)}):
        into = [a for a, b in edges if b == name]
        out = [b for a, b in edges if a == name]
        edges = {edge for edge in edges if name not in edge}
        edges |= {(a, b) for a in into for b in out if a != b}
    direct = {(a, b) for a, b in edges if not _other_way(a, b, edges)}
    lines = [f'"{a}" -> "{b}";' for a, b in sorted(direct)]
    return "digraph lenshunt {\n" + STYLE + "\n" + "\n".join(lines) + "\n}\n"


def _other_way(start: str, end: str, edges: set[tuple[str, str]]) -> bool:
    """Whether `end` is reached from `start` through another node."""
    waiting = [b for a, b in edges if a == start and b != end]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        if node not in seen:
            seen.add(node)
            waiting += [b for a, b in edges if a == node]
    return False


if __name__ == "__main__":
    print(simplified(sys.stdin.read()))
