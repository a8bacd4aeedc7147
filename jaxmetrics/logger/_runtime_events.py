"""Note in the ledger the time that JAX and orbax take from the training."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxmetrics.record import Ledger

if TYPE_CHECKING:
    from jaxmetrics.core import RuntimeEvent

_EVENT_NAMES = {"trace": "compile", "lower": "compile"}
_MIN_SECONDS = 0.05


class RuntimeEvents:
    """Write an event for every compilation, checkpoint and restore of the process.

    Durations below 50 ms are added up and written as one event once their sum reaches
    that: a run may compile thousands of small programs.

    Args:
      ledger: Ledger that gets the events, for as long as it is alive.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stop: Callable[[], None] | None = None

    def begin(self) -> None:
        """Start listening if JAX is loaded; does not import it."""
        if self._stop is not None or "jax" not in sys.modules:
            return
        from jaxmetrics.core import on_runtime_event

        self._stop = on_runtime_event(_listener(weakref.ref(self._ledger)))

    def end(self) -> None:
        """Stop listening."""
        if self._stop is not None:
            self._stop()


def _listener(ledger: weakref.ref[Ledger]) -> Callable[[RuntimeEvent], None]:
    pending_seconds: dict[str, float] = {}

    def listen(event: RuntimeEvent) -> None:
        name, open_ledger = _EVENT_NAMES.get(event.kind, event.kind), ledger()
        if open_ledger is None:
            return
        seconds = pending_seconds.get(name, 0.0) + event.seconds
        if seconds < _MIN_SECONDS:
            pending_seconds[name] = seconds
            return
        pending_seconds.pop(name, None)
        function = {} if event.function is None else {"function": event.function}
        open_ledger.event(name, seconds=seconds, **function)

    return listen
