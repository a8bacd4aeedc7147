"""Updates in jit with donated state, and what they launch and compile."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_COMPILE = "/jax/core/compile/backend_compile_duration"
_LAUNCH = re.compile(r"\w*LoadedExecutable::Execute(HelperOnSingleDevice)?( \(.*\))?$")


def updating(
    update: Callable[..., Any], state: Any, outputs: Any
) -> tuple[Callable[[], object], dict[str, float]]:
    """Compile an update with donated state.

    Args:
      update: Function `(state, outputs) -> state`.
      state: First state.
      outputs: A batch.

    Returns:
      A function that updates the state once and waits, and the megabytes of
      temporaries.
    """
    import jax
    import jax.numpy as jnp

    state = jax.tree.map(jnp.array, state)
    step = jax.jit(update, donate_argnums=0).lower(state, outputs).compile()

    def run() -> object:
        nonlocal state
        state = step(state, outputs)
        return jax.block_until_ready(state)

    memory: Any = step.memory_analysis()
    return run, {"MB temporary": memory.temp_size_in_bytes / 1e6}


def update_of(state: Any, outputs: dict[str, Any]) -> Any:
    """Update a metric or a Collection."""
    return state.update(**outputs)


def as_one(leaves: list[Any]) -> Any:
    """Return arrays of 32 bits as one array of their bits."""
    import jax.numpy as jnp
    from jax import lax

    words = [lax.bitcast_convert_type(x, jnp.uint32).ravel() for x in leaves]
    return jnp.concatenate(words)


class Compilations:
    """Count the programs that XLA compiles inside a `with` block."""

    def __enter__(self) -> Compilations:
        from jax import monitoring

        self.count = 0
        monitoring.register_event_duration_secs_listener(self._on_event)
        return self

    def __exit__(self, *error: object) -> None:
        from jax import monitoring

        monitoring.unregister_event_duration_listener(self._on_event)

    def _on_event(self, event: str, duration_secs: float, **details: Any) -> None:
        self.count += event == _COMPILE


def launches(run: Callable[[], object]) -> int:
    """Return how many programs a call launches, as the profiler of jax sees them."""
    import jax

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(path)).planes
        events = [e.name for p in planes for line in p.lines for e in line.events]
    return sum(_LAUNCH.match(name) is not None for name in events)
