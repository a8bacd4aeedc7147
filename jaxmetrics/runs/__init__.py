"""Runs, read back without jax."""

from jaxmetrics.runs._compare import Comparison, compare
from jaxmetrics.runs._export import export
from jaxmetrics.runs._find import find_run
from jaxmetrics.runs._goodput import goodput
from jaxmetrics.runs._run import Run
from jaxmetrics.runs._run_page import generate_page
from jaxmetrics.runs._tail import Tail, tail_lines
from jaxmetrics.runs.plots import generate_all_plots
from jaxmetrics.runs.report import generate_report

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
