"""The path of a record from `log_step` to the writers, without waiting for devices.

    log_step(2, loss=loss)
       |  CallReader: names and types are checked; device scalars stay on the device
       v
    Intake -> Row -> Sinks -> a Sink per writer: Thinning | RowQueue | thread | Breaker
                                                                 |
    FetchedValues <--- Row.record(): fetched once, by the first thread that needs it
    (latest, faults)                                             |
                                                                 v
                                          Record, or Media ---> Writer.write

The training thread does what is above the intake, and waits for no device. Rows are
made, and put into the queues, by the thread of a writer that has nothing to do.
"""

from jaxmetrics.pipeline._call import (
    full_key,
    held_metrics,
    splits_of_call,
    with_metrics,
)
from jaxmetrics.pipeline._fetched import FetchedValues, best_fn
from jaxmetrics.pipeline._intake import Intake
from jaxmetrics.pipeline._media import MediaKind, MediaRow, media_value
from jaxmetrics.pipeline._row import CallReader, Row
from jaxmetrics.pipeline._sink import Sinks

__all__ = [
    "CallReader",
    "FetchedValues",
    "Intake",
    "MediaKind",
    "MediaRow",
    "Row",
    "Sinks",
    "best_fn",
    "full_key",
    "held_metrics",
    "media_value",
    "splits_of_call",
    "with_metrics",
]
