"""`make bench-finding`: the default recipe against two plain networks on the same labelled images.

Two sets of challenge images, of two simulators that share no code. On each, two peers learn the
raw pixels (`finding_peers`) and the product goes from the same files to fused scores by its own
workflow, as `config/survey.yaml` trains. All are scored on a test set that nobody has trained,
chosen or calibrated on. With three networks to train on each of two sets this takes hours on two
cores; what a killed run has finished is kept in --folder and not made again.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from finding_peers import PEERS, Peer, raw_images, scores, train
from finding_sets import SETS, LabelledSet, run_product, write_set

from lenshunt.config import FUSED
from lenshunt.core import whole_file
from lenshunt.evaluation import bologna_metrics, fnr_metrics
from lenshunt.evaluation.bootstrap import QUANTITIES, paired_bootstrap
from lenshunt.evaluation.intervals import percentile_interval
from lenshunt.training.scores import LOW_FLUX_RATIO

SHOWN = ("auroc", "tpr_at_10fp", "tpr_at_fpr_0.1", "tpr_at_fpr_1e-2")
FAINT = "fnr_at_fpr_0.1"
#: Data set of the product's configuration that is held out.
UNSEEN = "unseen"
BOOTSTRAPS = 1000


def kept(file: Path, make: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What `make` returns and the minutes it took, from `file` where an earlier run left it."""
    if not file.exists():
        start = time.perf_counter()
        values = make()
        minutes = (time.perf_counter() - start) / 60
        with whole_file(file) as unfinished, open(unfinished, "wb") as stream:
            np.savez(stream, values=values, minutes=minutes)
    with np.load(file) as stored:
        return stored["values"], float(stored["minutes"])


def peer_scores(one: LabelledSet, peer: Peer, size_px: int) -> np.ndarray:
    """Logits of the test set [n], in the order of its table, of a peer trained on all of `train`.

    One core, as a training of the workflow has.
    """
    torch.set_num_threads(1)
    table, unseen = one.table(one.train), one.table(one.test)
    labels = torch.tensor(table["is_lens"].to_numpy(np.float32))
    images = raw_images(one.train / "Public", list(table.index), size_px)
    network = train(images, labels, peer, seed=1)
    return scores(network, raw_images(one.test / "Public", list(unseen.index), size_px), peer)


def product_scores(results: Path) -> dict[str, pd.DataFrame]:
    """The product's tables of the test set by name: each network of each seed, and all fused."""
    files = sorted((results / "calibrated" / "ground").glob("*.parquet"))
    tables = {file.stem: pd.read_parquet(file) for file in files}
    every = pd.read_parquet(results / "fused" / "ground.parquet")
    tables[FUSED] = every[every["model"] == FUSED]
    return {name: table[table["dataset"] == UNSEEN] for name, table in tables.items()}


def row_of(
    name: str, labels: np.ndarray, values: np.ndarray, faint: np.ndarray, minutes: float
) -> str:
    """One line of the table: metrics with their intervals, FNR of faint lenses, core minutes."""
    metrics = bologna_metrics(labels, values, bootstraps=BOOTSTRAPS)
    found = {row["metric"]: row for row in metrics.to_dict("records")}
    here = faint | (labels == 0)
    low = fnr_metrics(bologna_metrics(labels[here], values[here], bootstraps=BOOTSTRAPS))
    cells = [found[metric] for metric in SHOWN]
    cells.append(low.set_index("metric").loc[FAINT].to_dict())
    text = "  ".join(f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]" for c in cells)
    return f"{name:46s}{text}{minutes:8.1f}"


def compared(
    labels: np.ndarray, ours: np.ndarray, peer: np.ndarray, faint: np.ndarray, name: str
) -> tuple[list[str], bool]:
    """Lines on product against peer, and whether it is ahead in all that is shown, beyond doubt.

    faint : bool [n], lenses of low flux ratio, which are compared against all non-lenses
    """
    everyone, n_nonlens = np.ones(len(labels), bool), int((labels == 0).sum())
    asked = {
        "auroc": ("auroc", 0.1, everyone),
        "partial_auc": ("partial_auc", 0.1, everyone),
        "tpr_at_10fp": ("tpr", 9 / n_nonlens, everyone),
        "tpr_at_fpr_0.1": ("tpr", 0.1, everyone),
        "tpr_at_fpr_1e-2": ("tpr", 1e-2, everyone),
        "tpr_at_fpr_0.1, faint": ("tpr", 0.1, faint | (labels == 0)),
    }
    lines, ahead = [], True
    for label, (quantity, rate, rows) in asked.items():
        runs = {("ours", 0): ours[rows], ("peer", 0): peer[rows]}
        plain, drawn = paired_bootstrap(
            labels[rows] == 1, np.arange(rows.sum()), runs, rate, BOOTSTRAPS, seed=0
        )
        place = QUANTITIES.index(quantity)
        difference = plain["ours", 0][place] - plain["peer", 0][place]
        drawn_difference = drawn["ours", 0][:, place] - drawn["peer", 0][:, place]
        low, high = percentile_interval(drawn_difference)
        ahead &= low > 0
        lines.append(f"  - {name}: {label} {difference:+.3f} [{low:+.3f}, {high:+.3f}]")
        if label == "auroc":
            ratio = (1 - plain["ours", 0][place]) / (1 - plain["peer", 0][place])
            lines.append(f"  - {name}: ratio of 1 - AUROC {ratio:.2f} (bar 0.5)")
    return lines, ahead


