"""The path of a record from `log_step` to the writers, without waiting for devices.

    log_step(2, loss=loss)
       |  CallReader: values under their full keys; device scalars stay on the device
       v
    Row ---> Sinks ---> one Sink per writer: Thinning | RowQueue | thread | Breaker
                                                           |
    FetchedValues <--- Row.record(): fetched once, by the first thread that needs it
    (latest, faults)                                       |
                                                           v
                                    Record, or Media ---> Writer.write

The training thread does what is above the queue, and never waits for a device.
"""

from jaxmetrics.pipeline._call import full_key, splits_of_call, with_metrics
from jaxmetrics.pipeline._fetched import FetchedValues, best_fn
from jaxmetrics.pipeline._media import MediaKind, MediaRow, media_value
from jaxmetrics.pipeline._row import CallReader, Row
from jaxmetrics.pipeline._sink import Sinks

__all__ = [
    "CallReader",
    "FetchedValues",
    "MediaKind",
    "MediaRow",
    "Row",
    "Sinks",
    "best_fn",
    "full_key",
    "media_value",
    "splits_of_call",
    "with_metrics",
]
