"""Steps of records that are missing from a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from jaxmetrics.record._run_files import METRICS_JSONL

_MAX_RANGES = 1000
_MAX_SHOWN = 10


class MissingRows:
    """Count lost rows, and hold their steps by split as ranges.

    A range [first, last] stands for rows that were lost one after the other. Beyond
    1,000 ranges of a split the last one is extended over rows that are not lost.
    """

    def __init__(self) -> None:
        self.rows = 0
        """Number of lost rows."""
        self._steps: dict[str, list[list[int]]] = {}
        self._written: dict[str, int] = {}  # before the last row lost of a split

    def __str__(self) -> str:
        """Return the number and the steps, such as `3 rows: train 10-30`."""
        shown = [
            f"{split} {first}" + (f"-{last}" if last > first else "")
            for split, ranges in self._steps.items()
            for first, last in ranges
        ]
        more = f" and {len(shown) - _MAX_SHOWN} more" if len(shown) > _MAX_SHOWN else ""
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return f"{rows}: {', '.join(shown[:_MAX_SHOWN])}{more}"

    def add(self, split: str, step: int, written: int) -> None:
        """Note that a row was lost.

        Args:
          split: Split of the row.
          step: Step of the row.
          written: Number of rows that were written before; while it stays the same,
            rows are lost one after the other.
        """
        self.rows += 1
        ranges = self._steps.setdefault(split, [])
        follows = self._written.get(split) == written
        self._written[split] = written
        if ranges and (follows or len(ranges) >= _MAX_RANGES):
            first, last = ranges[-1]
            ranges[-1] = [min(first, step), max(last, step)]
        elif not ranges or ranges[-1] != [step, step]:
            ranges.append([step, step])

    def update(self, other: MissingRows) -> None:
        """Add what another attempt has lost; equal ranges are the same rows."""
        added = 0
        for split, ranges in other._steps.items():
            own = self._steps.setdefault(split, [])
            new = [list(r) for r in ranges if r not in own]
            own += new
            added += len(new)
        self.rows += other.rows if added else 0

    def cut_after(self, step: int) -> None:
        """Forget the rows of later steps, as they are not in the record any more.

        Of a range that reaches beyond the step, all rows are counted as before.
        """
        kept = {
            split: [[a, min(b, step)] for a, b in ranges if a <= step]
            for split, ranges in self._steps.items()
        }
        self._steps = {split: ranges for split, ranges in kept.items() if ranges}
        self.rows = self.rows if self._steps else 0
        self._written = {}

    def state(self) -> dict[str, Any]:
        """Return the number and the steps in plain values; empty if no row is lost."""
        if not self.rows:
            return {}
        steps = {
            split: [list(r) for r in ranges] for split, ranges in self._steps.items()
        }
        return {"rows": self.rows, "steps": steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier `state`.

        Raises:
          TypeError, ValueError, KeyError: It is not a state.
        """
        steps = {
            str(split): [[int(first), int(last)] for first, last in ranges]
            for split, ranges in (state["steps"] if state else {}).items()
        }
        self.rows: int = int(state["rows"]) if state else 0
        self._steps = steps
        self._written = {}


def missing_records(
    events: Iterable[Mapping[str, Any]], writer: str = METRICS_JSONL
) -> MissingRows:
    """Return what a run lacks by its events.

    Each attempt notes what its writers have lost so far, as `missing`. A later restore
    removes the records after its step, and with them the gaps.

    Args:
      events: Rows of `events.jsonl`, in order.
      writer: Name of the writer. Default: that of the complete record.
    """
    by_attempt: dict[object, MissingRows] = {}
    for event in events:
        step = event.get("step")
        if event.get("event") == "missing":
            writers: Any = event.get("writers")
            missing = by_attempt[event.get("attempt")] = MissingRows()
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                missing.load_state(writers.get(writer, {}))
        elif event.get("event") == "restore" and isinstance(step, int):
            for missing in by_attempt.values():
                missing.cut_after(step)
    merged = MissingRows()
    for missing in by_attempt.values():
        merged.update(missing)
    return merged
