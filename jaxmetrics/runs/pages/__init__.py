"""Write the documents of a training and of a comparison: Markdown and HTML pages.

`generate_report` writes Markdown, `generate_page` a self-contained HTML page; the
functions `compare_*` do the same for aligned runs.
"""

from jaxmetrics.runs.pages._compare_page import (
    compare_markdown,
    compare_page,
    compare_tables,
    comparison_html,
    comparison_text,
)
from jaxmetrics.runs.pages._page import save_page
from jaxmetrics.runs.pages._report import generate_report
from jaxmetrics.runs.pages._run_page import generate_page

__all__ = [
    "compare_markdown",
    "compare_page",
    "compare_tables",
    "comparison_html",
    "comparison_text",
    "generate_page",
    "generate_report",
    "save_page",
]
