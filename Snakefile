# Entry point: read and check the configuration, include the rules, ask for everything.
from snakemake.utils import min_version

min_version("9.27")

if "datasets" not in config:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/raw.smk"
include: "workflow/rules/injection.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    manifest,
    rejected,
    exclusions,
    summary,
    provenance,


rule all:
    default_target: True
    input:
        TARGETS,


onstart:
    note_run(".", jobs_are_local=workflow.local_exec)


onsuccess:
    print_summary()
