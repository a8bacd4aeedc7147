"""Detect functions that are compiled again during training."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from jaxmetrics.core import RuntimeEvent, on_runtime_event

_MAX_RECOMPILED = 1000


class Compilation(NamedTuple):
    """One compilation of a program: name of its function, and seconds it took."""

    function: str
    seconds: float


class CompileWatch:
    """Record which functions JAX compiles, from construction until `close`.

    A function is compiled again for new shapes, dtypes or shardings, or because it is
    defined anew in each step. Outside jit each operation is a function.

    Args:
      functions: Glob of the names of functions to record, such as `"*step"`.

    Attributes:
      counts: Number of compilations of each function.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> def double(x):
      ...     return 2 * x
      >>> with CompileWatch("double") as watch:
      ...     doubled = jax.jit(double)(jnp.ones(3)), jax.jit(double)(jnp.ones(5))
      >>> watch.counts, [compilation.function for compilation in watch.recompiled()]
      ({'double': 2}, ['double'])
    """

    def __init__(self, functions: str = "*") -> None:
        """Start to listen."""
        self.counts: dict[str, int] = {}
        self._recompiled: deque[Compilation] = deque(maxlen=_MAX_RECOMPILED)
        listener = _listener(functions, self.counts, self._recompiled)
        self._stop = weakref.finalize(self, on_runtime_event(listener))

    def recompiled(self) -> list[Compilation]:
        """Return the repeated compilations since the last call, at most 1000."""
        recompiled = []
        while self._recompiled:
            recompiled.append(self._recompiled.popleft())
        return recompiled

    def close(self) -> None:
        """Stop listening."""
        self._stop()

    def __enter__(self) -> CompileWatch:
        """Return the watch."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the watch."""
        self.close()


# A function and not a method: the watch could not be garbage collected otherwise,
# since JAX holds its listeners.
def _listener(
    functions: str, counts: dict[str, int], recompiled: deque[Compilation]
) -> Callable[[RuntimeEvent], None]:
    def listen(event: RuntimeEvent) -> None:
        name = event.function or "unknown"
        if event.kind != "compile" or not fnmatchcase(name, functions):
            return
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1:
            recompiled.append(Compilation(name, event.seconds))

    return listen
