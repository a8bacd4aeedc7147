"""Selection of train steps for writers with `every` above 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REMEMBERED_STEPS = 64


class Cadence:
    """Take the first step, and each that crosses a multiple of `every`.

    A step crosses one if `step // every` is above that of the last step taken, so that
    a loop that logs at 99, 199, 299 is thinned like one that logs at 100, 200, 300.
    Later records of one of the last 64 steps share its decision. A step before the last
    one taken that is not among them is taken if it is a multiple of `every`.

    Args:
      every: Steps between the steps taken.

    Attributes:
      last: Highest step taken for crossing a multiple; None before the first.

    >>> cadence = Cadence(100)
    >>> [step for step in range(99, 1000, 50) if cadence.takes(step)]
    [99, 149, 249, 349, 449, 549, 649, 749, 849, 949]
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.last: int | None = None
        self._decided: dict[int, bool] = {}

    def takes(self, step: int) -> bool:
        """Decide whether the records of a step are taken."""
        decided = self._decided.get(step)
        if decided is None:
            decided = self._decided[step] = self._decide(step)
            if len(self._decided) > _REMEMBERED_STEPS:
                del self._decided[next(iter(self._decided))]
        return decided

    def state(self) -> dict[str, Any]:
        """Return the decisions that later ones depend on; empty without any."""
        if self.last is None:
            return {}
        steps = [list(part) for part in self._decided.items()]
        return {"last": self.last, "decided": [[n, int(taken)] for n, taken in steps]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`; an empty one forgets all decisions."""
        last = state.get("last")
        decided = {int(n): bool(taken) for n, taken in state.get("decided", ())}
        self.last, self._decided = None if last is None else int(last), decided

    def _decide(self, step: int) -> bool:
        last = self.last
        if last is None or step // self.every > last // self.every:
            self.last = step
            return True
        return step < last and step % self.every == 0
