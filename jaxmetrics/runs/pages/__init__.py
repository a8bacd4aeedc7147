"""jaxmetrics.runs.pages."""

from jaxmetrics.runs.pages._charts import is_telemetry, label
from jaxmetrics.runs.pages._compare_tables import tables
from jaxmetrics.runs.pages._page import save
from jaxmetrics.runs.pages._report import generate_report, number
from jaxmetrics.runs.pages._run_page import generate_page

__all__ = [
    "generate_page",
    "generate_report",
    "is_telemetry",
    "label",
    "number",
    "save",
    "tables",
]
