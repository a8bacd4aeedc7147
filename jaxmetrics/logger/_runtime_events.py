"""What JAX and orbax tell of their own time: compiling, saving, restoring."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxmetrics.record import Ledger

if TYPE_CHECKING:
    from jaxmetrics.core import RuntimeEvent

_NAMES = {"trace": "compile", "lower": "compile"}
_LEAST_SECONDS = 0.05


class RuntimeEvents:
    """Puts into a ledger how long compiling, saving and restoring held the training.

    Programs that compile in less than 50 ms are added up, and told together.

    Args:
      ledger: Gets the events, for as long as it is there.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stop: Callable[[], None] | None = None

    def begin(self) -> None:
        """Listen from now on, if JAX is there; asking does not import it."""
        if self._stop is not None or "jax" not in sys.modules:
            return
        from jaxmetrics.core import on_runtime_event

        self._stop = on_runtime_event(_listener(weakref.ref(self._ledger)))

    def end(self) -> None:
        """Listen no more."""
        if self._stop is not None:
            self._stop()


def _listener(ledger: weakref.ref[Ledger]) -> Callable[[RuntimeEvent], None]:
    small: dict[str, float] = {}

    def listen(event: RuntimeEvent) -> None:
        name, open_ledger = _NAMES.get(event.kind, event.kind), ledger()
        if open_ledger is None:
            return
        small[name] = small.get(name, 0.0) + event.seconds
        if small[name] < _LEAST_SECONDS:
            return
        function = {} if event.function is None else {"function": event.function}
        open_ledger.event(name, seconds=small.pop(name), **function)

    return listen
