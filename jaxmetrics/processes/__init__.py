"""Process identity, exchange of bytes between processes, and agreement on metrics."""

from jaxmetrics.processes._agreement import (
    Agreement,
    require_same_metrics,
    spans_processes,
)
from jaxmetrics.processes._call_marks import CallMarks
from jaxmetrics.processes._exchange import (
    EXCHANGE_TIMEOUT,
    MissingHostError,
    exchange,
)
from jaxmetrics.processes._failures import Failures
from jaxmetrics.processes._identity import (
    device_summary,
    identity_is_known,
    process_count,
    process_index,
    run_on_first,
)

__all__ = [
    "Agreement",
    "CallMarks",
    "EXCHANGE_TIMEOUT",
    "Failures",
    "MissingHostError",
    "device_summary",
    "exchange",
    "identity_is_known",
    "process_count",
    "process_index",
    "require_same_metrics",
    "run_on_first",
    "spans_processes",
]
