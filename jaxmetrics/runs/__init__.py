"""Runs, read back without jax."""

from jaxmetrics.runs._goodput import goodput
from jaxmetrics.runs._run import Run
from jaxmetrics.runs.plots import generate_all_plots
from jaxmetrics.runs.report import generate_report

__all__ = ["Run", "generate_all_plots", "generate_report", "goodput"]
