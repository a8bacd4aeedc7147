"""Log scalars that are reported by name, one at a time, with the step as an option.

`jax.monitoring` and the logging backends of metrax have this form. Names are kept: the
event `/eval/loss` is the key `eval/loss`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from jaxmetrics.interop._single_numbers import single_numbers
from jaxmetrics.record import check_step

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_OWN_OF_JAX = "jax/*"


class ScalarEvents:
    """Destination of named scalars; see `metrax.LoggingBackend`.

    Args:
      logger: Logger, which the caller closes.
      events: Glob, or tuple of globs, of the names to log, without a leading slash.
        Default: all but those that JAX and orbax report about themselves (`jax/*`).
    """

    def __init__(
        self, logger: TrainingLogger, events: str | tuple[str, ...] | None = None
    ) -> None:
        self._logger: TrainingLogger | None = logger
        self._globs = (events,) if isinstance(events, str) else events
        self._step: int | None = None

    def log_scalar(self, event: str, value: Any, **attributes: Any) -> None:
        """Log one scalar.

        Args:
          event: Name; leading slashes are removed.
          value: Number, or array of one element.
          attributes: `step`, the number of completed optimizer updates; others are
            ignored. Without it the value belongs to the step of the last call that had
            one.

        Raises:
          TypeError: The value is not a number, or the step not an integer.
          ValueError: As `TrainingLogger.log_step`.
        """
        logger, name = self._logger, str(event).lstrip("/")
        if logger is None or not self._takes(name):
            return
        values = single_numbers({name: value})
        if (step := attributes.get("step")) is not None:
            step = step.item() if hasattr(step, "item") else step
            self._step = check_step(step, "log_scalar")
            logger.log_step(self._step, values, split=None)
            return
        # A measurement that knows no step, such as the duration of a checkpoint, must
        # not count as a train step: its first part is a split, which keeps the name.
        head, slash, _ = name.partition("/")
        split = head if slash and head != "train" else None
        logger.log_step(self._step, values, split=split)

    def close(self) -> None:
        """Flush the logger, which stays open; later calls are ignored."""
        logger, self._logger = self._logger, None
        if logger is not None:
            logger.flush()

    def _takes(self, name: str) -> bool:
        if self._globs is None:
            return not fnmatchcase(name, _OWN_OF_JAX)
        return any(fnmatchcase(name, glob) for glob in self._globs)
