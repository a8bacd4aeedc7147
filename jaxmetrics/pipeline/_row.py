"""Rows: begun and filled by the training thread, fetched by the writers' threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.pipeline._row_limits import within_limits
from jaxmetrics.pipeline._values import add_metrics, add_scalars, is_array
from jaxmetrics.record import (
    COUNT_FIELDS,
    Record,
    UnnumberedRecord,
    check_step,
    scalar,
)
from jaxmetrics.record import key as full_key

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer

_MAX_CACHED_CALLS = 1024


class Row:
    """The record of one step and split in flight: its values may still be on a device.

    `record()` waits for the values, once, in the thread of the first writer that needs
    them, so that the training thread never waits.

    Args:
      step: Optimizer updates completed.
      split: The split that the values belong to.
      time: Training seconds at which the row began.
      numbered: Whether the caller passed the step.
      on_record: Called with the row and its record, once.

    Attributes:
      values: Values by full key or field name; empty once they are fetched.
      delivered_to: Sinks that already processed this row (a row can be offered again
        after an interrupt).
      faults: Error texts of values that could not be fetched.
      array_keys: Keys of values of a metric that are arrays, which rows leave out.
      cuts: Keys of values that were cut or left out, by the limit they exceed.
    """

    def __init__(
        self,
        step: int,
        split: str,
        time: float,
        *,
        numbered: bool = True,
        on_record: Callable[[Row, Record], object] | None = None,
    ) -> None:
        self.step = step
        self.split = split
        self.time = time
        self.values: dict[str, object] = {}
        self.delivered_to: set[object] = set()
        self.faults: list[str] = []
        self.array_keys: list[str] = []
        self.cuts: dict[str, list[str]] = {}
        self._numbered = numbered
        self._on_record = on_record
        self._record: Record | None = None
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """True if the row has no values."""
        return not self.values and self._record is None

    def is_for(self, writer: Writer) -> bool:
        """Return whether a writer takes this row."""
        return writer.accepts(self.step, self.split)

    def add(self, key: str, value: object) -> None:
        """Add a scalar, on the host or on a device, under its full key or field name.

        Raises:
          ValueError: The row has a value under this key.
        """
        if key in self.values:
            raise ValueError(self._duplicate(key))
        self.values[key] = value

    def add_later(self, fetch: Callable[[], Mapping[str, object]]) -> None:
        """Add values by plain name that `fetch` returns when the row is fetched."""
        self.values[f"({len(self.values)})"] = fetch

    def record(self) -> Record:
        """Return the record; the first call fetches it.

        A value that cannot be fetched is left out and named in `faults`.
        """
        with self._lock:
            if self._record is None:
                self._record = self._fetch()
                self.values = {}
                if self._on_record is not None:
                    self._on_record(self, self._record)
            return self._record

    def _fetch(self) -> Record:
        begin_copies(self.values.values())
        values: dict[str, float | int] = {}
        for key, value in self.values.items():
            try:
                if not callable(value):
                    values[key] = scalar(value)
                    continue
                computed: Any = value()
                for name, result in computed.items():
                    full = full_key(name, self.split)
                    if np.ndim(result):
                        self.array_keys.append(full)
                    elif full in self.values or full in values:
                        self.faults.append(self._duplicate(full))
                    else:
                        values[full] = scalar(result)
            except Exception as error:
                subject = "the metrics" if callable(value) else f"the value of {key!r}"
                self.faults.append(self._not_fetched(subject, error))
        kept, self.cuts = within_limits(values)
        scalars = dict(kept)
        fields = {f: int(scalars.pop(f)) for f in COUNT_FIELDS if f in scalars}
        kind = Record if self._numbered else UnnumberedRecord
        return kind(self.step, self.split, scalars, round(self.time, 6), **fields)

    def _duplicate(self, key: str) -> str:
        return (
            f"log_step() got two values for {key!r} at step {self.step} of "
            f"{self.split!r}; expected one. Log one of them under another name."
        )

    def _not_fetched(self, subject: str, error: Exception) -> str:
        return (
            f"{subject} logged at step {self.step} of {self.split!r} could not be "
            f"fetched ({error}). If a later step donates it, log a value that the step "
            f"returns and that is not donated."
        )


class OpenRows:
    """The rows that are being filled, at most one per split.

    A row is complete when a later step begins, in any split.

    Args:
      on_record: Passed to every `Row`.

    Attributes:
      last: Last step begun, by split.
    """

    def __init__(self, on_record: Callable[..., object]) -> None:
        self._on_record = on_record
        self._open: dict[str, Row] = {}
        self._complete: list[Row] = []
        self.last: dict[str, int] = {}
        self._min_step = 1

    @property
    def next_step(self) -> int:
        """The step of a train row that is begun without a step."""
        return max(self._min_step, self.last.get("train", 0) + 1)

    def reset(self, last: Mapping[str, int], next_step: int = 1) -> None:
        """Drop the open rows and continue after the given steps.

        Args:
          last: Last step begun, by split.
          next_step: The least step of a train row without a step.
        """
        self._open.clear()
        self._complete.clear()
        self.last = dict(last)
        self._min_step = next_step

    def begin(self, step: object, split: str, time: float) -> tuple[Row, list[Row]]:
        """Return the row of a step and split, and the rows that it completes.

        Args:
          step: Optimizer updates completed. None takes the next step; for splits other
            than train it takes the last step reached, unless they have a row there.
          split: The split.
          time: Training seconds.

        Raises:
          TypeError: The step is not an integer.
          ValueError: The split already has a row at this step or a later one.
        """
        if type(step) is int and step >= 0:
            number = step
        else:
            number = self._next_step(split) if step is None else check_step(step)
        row = self._open.get(split)
        if row is not None and row.step == number:
            return row, []
        if number <= self.last.get(split, -1):
            raise ValueError(
                f"log_step() got step {number} of {split!r}, but step "
                f"{self.last[split]} is recorded already; expected a later one. Log "
                f"steps in order, all values of a step before the next step. After a "
                f"restart, restore the logger (checkpoint.restore, load_state or "
                f"resume_step=) or begin again with overwrite=True."
            )
        complete = self.finish(before=number)
        row = Row(
            number, split, time, numbered=step is not None, on_record=self._on_record
        )
        self._open[split] = row
        self.last[split] = number
        return row, complete

    def finish(self, before: int | None = None) -> list[Row]:
        """Close the rows of steps earlier than `before`, or all; return them by step.

        The list is this object's own: the caller removes each row that it has passed
        on. Rows that an interrupt left in it are returned by the next call.
        """
        done = [r for r in self._open.values() if before is None or r.step < before]
        for row in done if len(done) < 2 else sorted(done, key=lambda row: row.step):
            if not row.is_empty:
                self._complete.append(row)
            if self._open.get(row.split) is row:
                del self._open[row.split]
        return self._complete

    def _next_step(self, split: str) -> int:
        reached = max(self._min_step - 1, *self.last.values(), 0)
        if split == "train" or self.last.get(split, 0) >= reached:
            return max(self.next_step, self.last.get(split, 0) + 1)
        return reached


class RowFiller:
    """Add the values of `log_step` calls to rows, under their full keys.

    A call is checked in full (see `_values`) when its names or types are new. Later
    calls with the same names and types reuse the keys: the values of a training loop
    differ, their names do not. A value that is wrong in itself, such as a deleted
    array, is then found when the row is fetched.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._types: set[type] = {float, int}

    def fill(
        self, row: Row, metrics: Any, values: Mapping[str, Any]
    ) -> list[Exception]:
        """Add values to a row; return the errors of those that cannot be added.

        Args:
          row: The row; it gets every valid value.
          metrics: A metric or collection, whose reduction is launched here, a mapping
            of names to scalars, or None.
          values: Scalars by name.
        """
        errors: list[Exception] = []
        if isinstance(metrics, Mapping):
            errors += self._add(row, metrics)
        elif metrics is not None:
            errors += add_metrics(row, metrics)
        if values:
            errors += self._add(row, values)
        return errors

    def _add(self, row: Row, values: Mapping[str, Any]) -> list[Exception]:
        call = row.split, tuple(values)
        is_first = not row.values
        if is_first and (keys := self._keys.get(call)) is not None:
            if set(map(type, values.values())) <= self._types:
                row.values = dict(zip(keys, values.values()))
                return []
        errors = add_scalars(row, values)
        if not errors:
            self._types |= {type(v) for v in values.values() if is_array(v)}
            if is_first and len(self._keys) < _MAX_CACHED_CALLS:
                self._keys[call] = tuple(row.values)
        return errors


def begin_copies(values: Iterable[Any]) -> None:
    """Start copying arrays to the host, all of them before one is waited for.

    Arrays on a CPU are on the host already: a copy would cost more than reading them.
    """
    arrays = [value for value in values if hasattr(value, "copy_to_host_async")]
    # A deleted array raises here; reading it reports the error with its key.
    with contextlib.suppress(Exception):
        if any(device.platform == "cpu" for device in arrays[0].devices()):
            return
    for array in arrays:
        with contextlib.suppress(Exception):
            array.copy_to_host_async()
