"""Identify this process, exchange bytes between processes, and agree on metrics."""

from jaxmetrics.processes._agreement import Agreement, require_same, spans_processes
from jaxmetrics.processes._exchange import PATIENCE, MissingHostError, exchange
from jaxmetrics.processes._identity import devices, first_tells, known, place

__all__ = [
    "Agreement",
    "MissingHostError",
    "PATIENCE",
    "devices",
    "exchange",
    "first_tells",
    "known",
    "place",
    "require_same",
    "spans_processes",
]
