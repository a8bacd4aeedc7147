"""Parts of a record that do not depend on interruptions of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxmetrics.record import dumps, loads, read_whole

_MEASURED = ("perf/", "mem/", "tpu/", "goodput/")


def stripped_rows(path: str | Path) -> list[str]:
    """Return the lines of a `metrics.jsonl` without run id, times and measured speed.

    A run that was killed and resumed on the same devices has the same lines, byte for
    byte, as one that was not.

    Args:
      path: Path of the file.

    Raises:
      ValueError: A line is not JSON.
    """
    return [_stripped(line) for line in read_whole(path).splitlines()]


def _stripped(line: bytes) -> str:
    row: Any = loads(line)
    return dumps(
        {
            name: value
            for name, value in row.items()
            if name not in ("run_id", "time") and not name.startswith(_MEASURED)
        }
    )
