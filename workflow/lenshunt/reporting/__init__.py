"""The summary page: the numbers of a run in tables, as Markdown and as HTML."""

from lenshunt.reporting.summary import Products, write_summary

__all__ = ["Products", "write_summary"]
