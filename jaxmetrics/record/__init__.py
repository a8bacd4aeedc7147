"""Records and the files that hold them: keys, strict JSON, durable files, redaction.

A writer outside this package uses `Record`, `Media`, `MEDIA_KINDS`, `Bins` and `binned`
for what it receives, and may use `AppendFile`, `dumps`, `csv_line`, `csv_cell`,
`atomic_write` and `read_run_json` for its files.

The bottom layer: imports the standard library, NumPy and orjson only.
"""

from jaxmetrics.record._append_file import (
    AppendFile,
    OtherWriterError,
    earlier_failure,
)
from jaxmetrics.record._arguments import (
    refuse_masked,
    require_integers,
    require_numbers,
    require_texts,
)
from jaxmetrics.record._better import (
    NO_DIRECTIONS,
    Better,
    direction,
    recorded_directions,
)
from jaxmetrics.record._bins import Bins, binned
from jaxmetrics.record._config_changes import (
    ConfigChange,
    changes_by_attempt,
    changes_text,
    config_changes,
    flatten_config,
)
from jaxmetrics.record._copies import RunCopies
from jaxmetrics.record._csv_cells import csv_cell, csv_cells, csv_line
from jaxmetrics.record._disk_errors import DiskErrors
from jaxmetrics.record._durations import duration, rate
from jaxmetrics.record._elapsed import Elapsed, duration_clock
from jaxmetrics.record._entry import MetricsEntry
from jaxmetrics.record._epoch import EPOCH_FIELDS, EpochMetrics, Epochs, read_epochs
from jaxmetrics.record._event_limit import alarm_count
from jaxmetrics.record._exception_line import exception_line
from jaxmetrics.record._forks import disabled_in_children
from jaxmetrics.record._html import Html, html_table
from jaxmetrics.record._index import RecordIndex, crc_before, read_summary
from jaxmetrics.record._io import (
    WriterLockedError,
    absolute_path,
    atomic_write,
    copy_range,
    make_folder,
    open_append,
    open_new,
    open_read,
    open_unused,
    read_end,
    read_start,
    read_whole,
    set_aside,
    sync_folder,
    write_all,
)
from jaxmetrics.record._json import dumps, loads, number
from jaxmetrics.record._keys import (
    ALIASES,
    CONVERSIONS,
    EVALUATION_SPLITS,
    PREFIXES,
    SHORT_NAMES,
    SPELLINGS,
    check_name,
    key,
    spellings,
    split_in_name,
    split_of,
)
from jaxmetrics.record._ledger import Ledger, iso_time
from jaxmetrics.record._locks import lock_scope, locked_inodes
from jaxmetrics.record._markdown import markdown_table
from jaxmetrics.record._media import MEDIA_KINDS, Media, images_of
from jaxmetrics.record._missing import MissingRows, missing_records
from jaxmetrics.record._nested import flatten
from jaxmetrics.record._one_or_many import one_or_many
from jaxmetrics.record._packing import pack, unpack
from jaxmetrics.record._patient_file import PatientFile
from jaxmetrics.record._piece import (
    Attempt,
    Piece,
    attempt_of_piece,
    last_attempt,
)
from jaxmetrics.record._pieces import Pieces, Source, next_number
from jaxmetrics.record._reader import (
    Block,
    CorruptLineError,
    Line,
    read_lines,
    rows_of_lines,
    scan_blocks,
    scan_lines,
)
from jaxmetrics.record._recent import Recent, recent_level
from jaxmetrics.record._record import (
    COUNT_FIELDS,
    RECORD_FIELDS,
    Record,
    UnnumberedRecord,
)
from jaxmetrics.record._redact import plain_config, redact, secret_fields
from jaxmetrics.record._renames import check_rename, rename_keys, renamed
from jaxmetrics.record._run_events import Ending, RunEvents
from jaxmetrics.record._run_files import (
    EPOCHS_CSV,
    EPOCHS_JSON,
    EVENTS_JSONL,
    MEDIA_FOLDER,
    METRICS_CSV,
    METRICS_JSONL,
    PIECES_FOLDER,
    REPORT_HTML,
    REPORT_MD,
    RUN_JSON,
    SUMMARY_JSON,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    TENSORBOARD_FOLDER,
    WANDB_JSON,
    check_file,
    is_copied,
    process_metrics,
    process_of_file,
)
from jaxmetrics.record._run_json import (
    RunJsonError,
    edit_run_json,
    hparams_of,
    read_run_json,
    write_run_json,
)
from jaxmetrics.record._run_summary import (
    Progress,
    RunSummary,
    is_diverged,
    note_ending,
    read_progress,
    read_recent,
)
from jaxmetrics.record._run_values import RunValues, Value
from jaxmetrics.record._scalar import scalar
from jaxmetrics.record._secret_text import hide_secrets
from jaxmetrics.record._secrets import REDACTED, is_secret, is_secret_word
from jaxmetrics.record._step import check_step
from jaxmetrics.record._storage import (
    LocalStorage,
    RemoteStorage,
    Storage,
    address_of,
    is_remote,
    open_storage,
)
from jaxmetrics.record._text import encodable, error_text, escape, text_cell

