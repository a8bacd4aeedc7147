"""Joins what is logged for one step and split into one row."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

from jaxmetrics.record import key
from jaxmetrics.writers._row import FIELDS, Row, scalar


class Rows:
    """The rows that are being filled, at most one a split.

    A row is complete when a later step begins.

    Args:
      on_record: Passed to every `Row`.
    """

    def __init__(self, on_record: Callable[..., object]) -> None:
        self._on_record = on_record
        self._open: dict[str, Row] = {}
        self.last: dict[str, int] = {}
        """The last step begun, by split."""
        self._floor = 0

    @property
    def next_step(self) -> int:
        """The step that a train row without a step takes."""
        return max(self._floor, self.last.get("train", 0)) + 1

    def reset(self, last: Mapping[str, int], next_step: int = 1) -> None:
        """Forget the open rows, and continue after these steps."""
        self._open.clear()
        self.last = dict(last)
        self._floor = next_step - 1

    def begin(self, step: object, split: str, time: float) -> tuple[Row, list[Row]]:
        """The row of a step and split, and the rows that its beginning completes.

        Args:
          step: Optimizer updates completed; None takes the next one, which for other
            splits is the step that was reached, unless they have a row there.
          split: The split.
          time: Training seconds.

        Raises:
          TypeError: The step is not an integer.
          ValueError: The record of the split is past the step.
        """
        number = self._next(split) if step is None else checked(step)
        row = self._open.get(split)
        if row is not None and row.step == number:
            return row, []
        if number <= self.last.get(split, -1):
            raise ValueError(
                f"log_step() got step {number} of {split!r}, whose record has reached "
                f"step {self.last[split]}; expected a later one. Log a step at once or "
                f"in order; after a restart restore the logger (checkpoint.restore, "
                f"load_state or resume_step=), or begin again with overwrite=True."
            )
        complete = self.finish(before=number)
        row = Row(
            number, split, time, numbered=step is not None, on_record=self._on_record
        )
        self._open[split] = row
        self.last[split] = number
        return row, complete

    def finish(self, before: int | None = None) -> list[Row]:
        """Take the rows of earlier steps than `before`, or all, in order of steps."""
        done = [r for r in self._open.values() if before is None or r.step < before]
        for row in done:
            del self._open[row.split]
        return sorted((r for r in done if not r.empty), key=lambda r: r.step)

    def _next(self, split: str) -> int:
        reached = max(self._floor, *self.last.values(), 0)
        if split == "train" or self.last.get(split, 0) >= reached:
            return max(self.next_step, self.last.get(split, 0) + 1)
        return reached


def add_all(
    row: Row, metrics: Any, values: Mapping[str, Any], copy: bool = True
) -> list[Exception]:
    """Add what `log_step` was given to a row; what is wrong with some is returned.

    Args:
      row: Takes every value that is right.
      metrics: Whole metrics, whose reduction is launched here, a mapping, or None.
      values: Scalars by name.
      copy: Whether to begin copies to the host.
    """
    errors: list[Exception] = []
    items = list(values.items())
    if isinstance(metrics, Mapping):
        items = [*metrics.items(), *items]
    elif hasattr(metrics, "compute") and not isinstance(metrics, type):
        from jaxmetrics.core import snapshot

        try:
            row.add_later(snapshot(metrics).compute)
        except Exception as error:
            errors.append(
                RuntimeError(
                    f"log_step() could not reduce metrics={type(metrics).__name__} "
                    f"({error}). Log the metrics that the last step returned."
                )
            )
    elif metrics is not None:
        errors.append(
            TypeError(
                f"log_step() got metrics of type {type(metrics).__name__}, expected a "
                f"Metric, a Collection or a mapping. Log scalars by name: loss=loss."
            )
        )
    for name, value in items:
        try:
            full = name if name in FIELDS else key(name, row.split)
            row.add(full, reference(name, value, copy))
        except (TypeError, ValueError, RuntimeError) as error:
            errors.append(error)
    return errors


def reference(name: str, value: Any, copy: bool = True) -> object:
    """A number, or a scalar on a device that is on its way to the host.

    Args:
      name: What the user called it, for the error.
      value: A number of Python or NumPy, an array of rank 0, or a scalar of JAX.
      copy: Whether to begin the copy to the host.

    Raises:
      TypeError: It is no number, or one that does not exist yet.
      RuntimeError: The array was deleted.
    """
    jax = sys.modules.get("jax")
    try:
        if jax is None or not isinstance(value, jax.Array):
            return scalar(value)
        if isinstance(value, jax.core.Tracer):
            raise TypeError("a value within jit has no number yet")
        if value.ndim:
            raise TypeError(f"an array of shape {value.shape} is not a number")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"log_step() got {name!r}: {error}. Log scalars, after the compiled step; "
            f"pass a metric or a Collection as metrics=."
        ) from None
    if value.is_deleted():
        raise RuntimeError(
            f"log_step() got {name!r}, whose array has been deleted, as donated ones "
            f"are. Log a value that the step returns and is not given again."
        )
    if copy:
        value.copy_to_host_async()
    return value


def checked(step: Any, call: str = "log_step") -> int:
    """A step that was given to `call`.

    Raises:
      TypeError: It is not an integer of the host.
      ValueError: It is negative.
    """
    jax = sys.modules.get("jax")
    on_device = jax is not None and isinstance(step, jax.Array)
    if isinstance(step, bool) or on_device or not hasattr(step, "__index__"):
        raise TypeError(
            f"{call}() got a step of type {type(step).__name__}, expected an int. "
            f"Count steps on the host; int(step) of a device value waits for it."
        )
    number = operator.index(step)
    if number < 0:
        raise ValueError(
            f"{call}() got step {number}, expected the number of updates completed. "
            f"Count from 0, or leave it out of log_step() to take the next one."
        )
    return number
