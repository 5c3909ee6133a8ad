"""The summary page of a run: Markdown for the terminal, HTML for the report."""

from dataclasses import dataclass, field

import markdown
import pandas as pd

from lenshunt.core import pipeline_commit, write_text
from lenshunt.reporting import data_tables, scores

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lenshunt: summary</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; margin: 1em 0; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3em .7em; text-align: left; font-size: 13px; }}
th {{ background: #f3f3f3; }}
</style></head><body>
{body}
</body></html>
"""
#: Reads the data of the Lens Finding Challenge 1, whose published scores are shown beside ours.
CHALLENGE_READER = "bologna"
METRICS_NOTE = (
    "TPR0 is the recall before the first false positive; TPR10 with fewer than ten false "
    "positives, a count, so it depends on the number of non-lenses beside it. Square brackets: "
    "95 % intervals, with systems of several objects resampled as one: stratified bootstrap for "
    "areas (none where a class has fewer than ten systems or all resamples agree); Wilson, at a "
    "fixed threshold, for TPRs; for the TPR at FPR 0.1, and the FNR that it leaves, the wider of "
    "both where that lets ten false positives pass. The test set `all` takes all data sets "
    "together, whatever their lens fractions. "
    "*Not resolved*: too few non-lenses for that rate. *Undefined*: one class only. *Not fitted*: "
    "too few objects to fit that way of fusing the models."
)
CALIBRATION_NOTE = (
    "Fitted on val_calibrate, tested on each test set apart. ECE and Brier score are of the "
    "probabilities at the lens fraction of the test set, which is taken as known, as a search has "
    "to be told its prevalence: logits are moved there from the lens fraction of val_calibrate, "
    "before and after alike. Debiased: without what a perfect forecaster would show by chance."
)
PUBLISHED_NOTE = (
    "Entries of the Strong Gravitational Lens Finding Challenge 1 (Metcalf et al. 2019), measured "
    "on its own 100,000 test objects. **A score on other data is not comparable.**"
)
FUSION_NOTE = (
    "Every way of fusing is fitted on val_calibrate, calibrated again on scores of held-out "
    "systems, and measured on the test split; the one that is taken was chosen on val_select. "
    "*Members worth*: how many independent models the ensemble is worth by its Bayesian weights."
)

ABLATIONS_NOTE = (
    "Differences averaged over seeds, with 95 % intervals over test systems and, where there are "
    "several seeds, trainings. *Not resolved*: the interval includes zero. With one seed the "
    "scatter between trainings is not included. Partial AUC: over FPR <= 0.1, 0.5 for chance."
)


@dataclass(frozen=True)
class Products:
    """Paths of what the summary is made of, by name; pairs are (data set, grid) or
    (experiment, model label)."""

    readers: dict[str, str]
    metadata: dict[str, list[str]]
    rejected: dict[str, str]
    splits: dict[str, str]
    psf: dict[tuple[str, str], str]
    indexes: dict[tuple[str, str], str]
    manifest: str
    exclusions: dict[str, str] = field(default_factory=dict)
    pretraining: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    comparisons: dict[str, str] = field(default_factory=dict)
    calibrations: dict[tuple[str, str], str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)


def markdown_table(table: pd.DataFrame) -> str:
    """A DataFrame as a Markdown table; a sentence where it has no rows."""
    if table.empty:
        return "Nothing to show.\n"
    text = table.astype(str).map(lambda value: value.replace("|", "\\|"))
    lines = [list(text.columns), ["---"] * len(text.columns), *text.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def rejected_text(rejected: dict[str, str]) -> str:
    """Which raw objects are missing from everything below, in bold; or that none is."""
    table = data_tables.rejected_table(rejected)
    if table.empty:
        return "None: every raw object could be read.\n"
    names = ", ".join(table["data set"])
    warning = f"**Not all raw objects of {names} could be read; the results are without them.**\n"
    return warning + "\n" + markdown_table(table)


def summary_text(products: Products, seed: int) -> str:
    """The whole summary in Markdown."""
    manifest = pd.read_csv(products.manifest)
    size_gb = manifest["size_bytes"].sum() / 1e9
    parts = [
        "# lenshunt: summary of this run\n",
        f"Commit {pipeline_commit()}, seed {seed}; {len(manifest)} raw files, {size_gb:.3f} GB.\n",
        "## Data\n",
        markdown_table(
            data_tables.data_table(
                products.metadata, products.splits, products.rejected, products.readers
            )
        ),
        "## Rejected raw objects\n",
        rejected_text(products.rejected),
        "## PSF matching\n",
        "Residual: largest growth-curve difference to the target over 0.3 to 3 target FWHM.\n",
        markdown_table(data_tables.psf_table(products.psf)),
        "## Shards\n",
        markdown_table(data_tables.shard_table(products.indexes)),
    ]
    if products.exclusions:
        parts += [
            "## Exclusions\n",
            markdown_table(data_tables.exclusion_table(products.exclusions)),
        ]
    if products.pretraining:
        parts += ["## Pretraining\n"]
        parts += [markdown_table(data_tables.pretraining_table(products.pretraining))]
    for name, path in products.metrics.items():
        parts += [f"## Metrics: {name}\n", METRICS_NOTE + "\n"]
        parts += [markdown_table(scores.metrics_table(path))]
        parts += [f"**{warning}**\n" for warning in scores.faint_lens_warnings(path)]
    if products.metrics and CHALLENGE_READER in products.readers.values():
        parts += ["## Published scores\n", PUBLISHED_NOTE + "\n"]
        for variant in ("ground", "space"):
            parts += [f"### {variant}\n", markdown_table(scores.published_table(variant))]
    for name, path in products.comparisons.items():
        parts += [f"## Ablations: {name}\n", ABLATIONS_NOTE + "\n"]
        parts += [markdown_table(scores.comparisons_table(path))]
    if products.calibrations:
        parts += ["## Calibration\n", CALIBRATION_NOTE + "\n"]
        parts += [markdown_table(scores.calibration_table(products.calibrations))]
        parts += ["## Fusion\n", FUSION_NOTE + "\n"]
        parts += [markdown_table(scores.fusion_table(products.calibrations))]
    if products.clusters:
        parts += ["## Clusters\n", markdown_table(data_tables.cluster_table(products.clusters))]
    return "\n".join(parts)


def write_summary(*, products: Products, seed: int, out_html: str, out_markdown: str) -> None:
    """Write the summary page as Markdown and as a stand-alone HTML page."""
    text = summary_text(products, seed)
    write_text(text, out_markdown)
    body = markdown.markdown(text, extensions=["tables"])
    write_text(PAGE.format(body=body), out_html)
