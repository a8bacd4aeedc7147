"""A row on its way to the writers: values that nobody has fetched yet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxmetrics.pipeline._row_limits import fitting
from jaxmetrics.record import COUNT_FIELDS, Record, UnnumberedRecord, key, scalar


class Row:
    """What was logged for one step and split; fetched by whoever needs it first.

    Values may lie on a device. `record()` waits for them, once, in the thread of the
    first writer that comes to the row, so that the training thread never does.

    Args:
      step: Optimizer updates completed.
      split: The split that the values belong to.
      time: Training seconds at which the row began.
      numbered: Whether the caller gave the step.
      on_record: Called with the row and its record, once.

    Attributes:
      parts: Values by full key or field name, until they are fetched.
      taken: The writers that have had it, since a row may be offered twice.
    """

    kind: str | None = None
    """The kind of `Media` that its record is, if it is one."""

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
        self._numbered = numbered
        self._on_record = on_record
        self.parts: dict[str, object] = {}
        self.taken: set[object] = set()
        self._record: Record | None = None
        self._lock = threading.Lock()

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return not self.parts and self._record is None

    def add(self, name: str, value: object) -> None:
        """Add a scalar, on the host or on a device, under its full key or field name.

        Raises:
          ValueError: The row has a value of this name.
        """
        if name in self.parts:
            raise ValueError(self._twice(name))
        self.parts[name] = value

    def add_later(self, fetch: Callable[[], Mapping[str, object]]) -> None:
        """Add values by their plain names, which `fetch` brings when it is called."""
        self.parts[f"({len(self.parts)})"] = fetch

    def record(self) -> Record:
        """The record, fetched at the first call; what could not be had is left out.

        Then `faults` says in words what failed, and `arrays` has the keys of values
        that a whole metric gave and that are no scalars, and `cuts` those of what was
        beyond a limit, by the limit.
        """
        with self._lock:
            if self._record is None:
                self.faults: list[str] = []
                self.arrays: list[str] = []
                self.cuts: dict[str, list[str]] = {}
                self._record = self._fetch()
                self.parts = {}
                if self._on_record is not None:
                    self._on_record(self, self._record)
            return self._record

    def _fetch(self) -> Record:
        begin_copies(self.parts.values())
        values: dict[str, float | int] = {}
        for name, part in self.parts.items():
            try:
                if not callable(part):
                    values[name] = scalar(part)
                    continue
                computed: Any = part()
                for plain, value in computed.items():
                    full = key(plain, self.split)
                    if np.ndim(value):
                        self.arrays.append(full)
                    elif full in self.parts or full in values:
                        self.faults.append(self._twice(full))
                    else:
                        values[full] = scalar(value)
            except Exception as error:
                self.faults.append(self._lost(name, callable(part), error))
        fitted, self.cuts = fitting(values)
        rest = dict(fitted)
        fields = {f: int(rest.pop(f)) for f in COUNT_FIELDS if f in rest}
        kind = Record if self._numbered else UnnumberedRecord
        return kind(self.step, self.split, rest, round(self.time, 6), **fields)

    def _twice(self, name: str) -> str:
        return (
            f"step {self.step} of {self.split!r} has two values for {name!r}; expected "
            f"one. Log one of them under another name."
        )

    def _lost(self, name: str, whole: bool, error: Exception) -> str:
        what = "the metrics" if whole else f"the value of {name!r}"
        return (
            f"{what} logged at step {self.step} of {self.split!r} could not be fetched "
            f"({error}). If the next step donates it, log a value that the step "
            f"returns and is not given again."
        )


def begin_copies(parts: Iterable[Any]) -> None:
    """Have arrays copied to the host, all on their way before one is waited for.

    What lies on a CPU is there already: a copy would cost more than reading it.
    """
    arrays = [part for part in parts if hasattr(part, "copy_to_host_async")]
    with contextlib.suppress(Exception):  # deleted ones: who reads them will tell
        if any(device.platform == "cpu" for device in arrays[0].devices()):
            return
    for array in arrays:
        with contextlib.suppress(Exception):
            array.copy_to_host_async()