__all__ = [
    "ALIASES",
    "AppendFile",
    "Attempt",
    "Better",
    "Bins",
    "Block",
    "CONVERSIONS",
    "COUNT_FIELDS",
    "ConfigChange",
    "CorruptLineError",
    "DiskErrors",
    "EPOCHS_CSV",
    "EPOCHS_JSON",
    "EPOCH_FIELDS",
    "EVALUATION_SPLITS",
    "EVENTS_JSONL",
    "Elapsed",
    "Ending",
    "EpochMetrics",
    "Epochs",
    "Html",
    "Ledger",
    "Line",
    "LocalStorage",
    "MEDIA_FOLDER",
    "MEDIA_KINDS",
    "METRICS_CSV",
    "METRICS_JSONL",
    "Media",
    "MetricsEntry",
    "MissingRows",
    "NO_DIRECTIONS",
    "OtherWriterError",
    "PIECES_FOLDER",
    "PREFIXES",
    "PatientFile",
    "Piece",
    "Pieces",
    "Progress",
    "RECORD_FIELDS",
    "REDACTED",
    "REPORT_HTML",
    "REPORT_MD",
    "RUN_JSON",
    "Recent",
    "Record",
    "RecordIndex",
    "RemoteStorage",
    "RunCopies",
    "RunEvents",
    "RunJsonError",
    "RunSummary",
    "RunValues",
    "SHORT_NAMES",
    "SPELLINGS",
    "SUMMARY_JSON",
    "Source",
    "Storage",
    "TELEMETRY_FOLDER",
    "TELEMETRY_JSONL",
    "TENSORBOARD_FOLDER",
    "UnnumberedRecord",
    "Value",
    "WANDB_JSON",
    "WriterLockedError",
    "absolute_path",
    "address_of",
    "alarm_count",
    "atomic_write",
    "attempt_of_piece",
    "binned",
    "changes_by_attempt",
    "changes_text",
    "check_file",
    "check_name",
    "check_rename",
    "check_step",
    "config_changes",
    "copy_range",
    "crc_before",
    "csv_cell",
    "csv_cells",
    "csv_line",
    "direction",
    "disabled_in_children",
    "dumps",
    "duration",
    "duration_clock",
    "earlier_failure",
    "edit_run_json",
    "encodable",
    "error_text",
    "escape",
    "exception_line",
    "flatten",
    "flatten_config",
    "hide_secrets",
    "hparams_of",
    "html_table",
    "images_of",
    "is_copied",
    "is_diverged",
    "is_remote",
    "is_secret",
    "is_secret_word",
    "iso_time",
    "key",
    "last_attempt",
    "loads",
    "lock_scope",
    "locked_inodes",
    "make_folder",
    "markdown_table",
    "missing_records",
    "next_number",
    "note_ending",
    "number",
    "one_or_many",
    "open_append",
    "open_new",
    "open_read",
    "open_storage",
    "open_unused",
    "pack",
    "plain_config",
    "process_metrics",
    "process_of_file",
    "rate",
    "read_end",
    "read_epochs",
    "read_lines",
    "read_progress",
    "read_recent",
    "read_run_json",
    "read_start",
    "read_summary",
    "read_whole",
    "recent_level",
    "recorded_directions",
    "redact",
    "refuse_masked",
    "rename_keys",
    "renamed",
    "require_integers",
    "require_numbers",
    "require_texts",
    "rows_of_lines",
    "scalar",
    "scan_blocks",
    "scan_lines",
    "secret_fields",
    "set_aside",
    "spellings",
    "split_in_name",
    "split_of",
    "sync_folder",
    "text_cell",
    "unpack",
    "write_all",
    "write_run_json",
]
