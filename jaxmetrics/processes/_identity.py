"""Index and devices of this process, and results that process 0 shares.

Nothing here imports jax: a program that only writes records needs none, and one that
has imported jax decides itself when its backend starts.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from jaxmetrics.record import dumps, loads

T = TypeVar("T")

_LOG = logging.getLogger("jaxmetrics")
_QUIET_SECONDS = 5.0
_WAITING = (
    "jaxmetrics is waiting for the other processes of jax.distributed to start their "
    "devices. Every process creates the TrainingLogger, not only the first one."
)


def identity_is_known() -> bool:
    """Return whether JAX knows the index of this process; the test starts no backend.

    Asking JAX earlier would start its backend, after which
    `jax.distributed.initialize` is refused.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return False
    from jaxmetrics.core import backends_are_initialized

    return bool(jax.distributed.is_initialized() or backends_are_initialized())


def process_index() -> int:
    """Return the index of this process, 0 if not known."""
    return _start_backends().process_index() if identity_is_known() else 0


def process_count() -> int:
    """Return the number of processes of the run, 1 if not known."""
    return sys.modules["jax"].process_count() if identity_is_known() else 1


def _start_backends() -> Any:
    """Return jax once its backends are started, and say if that waits.

    With `jax.distributed` each process waits there for all others.
    """
    jax = sys.modules["jax"]
    from jaxmetrics.core import backends_are_initialized

    if not backends_are_initialized():
        timer = threading.Timer(_QUIET_SECONDS, _LOG.warning, [_WAITING])
        timer.daemon = True
        timer.start()
        try:
            jax.process_index()
        finally:
            timer.cancel()
    return jax


def device_summary() -> dict[str, Any] | None:
    """Return kind and number of the devices of all processes, or None if not known."""
    if not identity_is_known():
        return None
    jax = sys.modules["jax"]
    return {
        "kind": jax.devices()[0].device_kind,
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }


def run_on_first(
    function: Callable[[], tuple[T, dict[str, Any]]],
    tag: str = "run",
) -> tuple[T | None, dict[str, Any]]:
    """Run a function on process 0 and send its plain values to all processes.

    Every process calls it. An error of the function is raised on all of them, so that
    none waits for process 0.

    Args:
      function: Returns a result, which stays on process 0, and plain values.
      tag: Subject of the exchange, for errors and to keep it apart from others.

    Returns:
      The result, or None on other processes, and the plain values.

    Raises:
      RuntimeError: On other processes, if the function raises on process 0.
      MissingHostError: A process does not call it in time.
    """
    if process_count() == 1:
        return function()
    from jaxmetrics.processes._exchange import exchange

    result, message, failure = None, {}, None
    if process_index() == 0:
        try:
            result, values = function()
            message = {"values": values}
        except Exception as error:
            message, failure = {"error": f"{type(error).__name__}: {error}"}, error
    received: Any = loads(exchange(tag, dumps(message).encode())[0])
    if failure is not None:
        raise failure
    if "error" in received:
        raise RuntimeError(f"Process 0 failed in {tag!r}: {received['error']}")
    return result, received["values"]
