"""The demo: synthetic surveys with lenses and look-alikes, in the official raw formats."""

from lenshunt.scenes.demo.survey import WRITERS, demo_files, demo_kinds, write_demo

__all__ = ["WRITERS", "demo_files", "demo_kinds", "write_demo"]
