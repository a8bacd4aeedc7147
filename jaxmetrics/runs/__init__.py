"""Runs, read back without jax."""

from jaxmetrics.runs._compare import Comparison, compare
from jaxmetrics.runs.live import Tail, tail_lines
from jaxmetrics.runs.pages import generate_page, generate_report
from jaxmetrics.runs.plots import generate_all_plots
from jaxmetrics.runs.reading import Run, export, find_run, goodput

__all__ = [
    "Comparison",
    "Run",
    "Tail",
    "compare",
    "export",
    "find_run",
    "generate_all_plots",
    "generate_page",
    "generate_report",
    "goodput",
    "tail_lines",
]
