"""`python -m lenshunt`: check a configuration, list readers and models, make the schemas."""

import argparse
import sys
import textwrap
from pathlib import Path

import yaml

from lenshunt.config import (
    ConfigError,
    Grid,
    check_config,
    load_model_config,
    load_models,
    model_names,
    parse_config,
)
from lenshunt.config.documentation import write_documentation
from lenshunt.config.model_files import MODEL_FOLDER
from lenshunt.core import ROOT

DESCRIPTION = """\
lenshunt finds strong gravitational lenses: raw survey files in, a calibrated candidate list out.
The work is done by Snakemake; this command checks and explains configurations.
"""
INDENT = " " * 4
NEXT_STEPS = """\
how to go on:
  make run                                    the demo, end to end: results/report.html
  snakemake --cores 4 --configfile MY.yaml    your own data (copy config/survey.yaml;
                                              every key is explained in config/README.md)
  snakemake -n --configfile MY.yaml           what would run, and why
  snakemake --profile gpu-cluster --configfile config/paper.yaml
                                              Slurm, one GPU job per model and seed
"""


def _check(arguments: argparse.Namespace) -> None:
    file = Path(arguments.config)
    config = parse_config(yaml.safe_load(file.read_text()), str(file))
    check_config(config, load_models(config))
    print(f"{file}: {len(config.datasets)} data sets, {len(config.experiments)} experiments, good")


def _schemas(arguments: argparse.Namespace) -> None:
    for path in write_documentation(arguments.folder):
        print(path)


def _models(arguments: argparse.Namespace) -> None:
    # torch is imported by those who count parameters and operations only.
    from lenshunt.models.summary import summarise
    from lenshunt.training.probe import example_batch, example_normalisation

    grid = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=arguments.size_px)
    head = f"{'model':44s}{'architecture':20s}{'parameters':>12s}{'GFLOP':>8s}  reads"
    print(head)
    print(
        f"GFLOP: forward pass of one image of {grid.size_px} px; training takes about 3 times that"
    )
    for name in model_names():
        found = summarise(
            name,
            load_model_config(MODEL_FOLDER / f"{name}.yaml"),
            example_normalisation(grid),
            example_batch(1, grid, segments=8),
        )
        line = f"{found.name:44s}{found.architecture:20s}{found.parameters / 1e6:10.2f} M"
        print(f"{line}{found.gflop:8.2f}  {', '.join(found.reads)}")
        terms = f"loss terms: {', '.join(found.terms)}" if found.terms else ""
        for text in (found.description, found.reference, terms):
            if text:
                print(textwrap.fill(text, 98, initial_indent=INDENT, subsequent_indent=INDENT))


def main(argv: list[str] | None = None) -> None:
    """Entry point of the command `lenshunt`."""
    parser = argparse.ArgumentParser(
        prog="lenshunt",
        description=DESCRIPTION,
        epilog=NEXT_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a configuration file without running it")
    check.add_argument("config", help="YAML file, for example config/config.yaml")
    check.set_defaults(run=_check)
    models = commands.add_parser("models", help="list the models: size, inputs, cost, references")
    models.add_argument(
        "--size-px", type=int, default=64, help="for the cost; default: %(default)s"
    )
    models.set_defaults(run=_models)
    schemas = commands.add_parser("schemas", help="write config/schemas and config/README.md")
    schemas.add_argument("--folder", default=str(ROOT / "config"), help="default: %(default)s")
    schemas.set_defaults(run=_schemas)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except (ConfigError, FileNotFoundError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
