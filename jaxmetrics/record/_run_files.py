"""Names of the files of a run directory.

Every package takes the names from here; none of them writes such a name itself.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from jaxmetrics.record._keys import check_name

RUN_JSON = "run.json"
"""Description of the run: identity, configuration, versions, devices, attempts."""

METRICS_JSONL = "metrics.jsonl"
"""Records, one JSON object per line; the first line is a header."""

METRICS_CSV = "metrics.csv"
"""Records as a table, one line per record and one column per key."""

EVENTS_JSONL = "events.jsonl"
"""Event ledger: attempts, compilations, checkpoints, alarms, lost rows."""

SUMMARY_JSON = "summary.json"
"""Last and best values of a run."""

MEDIA_FOLDER = "media"
"""Folder of images and other media, named by content."""

TENSORBOARD_FOLDER = "tensorboard"
"""Folder of TensorBoard event files."""

WANDB_JSON = "wandb.json"
"""Id of the run at Weights & Biases and the bytes charged so far."""

TELEMETRY_FOLDER = "telemetry"
"""Folder of training telemetry."""

TELEMETRY_JSONL = "telemetry.jsonl"
"""Lines of training telemetry, in `TELEMETRY_FOLDER`."""

EPOCHS_JSON = "training_metrics.json"
"""Epochs of an `EpochTracker`, with its configuration."""

EPOCHS_CSV = "training_metrics.csv"
"""Epochs of an `EpochTracker` as a table."""

REPORT_MD = "training_report.md"
"""Report in Markdown."""

REPORT_HTML = "report.html"
"""Report as one self-contained page."""

PIECES_FOLDER = "pieces"
"""Folder of the pieces in a mirror; `pieces.p3` is that of process 3."""

COPIED = (
    "*.json",
    "*.jsonl",
    "*.csv",
    f"{TELEMETRY_FOLDER}/*.jsonl",
    f"{TENSORBOARD_FOLDER}/*tfevents*",
)
"""Patterns of the files that a mirror has; media are there one by one."""

_TAKEN = frozenset(
    {
        *(RUN_JSON, METRICS_JSONL, METRICS_CSV, EVENTS_JSONL, SUMMARY_JSON),
        *(MEDIA_FOLDER, TENSORBOARD_FOLDER, WANDB_JSON, PIECES_FOLDER),
        *(TELEMETRY_FOLDER, TELEMETRY_JSONL, EPOCHS_JSON, EPOCHS_CSV),
        *(REPORT_MD, REPORT_HTML),
    }
)
_MAX_NAME = 200
_PROCESS_METRICS = re.compile(r"metrics\.p(\d+)\.jsonl")


def process_metrics(process: int) -> str:
    """Return the name of the metrics file of a process.

    Process 0 writes `metrics.jsonl`; the others have a file each when
    `master_only=False`.

    >>> process_metrics(0), process_metrics(3)
    ('metrics.jsonl', 'metrics.p3.jsonl')
    """
    return METRICS_JSONL if process == 0 else f"metrics.p{process}.jsonl"


def process_of_file(name: str) -> int:
    """Return the process that writes a file: 0 for all but `metrics.p<n>.jsonl`.

    >>> process_of_file("metrics.p3.jsonl"), process_of_file("run.json")
    (3, 0)
    """
    match = _PROCESS_METRICS.fullmatch(name)
    return int(match[1]) if match else 0


def check_file(file: str, own: str) -> str:
    """Return the name of a writer's file unchanged, if no other part of a run has it.

    Args:
      file: Name of the file.
      own: Name in a run directory that belongs to the writer.

    Raises:
      TypeError: The name is not a string.
      ValueError: The name is not safe, or another part of the run writes this file.
    """
    check_name(file, "file")
    if file != own and file.lower() in _TAKEN:  # some disks ignore case
        raise ValueError(
            f"file is {file!r}, which another part of the run writes; expected "
            f"{own!r} or a name of its own. Choose another name."
        )
    return file


def is_copied(name: str) -> bool:
    """Return whether a mirror has a file of this name.

    >>> is_copied("metrics.jsonl"), is_copied("telemetry/telemetry.jsonl")
    (True, True)
    >>> is_copied("../metrics.jsonl"), is_copied(".x.json"), is_copied("report.html")
    (False, False, False)
    """
    parts = name.split("/")
    if not name.isprintable() or any(
        p.startswith(".") or len(p) > _MAX_NAME for p in parts
    ):
        return False
    return any(
        len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
        for patterns in (pattern.split("/") for pattern in COPIED)
    )
