"""Times the steps of a loop by their completion, and what lies between them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmetrics.loop.performance._step_window import StepWindow
from jaxmetrics.record import Ledger

WITHIN: Sequence[str] = ("data_wait", "logging")
"""Sections that are a part of the step time."""

BETWEEN: Sequence[str] = ("checkpoint", "evaluation", "profile")
"""Sections that are none; steps in them are not timed."""


class _Step(NamedTuple):
    output: Any
    tokens: Any
    padded: Any
    devices: int


class StepTimer:
    """Waits for steps as far as it must to time them, and adds them up.

    The arguments are those of `PerformanceTracker`.

    Attributes:
      window: The steps that were timed.
      steps: All that were added.
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
        self.spent: dict[str, float] = dict.fromkeys((*WITHIN, *BETWEEN), 0.0)
        self._warmup = self._cold = warmup_steps
        self._in_flight, self._ledger, self._clock = in_flight, ledger, clock
        self._pending: deque[_Step] = deque()
        self._tokens: int | float = 0
        self._padded: int | float = 0
        self._told: dict[str, float] = dict.fromkeys(WITHIN, 0.0)
        self._section: str | None = None
        self._pauses = 0
        self._waited = 0.0
        self._since = self._paused_at = clock()

    def add(self, output: Any, tokens: Any, padded: Any, devices: int) -> None:
        """Take in a step that was dispatched; see `PerformanceTracker.update`.

        Args:
          output: What it gives, or None.
          tokens: A number, or a scalar on a device.
          padded: The same, padding included.
          devices: How many work on it.
        """
        self.steps += 1
        self._tokens += 0 if _on_device(tokens) else _plain(tokens)
        self._padded += 0 if _on_device(padded) else _plain(padded)
        self._pending.append(_Step(output, tokens, padded, devices))
        self._complete(0 if output is None else self._in_flight)

    def totals(self) -> tuple[int | float, int | float]:
        """Tokens so far, without and with padding; waits for those on a device."""
        if any(_on_device(x) for step in self._pending for x in step[1:3]):
            self._complete(0)
        return self._tokens, self._padded

    @contextlib.contextmanager
    def timed(self, section: str) -> Iterator[None]:
        """Time a block; within another one it counts as a part of that."""
        outermost, between = self._section is None, section in BETWEEN
        if between:
            self._pause()
        if outermost:
            self._section = section
        start = self._clock()
        try:
            yield
            if between:
                self._complete(0)
        finally:
            seconds = self._clock() - start
            if between:
                self._resume()
            if outermost:
                self._section = None
                self._spend(section, seconds)

    def tell(self) -> None:
        """Give the ledger the seconds within steps since the last call."""
        for section, told in self._told.items():
            if seconds := self.spent[section] - told:
                self._told[section] = self.spent[section]
                self._event(section, seconds)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, and arrays of fixed shapes."""
        tokens, padded = self.totals()
        return {
            "steps": self.steps,
            "tokens": tokens,
            "padded_tokens": padded,
            "spent": dict(self.spent),
            "window": self.window.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, with a warm-up as at the start."""
        self.steps = int(state["steps"])
        self._tokens, self._padded = (
            _plain(state["tokens"]),
            _plain(state["padded_tokens"]),
        )
        self.spent |= {name: float(spent) for name, spent in state["spent"].items()}
        self._told = {name: self.spent[name] for name in WITHIN}
        self.window.load_state(state["window"])
        self._pending.clear()
        self._cold, self._since, self._waited = self._warmup, self._clock(), 0.0

    def _pause(self) -> None:
        """Time no steps from here on; pauses may overlap."""
        if not self._pauses:
            self._complete(0)
            self._paused_at = self._clock()
        self._pauses += 1

    def _resume(self) -> None:
        self._pauses -= 1
        if not self._pauses:
            self._since += self._clock() - self._paused_at

    def _spend(self, section: str, seconds: float) -> None:
        self.spent[section] += seconds
        if section in BETWEEN:
            self._event(section, seconds)
        elif section == "data_wait" and not self._pauses:
            self._waited += seconds

    def _complete(self, left: int) -> None:
        """Wait until at most `left` steps are under way."""
        while len(self._pending) > left:
            self._finish(self._pending.popleft())

    def _finish(self, step: _Step) -> None:
        _wait(step.output)
        tokens, padded = _plain(step.tokens), _plain(step.padded)
        self._tokens += tokens if _on_device(step.tokens) else 0
        self._padded += padded if _on_device(step.padded) else 0
        if self._pauses:
            return
        now = self._clock()
        seconds, self._since = now - self._since, now
        waited, self._waited = self._waited, 0.0
        if self._cold:
            self._cold -= 1
            return
        self.window.add(
            seconds=seconds,
            device_seconds=seconds * step.devices,
            tokens=tokens,
            padded_tokens=padded,
            data_wait_seconds=waited,
        )

    def _event(self, section: str, seconds: float) -> None:
        if self._ledger is not None:
            self._ledger.event(section, seconds)


def _wait(output: Any) -> None:
    """Wait for an output, which must still be there."""
    if any(getattr(leaf, "is_deleted", bool)() for leaf in jax.tree.leaves(output)):
        raise ValueError(
            "PerformanceTracker.update() got an output that was donated to a later "
            "step before its own was complete. Give what stays: the loss, a metric."
        )
    jax.block_until_ready(output)


def _on_device(value: Any) -> bool:
    return isinstance(value, jax.Array)


def _plain(value: Any) -> int | float:
    """A number, or what an array of rank 0 holds."""
    return value if isinstance(value, int | float) else np.asarray(value).item()
