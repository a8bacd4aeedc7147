"""Steps of the records of a run: which a call gets, and the guard of an attempt."""

from __future__ import annotations

from collections.abc import Mapping

from jaxmetrics.record import check_step


class Steps:
    """The last step of each split, and the step that a call gets.

    Records may come in any order of steps, with one exception: the first train record
    of an attempt whose step lies at or below the last recorded one. There a restore was
    forgotten, and the record would have the steps twice.

    Attributes:
      last: Highest step recorded, by split.
    """

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self._min_step = 1
        self._recorded: int | None = None

    @property
    def next_step(self) -> int:
        """The step of a train record that is logged without a step."""
        return max(self._min_step, self.last.get("train", 0) + 1)

    def reset(
        self, last: Mapping[str, int], next_step: int = 1, guarded: bool = False
    ) -> None:
        """Continue after the given steps.

        Args:
          last: Highest step recorded, by split.
          next_step: The least step of a train record without a step.
          guarded: Whether the next train record must be above the last one.
        """
        self.last = dict(last)
        self._min_step = next_step
        self._recorded = self.last.get("train") if guarded else None

    def of_call(self, step: object, split: str) -> int:
        """Return the step of a call, and note it.

        Args:
          step: Optimizer updates completed. None takes the next step; for splits other
            than train it takes the last step reached, unless they have a record there.
          split: The split.

        Raises:
          TypeError: The step is not an integer.
          ValueError: The step is negative or too large, or the guard refuses it.
        """
        if type(step) is int and 0 <= step < 2**63:
            number = step
        else:
            number = check_step(self._next_step(split) if step is None else step)
        if split == "train" and self._recorded is not None:
            if number <= self._recorded:
                raise ValueError(
                    f"log_step() got step {number}, and the run has train records up "
                    f"to step {self._recorded} of an earlier attempt; expected a "
                    f"later step. Restore the logger before (checkpoint.restore or "
                    f"load_state), continue with resume_step={max(number - 1, 0)}, or "
                    f"begin again with overwrite=True."
                )
            self._recorded = None
        self.note(number, split)
        return number

    def note(self, number: int, split: str) -> None:
        """Note a step of which a record is made."""
        if number > self.last.get(split, -1):
            self.last[split] = number

    def _next_step(self, split: str) -> int:
        reached = max(self._min_step - 1, *self.last.values(), 0)
        if split == "train" or self.last.get(split, 0) >= reached:
            return max(self.next_step, self.last.get(split, 0) + 1)
        return reached
