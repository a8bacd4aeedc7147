"""What JAX and orbax tell of their own time: compiling, saving, restoring."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable

from jaxmetrics.record import Ledger

_EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "compile",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "compile",
    "/jax/core/compile/backend_compile_duration": "compile",
    "/jax/orbax/write/blocking_duration_secs": "checkpoint",
    "/jax/orbax/write/async/blocking_duration_secs": "checkpoint",
    "/jax/orbax/read/total_duration_secs": "restore",
}
_LEAST_SECONDS = 0.05


class RuntimeEvents:
    """Puts into a ledger how long compiling, saving and restoring held the training.

    Programs that compile in less than 50 ms are added up, and told together.

    Args:
      ledger: Gets the events, for as long as it is there.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._listener: Callable[..., None] | None = None

    def begin(self) -> None:
        """Listen from now on, if JAX is there; asking does not import it."""
        if self._listener is not None or "jax" not in sys.modules:
            return
        from jax import monitoring

        self._listener = _listener(weakref.ref(self._ledger))
        monitoring.register_event_duration_secs_listener(self._listener)

    def end(self) -> None:
        """Listen no more."""
        if self._listener is None:
            return
        from jax import monitoring

        with contextlib.suppress(AttributeError, ValueError, AssertionError):
            monitoring.unregister_event_duration_listener(self._listener)


def _listener(ledger: weakref.ref[Ledger]) -> Callable[..., None]:
    small: dict[str, float] = {}

    def listen(event: str, seconds: float, **about: str | int) -> None:
        name, here = _EVENTS.get(event), ledger()
        if name is None or here is None:
            return
        small[name] = small.get(name, 0.0) + seconds
        if small[name] < _LEAST_SECONDS:
            return
        function = {"function": about["fun_name"]} if "fun_name" in about else {}
        here.event(name, seconds=small.pop(name), **function)

    return listen