def bench(one: LabelledSet, folder: Path, arguments: argparse.Namespace) -> bool:
    """Print the table of one set; whether the product is ahead of the strong peer in it."""
    unseen = one.table(one.test)
    with ProcessPoolExecutor(arguments.cores) as pool:
        jobs = {
            peer.name: pool.submit(
                kept,
                folder / f"{peer.name.replace(' ', '-')}.npz",
                partial(peer_scores, one, peer, arguments.peer_size_px),
            )
            for peer in PEERS
        }
        peers = {name: job.result() for name, job in jobs.items()}
    results = folder / "product"
    run_product(one, results, arguments.cores)
    tables = product_scores(results)
    order = one_name_each(tables[FUSED])
    labels = unseen["is_lens"].loc[order.index].to_numpy()
    faint = (labels == 1) & (order["flux_ratio"].to_numpy(float) < LOW_FLUX_RATIO)
    lost = len(unseen) - len(order)
    print(
        f"\n{one.name} set: {len(one.table(one.train))} training images, {len(order)} test images "
        f"({labels.sum()} lenses, {faint.sum()} of flux ratio < {LOW_FLUX_RATIO:g}; {lost} more "
        "below the product's quality cut, left out for all)"
    )
    head = "  ".join(f"{metric:20s}" for metric in (*SHOWN, f"{FAINT}, faint"))
    print(f"{'':46s}{head}  core minutes")
    places = pd.Index(unseen.index).get_indexer(order.index)
    for name, (values, took) in peers.items():
        print(row_of(name, labels, values[places], faint, took))
    for name, table in tables.items():
        values = one_name_each(table).loc[order.index, "logit"].to_numpy()
        took = job_minutes(results, "" if name == FUSED else f"train/ground/{name}.tsv")
        print(row_of(f"product, {name}", labels, values, faint, took))
    ours = order["logit"].to_numpy()
    ahead = True
    for peer in PEERS:
        values = peers[peer.name][0][places]
        lines, better = compared(labels, ours, values, faint, f"fused against {peer.name}")
        print("\n".join(lines))
        ahead &= better or not peer.strong
    return ahead


def one_name_each(table: pd.DataFrame) -> pd.DataFrame:
    """The table by the challenge's ID, which ends its sample ids."""
    return table.set_index(table["sample_id"].str.rpartition("-")[2].astype(int)).sort_index()


def job_minutes(results: Path, name: str = "") -> float:
    """Minutes of the job whose benchmark is `name`, or of all jobs together; each has one core."""
    folder = results / "benchmarks"
    files = [folder / name] if name else sorted(folder.rglob("*.tsv"))
    return sum(float(pd.read_csv(file, sep="\t")["s"].iloc[0]) for file in files) / 60


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--train", type=int, default=6000, help="images; default %(default)s")
    parser.add_argument("--test", type=int, default=4000, help="images; default %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("results/finding"))
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--peer-size-px",
        type=int,
        default=64,
        help="side of what peers see, of 101 pixels of 0.2 arcsec; default %(default)s, 12.8 "
        "arcsec, more than the 10.8 of the product's grid; all take more than twice as long",
    )
    arguments = parser.parse_args()
    behind = []
    for name in arguments.sets:
        folder = arguments.folder.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        asked = {"train": arguments.train, "test": arguments.test, "px": arguments.peer_size_px}
        note = folder / "asked.json"
        if note.exists() and json.loads(note.read_text()) != asked:
            parser.error(f"{folder} holds another bench, {note.read_text()}; take another --folder")
        note.write_text(json.dumps(asked))
        one = write_set(name, folder, arguments.train, arguments.test, arguments.cores)
        if not bench(one, folder, arguments):
            behind.append(name)
    verdict = f"BEHIND on: {', '.join(behind)}" if behind else "ahead on every set"
    print(f"\nfused product against the strong peer, beyond the intervals: {verdict}")


if __name__ == "__main__":
    main()
