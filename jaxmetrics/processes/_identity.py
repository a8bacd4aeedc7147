"""Which process this is, and what the first one tells the others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from jaxmetrics.record import dumps, loads

T = TypeVar("T")


def known() -> bool:
    """Whether JAX can say which process this is without being started by the question.

    Asking earlier would start its backend, after which `jax.distributed.initialize`
    is refused.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return False
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", bool)
    return bool(jax.distributed.is_initialized() or started())


def place() -> tuple[int, int]:
    """The index of this process and how many there are; (0, 1) when not known."""
    if not known():
        return 0, 1
    jax = sys.modules["jax"]
    return jax.process_index(), jax.process_count()


def devices() -> dict[str, Any] | None:
    """The accelerators of the whole run, or None when not known."""
    if not known():
        return None
    jax = sys.modules["jax"]
    return {
        "kind": jax.devices()[0].device_kind,
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }


def first_tells(
    make: Callable[[], tuple[T, dict[str, Any]]],
) -> tuple[T | None, dict[str, Any]]:
    """What the first process makes, and what it tells the others about it.

    Called by all of them; `make` runs on the first one only, and its error is an error
    everywhere, so that nobody waits for it.

    Args:
      make: Returns something, and plain values that describe it.

    Returns:
      The thing, or None on the others, and the plain values.

    Raises:
      MissingHostError: A process does not call it, in time.
    """
    index, count = place()
    if count == 1:
        return make()
    from jaxmetrics.processes._exchange import exchange

    made, message, failure = None, {}, None
    if index == 0:
        try:
            made, told = make()
            message = {"told": told}
        except Exception as error:
            message, failure = {"error": f"{type(error).__name__}: {error}"}, error
    heard: Any = loads(exchange("run", dumps(message).encode())[0])
    if failure is not None:
        raise failure
    if "error" in heard:
        raise RuntimeError(f"Process 0 could not begin the run: {heard['error']}")
    return made, heard["told"]
