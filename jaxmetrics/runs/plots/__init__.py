"""jaxmetrics.runs.plots."""

from jaxmetrics.runs.plots._plots import PLOTS, generate_all_plots
from jaxmetrics.runs.plots._telemetry_plots import PLOTS as TELEMETRY_PLOTS

__all__ = ["PLOTS", "TELEMETRY_PLOTS", "generate_all_plots"]
