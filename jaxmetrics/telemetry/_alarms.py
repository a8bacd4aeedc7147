"""Alarms about a training's health, raised from the values that it logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from jaxmetrics.telemetry._compiles import CompileWatch
from jaxmetrics.telemetry._spikes import SpikeDetector

Range = tuple[float | None, float | None]

_FIRST_NONFINITE = "health/first_nonfinite"


class Alarm(NamedTuple):
    """Something wrong with a training.

    Attributes:
      step: Optimizer updates completed.
      kind: `"nonfinite"`, `"spike"`, `"limit"` or `"recompile"`.
      key: Whose value it is; the function's name if it was compiled again.
      value: The value; seconds of compiling.
      message: What it means.
    """

    step: int
    kind: str
    key: str
    value: float
    message: str


class Ledger(Protocol):
    """What keeps alarms as events: `TrainingLogger.ledger`."""

    def event(self, name: str, **fields: Any) -> object:
        """Append an event."""


class Alarms:
    """Looks at the values of each logged step, and tells what is wrong with them.

    Four things: a value that spikes or is not finite, a value outside of its limits,
    a place in the model that `first_nonfinite` named (logged as
    `health/first_nonfinite`), and a function that is compiled again. Each is told
    when it begins, and once more only after it had ended.

    Args:
      spikes: The keys that a `SpikeDetector` watches, or detectors by key.
      limits: The least and greatest value by key, or by glob of keys, None for no
        limit: `{"update/ratio*": (None, 0.1)}`. A nan is outside of no limit: a ratio
        to nothing is one.
      places: The name of a number of `first_nonfinite`, as
        `lambda index: name_of(tree, index)`.
      compiles: Tells what was compiled again.
      warmup: In how many checks, at first, compiling again is no alarm.
      ledger: Gets an event `"alarm"` for each, such as `logger.ledger`.
      on_alarm: Called with each.

    Raises:
      ValueError: A least value is above the greatest.

    Example:
      >>> alarms = Alarms(spikes=["train/loss"], limits={"update/ratio": (None, 0.1)})
      >>> for step in range(100):
      ...     told = alarms.check(step, {"train/loss": 2.0, "update/ratio": 0.01})
      >>> for alarm in alarms.check(100, {"train/loss": 9.0, "update/ratio": 0.5}):
      ...     print(alarm.kind, alarm.message)
      spike train/loss spikes at 9
      limit update/ratio is 0.5, above its limit of 0.1
    """

    def __init__(
        self,
        *,
        spikes: Iterable[str] | Mapping[str, SpikeDetector] = (),
        limits: Mapping[str, Range] | None = None,
        places: Callable[[int], str | None] = str,
        compiles: CompileWatch | None = None,
        warmup: int = 2,
        ledger: Ledger | None = None,
        on_alarm: Callable[[Alarm], object] | None = None,
    ) -> None:
        """Know of nothing wrong yet."""
        given = isinstance(spikes, Mapping)
        self.spikes = dict(spikes) if given else {k: SpikeDetector() for k in spikes}
        self.limits = dict(limits or {})
        for key, (low, high) in self.limits.items():
            if low is not None and high is not None and low > high:
                raise ValueError(
                    f"Alarms got the limits {low} and {high} of {key!r}; expected the "
                    "least first. Swap them."
                )
        self._places = places
        self._compiles = compiles
        self._warmup = warmup
        self._ledger = ledger
        self._on_alarm = on_alarm
        self._outside: set[str] = set()

    def check(self, step: int, values: Mapping[str, Any]) -> list[Alarm]:
        """What begins to be wrong in a step.

        Args:
          step: Optimizer updates completed.
          values: Scalars by key. They are waited for, so take those that have been
            fetched, as of the step before.
        """
        numbers = {key: float(x) for key, x in values.items() if self._is_watched(key)}
        found = [
            *self._nonfinite(step, numbers),
            *self._spikes(step, numbers),
            *self._limits(step, numbers),
            *self._recompiles(step),
        ]
        for alarm in found:
            if self._ledger is not None:
                self._ledger.event("alarm", **alarm._asdict())
            if self._on_alarm is not None:
                self._on_alarm(alarm)
        return found

    def state(self) -> dict[str, Any]:
        """What it remembers, in plain values, for a checkpoint."""
        spikes = {key: detector.state() for key, detector in self.spikes.items()}
        return dict(spikes=spikes, outside=sorted(self._outside))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did, of the keys that are watched here too."""
        for key, its in state["spikes"].items():
            if key in self.spikes:
                self.spikes[key].load_state(its)
        self._outside = set(state["outside"])

    def _is_watched(self, key: str) -> bool:
        return key == _FIRST_NONFINITE or key in self.spikes or bool(self._range(key))

    def _range(self, key: str) -> Range | None:
        if key in self.limits:
            return self.limits[key]
        return next(
            (its for k, its in self.limits.items() if fnmatchcase(key, k)), None
        )

    def _nonfinite(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        index = numbers.get(_FIRST_NONFINITE, -1)
        if self._begins(_FIRST_NONFINITE, index >= 0):
            name = self._places(int(index))
            message = f"{name} is the first that is not finite"
            yield Alarm(step, "nonfinite", _FIRST_NONFINITE, index, message)

    def _spikes(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        for key, detector in self.spikes.items():
            if key in numbers and detector.update(value := numbers[key]):
                finite = math.isfinite(value)
                kind = "spike" if finite else "nonfinite"
                message = f"{key} {'spikes at' if finite else 'is'} {value:.4g}"
                yield Alarm(step, kind, key, value, message)

    def _limits(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        for key, value in numbers.items():
            low, high = self._range(key) or (None, None)
            below, above = (
                low is not None and value < low,
                high is not None and value > high,
            )
            if self._begins(f"limit {key}", below or above):
                limit = (
                    f"below its limit of {low:g}"
                    if below
                    else f"above its limit of {high:g}"
                )
                yield Alarm(step, "limit", key, value, f"{key} is {value:.4g}, {limit}")

    def _recompiles(self, step: int) -> Iterable[Alarm]:
        compiled = self._compiles.again() if self._compiles is not None else []
        self._warmup -= 1
        for function, seconds in compiled if self._warmup < 0 else []:
            message = f"{function} was compiled again, in {seconds:.3g} s"
            yield Alarm(step, "recompile", function, seconds, message)

    def _begins(self, what: str, is_so: bool) -> bool:
        begins = is_so and what not in self._outside
        (self._outside.add if is_so else self._outside.discard)(what)
        return begins
