"""Programs that are compiled again in the middle of a training."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from jax import monitoring

_COMPILED = "/jax/core/compile/backend_compile_duration"
_MOST = 1000


class Compiled(NamedTuple):
    """A program that was compiled: its function's name, and how long it took."""

    function: str
    seconds: float


class CompileWatch:
    """Notes what JAX compiles, from its making until `close`.

    A function that is compiled again has new shapes, dtypes or shardings, or is made
    anew in each step. Outside of jit each operation is a function.

    Args:
      functions: A glob of the names of the functions to note, `"*step"`.

    Attributes:
      counts: How often each function was compiled.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> def double(x):
      ...     return 2 * x
      >>> with CompileWatch("double") as watch:
      ...     doubled = jax.jit(double)(jnp.ones(3)), jax.jit(double)(jnp.ones(5))
      >>> watch.counts, [compiled.function for compiled in watch.again()]
      ({'double': 2}, ['double'])
    """

    def __init__(self, functions: str = "*") -> None:
        """Begin to listen."""
        self.counts: dict[str, int] = {}
        self._again: deque[Compiled] = deque(maxlen=_MOST)
        listener = _listener(functions, self.counts, self._again)
        monitoring.register_event_duration_secs_listener(listener)
        self._end = weakref.finalize(self, _stop, listener)

    def again(self) -> list[Compiled]:
        """What was compiled for at least the second time since this was last asked."""
        found = []
        while self._again:
            found.append(self._again.popleft())
        return found

    def close(self) -> None:
        """Listen no more."""
        self._end()

    def __enter__(self) -> CompileWatch:
        """The watch itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


def _listener(
    functions: str, counts: dict[str, int], again: deque[Compiled]
) -> Callable[..., None]:
    def listen(event: str, seconds: float, **about: str | int) -> None:
        name = str(about.get("fun_name", "unknown"))
        name = name.removeprefix("jit(").removesuffix(")")
        if event != _COMPILED or not fnmatchcase(name, functions):
            return
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1:
            again.append(Compiled(name, seconds))

    return listen


def _stop(listener: Callable[..., None]) -> None:
    with contextlib.suppress(AttributeError, ValueError, AssertionError):
        monitoring.unregister_event_duration_listener(listener)
