"""Carry records from `log_step` to the writers: rows, values, queues, threads."""

from jaxmetrics.pipeline._fetched import Fetched, best_fn
from jaxmetrics.pipeline._media_row import Kind, MediaRow, media
from jaxmetrics.pipeline._rows import Rows
from jaxmetrics.pipeline._sinks import Sinks
from jaxmetrics.pipeline._values import Values

__all__ = ["Fetched", "Kind", "MediaRow", "Rows", "Sinks", "Values", "best_fn", "media"]
