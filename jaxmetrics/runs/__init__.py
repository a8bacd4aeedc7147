"""Read runs back, and draw, report, compare and follow them; without jax.

- `list`: one row for each run of a folder.
- `Run.load`, `find_run`, `find_runs`, `export`, `goodput`: read.
- `generate_all_plots`, `generate_report`, `generate_page`: draw and report one run.
- `compare`: align several runs; the `Comparison` has plots and pages.
- `Tail`, `tail_lines`: follow a run that is being written; `Overview`,
  `overview_lines`: several runs.
- `view`: show all runs in a browser.

The code is in `reading/`, `plots/`, `pages/`, `live/` and `view/`.
"""

from jaxmetrics.runs._compare import Comparison, compare
from jaxmetrics.runs.live import Overview, Tail, overview_lines, tail_lines
from jaxmetrics.runs.pages import generate_page, generate_report
from jaxmetrics.runs.plots import generate_all_plots
from jaxmetrics.runs.reading import (
    MediaEntry,
    MediaTable,
    Run,
    RunEntry,
    RunList,
    export,
    find_run,
    find_runs,
    goodput,
)
from jaxmetrics.runs.reading import list_runs as list
from jaxmetrics.runs.view import view

__all__ = [
    "Comparison",
    "MediaEntry",
    "MediaTable",
    "Overview",
    "Run",
    "RunEntry",
    "RunList",
    "Tail",
    "compare",
    "export",
    "find_run",
    "find_runs",
    "generate_all_plots",
    "generate_page",
    "generate_report",
    "goodput",
    "list",
    "overview_lines",
    "tail_lines",
    "view",
]
