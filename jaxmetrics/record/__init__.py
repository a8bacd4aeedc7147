"""What is written and read back: records, keys, strict JSON, durable files, redaction.

The bottom layer: the standard library and NumPy only.
"""

from jaxmetrics.record._entry import MetricsEntry
from jaxmetrics.record._epoch import (
    EPOCH_FIELDS,
    EPOCHS_CSV,
    EPOCHS_JSON,
    EpochMetrics,
    Epochs,
    read_epochs,
)
from jaxmetrics.record._files import AppendFile
from jaxmetrics.record._io import (
    WriterLockedError,
    atomic_write,
    make_folder,
    read_whole,
)
from jaxmetrics.record._json import dumps, loads, number
from jaxmetrics.record._keys import PREFIXES, check_name, key
from jaxmetrics.record._packing import pack, unpack
from jaxmetrics.record._reader import (
    Block,
    CorruptLineError,
    Line,
    position_of_step,
    read_lines,
    scan_blocks,
    scan_lines,
)
from jaxmetrics.record._record import Record
from jaxmetrics.record._redact import redact
from jaxmetrics.record._segments import Segments
from jaxmetrics.record._text import escape, text_cell

__all__ = [
    "AppendFile",
    "Block",
    "CorruptLineError",
    "EPOCHS_CSV",
    "EPOCHS_JSON",
    "EPOCH_FIELDS",
    "EpochMetrics",
    "Epochs",
    "Line",
    "MetricsEntry",
    "PREFIXES",
    "Record",
    "Segments",
    "WriterLockedError",
    "atomic_write",
    "check_name",
    "dumps",
    "escape",
    "key",
    "loads",
    "make_folder",
    "number",
    "pack",
    "position_of_step",
    "read_epochs",
    "read_lines",
    "read_whole",
    "redact",
    "scan_blocks",
    "scan_lines",
    "text_cell",
    "unpack",
]
