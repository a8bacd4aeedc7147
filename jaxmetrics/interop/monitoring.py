"""Log the scalars that a program reports with `jax.monitoring.record_scalar`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from jaxmetrics.core import on_scalar
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
        self._stop = weakref.finalize(self, on_scalar(scalars.log_scalar))

    def close(self) -> None:
        """Unregister."""
        self._stop()

    def __enter__(self) -> ScalarListener:
        """Return the listener."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the listener."""
        self.close()
