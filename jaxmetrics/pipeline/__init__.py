"""The path of a record from `log_step` to the writers, without waiting for devices.

    log_step(2, loss=loss)
       |  OpenRows: the row of (step, split); a later step completes earlier rows
       |  RowFiller: values under their full keys; device scalars stay on the device
       v
    Row, complete ---> Sinks ---> one Sink per writer: RowQueue | thread | Breaker
                                                           |
    FetchedValues <--- Row.record(): fetched once, by the first thread that needs it
    (latest, faults)                                       |
                                                           v
                                    Record, or Media ---> Writer.write

The training thread does what is above the queue, and never waits for a device.
"""

from jaxmetrics.pipeline._fetched import FetchedValues, best_fn
from jaxmetrics.pipeline._media import MediaKind, MediaRow, media_value
from jaxmetrics.pipeline._row import OpenRows, RowFiller
from jaxmetrics.pipeline._sink import Sinks

__all__ = [
    "FetchedValues",
    "MediaKind",
    "MediaRow",
    "OpenRows",
    "RowFiller",
    "Sinks",
    "best_fn",
    "media_value",
]
