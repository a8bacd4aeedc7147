"""Log the scalars that a program reports with `jax.monitoring.record_scalar`."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from jaxmetrics.interop._scalar_events import ScalarEvents

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

__all__ = ["ScalarListener"]


class ScalarListener:
    """Log the scalars of `jax.monitoring`, from construction until `close`.

    Each scalar is one record under its own name, without a leading slash. Names of an
    evaluation (`eval/loss`) are records of that split. A scalar without `step=` belongs
    to the step of the last one that had it.

    A process that is forked meanwhile logs nothing. Close the listener before the
    logger, as a `with` statement does that names both.

    Args:
      logger: Logger, which the caller closes.
      events: Glob, or tuple of globs, of the names to log, without a leading slash.
        Default: all but those that JAX and orbax report about themselves (`jax/*`).

    Example:
      >>> import jax, tempfile, jaxmetrics as jm
      >>> logger = jm.TrainingLogger(root=tempfile.mkdtemp())
      >>> with logger, ScalarListener(logger):
      ...     jax.monitoring.record_scalar("train/loss", 0.5, step=100)
      [   0.0m] step=100 │ loss=0.500
    """

    def __init__(
        self, logger: TrainingLogger, events: str | tuple[str, ...] | None = None
    ) -> None:
        """Register with JAX."""
        scalars = ScalarEvents(logger, events)
        # JAX keeps what is registered alive, so that must not be the object itself.
        self._stop = weakref.finalize(self, _listen(scalars))

    def close(self) -> None:
        """Unregister."""
        self._stop()

    def __enter__(self) -> ScalarListener:
        """Return the listener."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the listener."""
        self.close()


def _listen(scalars: ScalarEvents) -> Callable[[], None]:
    """Register a destination of scalars; return the function that ends it."""

    def listener(event: str, value: Any, **attributes: Any) -> None:
        scalars.log_scalar(event, value, **attributes)

    def stop() -> None:
        # clear_event_listeners() may have removed it before.
        with contextlib.suppress(AssertionError, ValueError):
            jax.monitoring.unregister_scalar_listener(listener)

    jax.monitoring.register_scalar_listener(listener)
    return stop
