"""What is written and read back: records, keys, strict JSON, durable files, redaction.

The bottom layer: the standard library and NumPy only.
"""

from jaxmetrics.record._bins import Bins, binned
from jaxmetrics.record._cells import cell, join, split
from jaxmetrics.record._durations import duration, rate
from jaxmetrics.record._elapsed import Elapsed
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
from jaxmetrics.record._ledger import Ledger, iso
from jaxmetrics.record._media import KINDS, Media
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
from jaxmetrics.record._record import (
    COUNT_FIELDS,
    RECORD_FIELDS,
    Record,
    UnnumberedRecord,
)
from jaxmetrics.record._redact import redact
from jaxmetrics.record._run_json import description, hparams_of
from jaxmetrics.record._scalar import scalar
from jaxmetrics.record._secrets import REDACTED, hide, is_secret
from jaxmetrics.record._segments import Segments
from jaxmetrics.record._step import check_step
from jaxmetrics.record._text import escape, text_cell

__all__ = [
    "AppendFile",
    "Bins",
    "Block",
    "COUNT_FIELDS",
    "CorruptLineError",
    "EPOCHS_CSV",
    "EPOCHS_JSON",
    "EPOCH_FIELDS",
    "Elapsed",
    "EpochMetrics",
    "Epochs",
    "KINDS",
    "Ledger",
    "Line",
    "Media",
    "MetricsEntry",
    "PREFIXES",
    "RECORD_FIELDS",
    "REDACTED",
    "Record",
    "Segments",
    "UnnumberedRecord",
    "WriterLockedError",
    "atomic_write",
    "binned",
    "cell",
    "check_name",
    "check_step",
    "description",
    "dumps",
    "duration",
    "escape",
    "hide",
    "hparams_of",
    "is_secret",
    "iso",
    "join",
    "key",
    "loads",
    "make_folder",
    "number",
    "pack",
    "position_of_step",
    "rate",
    "read_epochs",
    "read_lines",
    "read_whole",
    "redact",
    "scalar",
    "scan_blocks",
    "scan_lines",
    "split",
    "text_cell",
    "unpack",
]
