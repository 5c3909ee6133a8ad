"""The demo: synthetic surveys with lenses and look-alikes, in the official raw formats."""

from lenshunt.simulate.demo import DEMO_KINDS, demo_files, demo_kinds, write_demo

__all__ = ["DEMO_KINDS", "demo_files", "demo_kinds", "write_demo"]
