"""jaxmetrics.runs.reading."""

from jaxmetrics.runs.reading._axes import AXES, LABELS, axes, series
from jaxmetrics.runs.reading._better import Better, directions
from jaxmetrics.runs.reading._config import difference, flat, groups, unused
from jaxmetrics.runs.reading._export import FORMATS, Format, export, exported
from jaxmetrics.runs.reading._find import find_run
from jaxmetrics.runs.reading._goodput import goodput, goodput_of
from jaxmetrics.runs.reading._history import History, history
from jaxmetrics.runs.reading._load import flat_row
from jaxmetrics.runs.reading._results import (
    Reached,
    Result,
    Spread,
    reached,
    result,
    spreads,
    standard_error,
)
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._totals import duration, facts

__all__ = [
    "AXES",
    "Better",
    "FORMATS",
    "Format",
    "History",
    "LABELS",
    "Reached",
    "Result",
    "Run",
    "Spread",
    "axes",
    "difference",
    "directions",
    "duration",
    "export",
    "exported",
    "facts",
    "find_run",
    "flat",
    "flat_row",
    "goodput",
    "goodput_of",
    "groups",
    "history",
    "reached",
    "result",
    "series",
    "spreads",
    "standard_error",
    "unused",
]
