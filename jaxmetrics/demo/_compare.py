"""What of a record must not depend on whether its run was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxmetrics.record import dumps, loads

_CLOCKS = ("perf/", "mem/", "tpu/", "goodput/")


def stripped_rows(path: str | Path) -> list[str]:
    """The lines of a `metrics.jsonl` without the run's name and what clocks say.

    A run that was killed and resumed on the same devices has the same as one that was
    not, byte for byte.

    Args:
      path: The file.

    Raises:
      ValueError: A line is not JSON.
    """
    return [_stripped(line) for line in Path(path).read_bytes().splitlines()]


def _stripped(line: bytes) -> str:
    row: Any = loads(line)
    return dumps(
        {
            name: value
            for name, value in row.items()
            if name not in ("run_id", "time") and not name.startswith(_CLOCKS)
        }
    )
