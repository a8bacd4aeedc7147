"""Selection of train steps for writers with `every` above 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

_REMEMBERED_STEPS = 64
_MAX_LEFT_OUT = 1024


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


class _Stepped(Protocol):
    @property
    def step(self) -> int: ...
    @property
    def split(self) -> str: ...


_Taken = TypeVar("_Taken", bound=_Stepped)


class Thinning(Generic[_Taken]):
    """Take the train records that a `Cadence` takes, and all of other splits.

    Args:
      every: Steps between the train steps taken.

    Attributes:
      left_out: Records of the last train step, if it was not taken; they are written
        at the end.
    """

    def __init__(self, every: int) -> None:
        self._cadence = Cadence(every)
        self.left_out: list[_Taken] = []

    def takes(self, record: _Taken) -> bool:
        """Decide whether a record is taken."""
        if record.split != "train":
            return True
        taken = self._cadence.takes(record.step)
        left_out = self.left_out
        last = left_out[0].step if left_out else self._cadence.last or 0
        if taken and record.step >= last:
            self.left_out = []
        elif not taken and record.step == last and len(left_out) < _MAX_LEFT_OUT:
            left_out.append(record)
        elif not taken and record.step > last:
            self.left_out = [record]
        return taken

    def state(self) -> dict[str, Any]:
        """Return `Cadence.state`."""
        return self._cadence.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`; nothing is left out yet.

        Raises:
          AttributeError, TypeError, ValueError: It is not a state.
        """
        self._cadence.load_state(state)
        self.left_out = []
