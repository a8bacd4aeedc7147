"""Joins what is logged for one step and split into one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import check_step


class Rows:
    """The rows that are being filled, at most one a split.

    A row is complete when a later step begins.

    Args:
      on_record: Passed to every `Row`.
    """

    def __init__(self, on_record: Callable[..., object]) -> None:
        self._on_record = on_record
        self._open: dict[str, Row] = {}
        self._leaving: list[Row] = []
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
        self._leaving.clear()
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
        if type(step) is int and step >= 0:
            number = step
        else:
            number = self._next(split) if step is None else check_step(step)
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
        """Take the rows of earlier steps than `before`, or all, in order of steps.

        Whoever takes a row out of the list has it: one that was interrupted before
        finds it there again.
        """
        done = [r for r in self._open.values() if before is None or r.step < before]
        for row in done if len(done) < 2 else sorted(done, key=lambda row: row.step):
            if not row.empty:
                self._leaving.append(row)
            if self._open.get(row.split) is row:
                del self._open[row.split]
        return self._leaving

    def _next(self, split: str) -> int:
        reached = max(self._floor, *self.last.values(), 0)
        if split == "train" or self.last.get(split, 0) >= reached:
            return max(self.next_step, self.last.get(split, 0) + 1)
        return reached
