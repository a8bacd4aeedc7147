"""Time the steps of a loop by their completion, and the sections between them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmetrics.core import is_deleted
from jaxmetrics.record import Ledger, states

IN_STEP_SECTIONS: Sequence[str] = ("data_wait", "logging")
"""Sections that are a part of the step time."""

PAUSING_SECTIONS: Sequence[str] = ("checkpoint", "evaluation", "profile")
"""Sections outside the step time; steps inside them are not timed."""

_FIELDS = ("seconds", "device_seconds", "tokens", "padded_tokens", "data_wait_seconds")


class StepWindow:
    """Sums over all timed steps, in float64, and the last `size` steps, in float32.

    The sums are saved and the steps are not: after a restore, the last steps are those
    of this attempt, which may run on other devices.

    Args:
      size: Number of recent steps to keep.
    """

    def __init__(self, size: int = 48) -> None:
        self._recent = np.zeros((len(_FIELDS), size), np.float32)
        self._totals = np.zeros(len(_FIELDS))
        self._added = 0
        self.steps = 0

    def add(self, **step: float) -> None:
        """Add a step: all fields, by name."""
        values = [step[field] for field in _FIELDS]
        self._recent[:, self._added % self._recent.shape[1]] = values
        self._totals += values
        self._added += 1
        self.steps += 1

    def total(self, field: str) -> float:
        """Return the sum of a field over all steps."""
        return float(self._totals[_FIELDS.index(field)])

    def recent(self, field: str) -> np.ndarray:
        """Return the recent values of a field, in no particular order."""
        return self._recent[_FIELDS.index(field), : self._added]

    def recent_total(self, field: str) -> float:
        """Return the sum of the recent values of a field."""
        return float(self.recent(field).sum(dtype=np.float64))

    @property
    def recent_steps(self) -> int:
        """Number of recent steps."""
        return min(self._added, self._recent.shape[1])

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return self._recent.nbytes + self._totals.nbytes

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint; arrays have fixed shapes."""
        return {"steps": self.steps, "totals": self._totals.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StepWindow:
        """Return a window of the default size with the sums of a `state`.

        Raises:
          TypeError: It is not a mapping.
          ValueError: It is not such a state.
        """
        window = cls()
        saved = states.fields_of(
            steps=states.count, totals=states.floats_of(*window._totals.shape)
        )(state)
        window.steps, window._totals = saved["steps"], saved["totals"]
        return window


class _Step(NamedTuple):
    output: Any
    tokens: Any
    padded: Any
    devices: int


class StepTimer:
    """Wait for steps only as far as needed to time them, and sum up their times.

    The arguments are those of `PerformanceTracker`.

    Attributes:
      window: Steps that were timed.
      steps: Number of all steps, timed or not.
      spent: Seconds by section.
    """

    def __init__(
        self,
        warmup_steps: int,
        in_flight: int,
        ledger: Ledger | None,
        clock: Callable[[], float],
    ) -> None:
        self.window = StepWindow()
        self.steps = 0
        self.spent: dict[str, float] = dict.fromkeys(
            (*IN_STEP_SECTIONS, *PAUSING_SECTIONS), 0.0
        )
        self._warmup_steps = self._warmup_left = warmup_steps
        self._in_flight, self._ledger, self._clock = in_flight, ledger, clock
        self._pending: deque[_Step] = deque()
        self._tokens: int | float = 0
        self._padded: int | float = 0
        self._reported: dict[str, float] = dict.fromkeys(IN_STEP_SECTIONS, 0.0)
        self._section: str | None = None
        self._pauses = 0
        self._paused = 0.0  # seconds of pauses that have ended
        self._data_wait = 0.0
        self._step_start = self._pause_start = clock()

    def add(self, output: Any, tokens: Any, padded: Any, devices: int) -> None:
        """Add a dispatched step; see `PerformanceTracker.update`.

        Args:
          output: An output of the step, or None.
          tokens: Number of tokens, or a scalar on a device.
          padded: Number of tokens including padding, or a scalar on a device.
          devices: Number of devices that compute the step.
        """
        self.steps += 1
        self._tokens += 0 if _is_array(tokens) else _number(tokens)
        self._padded += 0 if _is_array(padded) else _number(padded)
        self._pending.append(_Step(output, tokens, padded, devices))
        self._complete(0 if output is None else self._in_flight)

    def totals(self) -> tuple[int | float, int | float]:
        """Return all tokens without and with padding; waits for counts on a device."""
        if any(_is_array(x) for step in self._pending for x in step[1:3]):
            self._complete(0)
        return self._tokens, self._padded

    @contextlib.contextmanager
    def timed(self, section: str) -> Iterator[None]:
        """Time a block; a block inside another one is a part of the outer block."""
        outermost, pausing = self._section is None, section in PAUSING_SECTIONS
        if pausing:
            self._pause()
        if outermost:
            self._section = section
        start = self._clock()
        paused = self._paused_until(start)
        try:
            yield
            if pausing:
                self._complete(0)
        finally:
            end = self._clock()
            paused = self._paused_until(end) - paused
            if pausing:
                self._resume()
            if outermost:
                self._section = None
                self._spend(section, end - start, paused)

    def report_sections(self) -> None:
        """Write the new seconds of sections within steps to the ledger."""
        for section, reported in self._reported.items():
            if seconds := self.spent[section] - reported:
                self._reported[section] = self.spent[section]
                self._event(section, seconds)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: numbers, and arrays of fixed shapes."""
        tokens, padded = self.totals()
        return {
            "steps": self.steps,
            "tokens": tokens,
            "padded_tokens": padded,
            "spent": dict(self.spent),
            "window": self.window.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`; the warm-up starts again.

        Raises:
          ValueError: It is not a state.
        """
        saved = states.read(
            "PerformanceTracker",
            state,
            steps=states.count,
            tokens=states.number,
            padded_tokens=states.number,
            spent=states.mapping_of(states.real),
            window=StepWindow.from_state,
        )
        self.reset()
        self.window, self.steps = saved["window"], saved["steps"]
        self._tokens, self._padded = saved["tokens"], saved["padded_tokens"]
        self.spent |= {n: x for n, x in saved["spent"].items() if n in self.spent}
        self._reported = {name: self.spent[name] for name in IN_STEP_SECTIONS}

    def reset(self) -> None:
        """Begin without steps, with a warm-up."""
        self.window, self.steps = StepWindow(), 0
        self._tokens = self._padded = 0
        self.spent |= dict.fromkeys(self.spent, 0.0)
        self._reported = dict.fromkeys(IN_STEP_SECTIONS, 0.0)
        self._pending.clear()
        self._warmup_left = self._warmup_steps
        now = self._clock()
        self._paused, self._data_wait = self._paused_until(now), 0.0
        self._step_start = self._pause_start = now  # this may be within a pause

    def _pause(self) -> None:
        """Stop timing steps; pauses may nest."""
        if not self._pauses:
            self._complete(0)
            self._pause_start = self._clock()
        self._pauses += 1

    def _resume(self) -> None:
        self._pauses -= 1
        if not self._pauses:
            seconds = self._clock() - self._pause_start
            self._step_start += seconds
            self._paused += seconds

    def _paused_until(self, now: float) -> float:
        return self._paused + (now - self._pause_start if self._pauses else 0.0)

    def _spend(self, section: str, seconds: float, paused: float) -> None:
        """Add a section that has ended, and of which some seconds were a pause."""
        self.spent[section] += seconds
        if section in PAUSING_SECTIONS:
            self._event(section, seconds)
        elif section == "data_wait":
            self._data_wait += seconds - paused

    def _complete(self, in_flight: int) -> None:
        """Wait until at most `in_flight` steps are incomplete."""
        while len(self._pending) > in_flight:
            self._finish(self._pending.popleft())

    def _finish(self, step: _Step) -> None:
        _wait(step.output)
        tokens, padded = _number(step.tokens), _number(step.padded)
        self._tokens += tokens if _is_array(step.tokens) else 0
        self._padded += padded if _is_array(step.padded) else 0
        if self._pauses:
            return
        now = self._clock()
        seconds, self._step_start = now - self._step_start, now
        data_wait, self._data_wait = self._data_wait, 0.0
        if self._warmup_left:
            self._warmup_left -= 1
            return
        self.window.add(
            seconds=seconds,
            device_seconds=seconds * step.devices,
            tokens=tokens,
            padded_tokens=padded,
            data_wait_seconds=data_wait,
        )

    def _event(self, section: str, seconds: float) -> None:
        if self._ledger is not None:
            self._ledger.event(section, seconds)


def _wait(output: Any) -> None:
    if any(map(is_deleted, jax.tree.leaves(output))):
        raise ValueError(
            "PerformanceTracker.update() got an output that was donated to a later "
            "step before it was complete; expected one that remains. Pass the loss, or "
            "another output that is not donated."
        )
    jax.block_until_ready(output)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array)


def _number(value: Any) -> int | float:
    return value if isinstance(value, int | float) else np.asarray(value).item()
