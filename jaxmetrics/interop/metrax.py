"""Use a logger as a logging backend of metrax, as trainers such as tunix take them.

Metrics of metrax become metrics of jaxmetrics with `jaxmetrics.interop.clu.from_clu`.
"""

from __future__ import annotations

from jaxmetrics.interop._scalar_events import ScalarEvents

__all__ = ["LoggingBackend"]


class LoggingBackend(ScalarEvents):
    """Logging backend with the interface of `metrax.logging.LoggingBackend`.

    Each scalar is one record, under the name that it has in the other backends of
    metrax: `/train/loss` is `train/loss`. Names of an evaluation (`eval/loss`) are
    records of that split.

    Args:
      logger: Logger, which the caller closes.
      events: Glob, or tuple of globs, of the names to log, without a leading slash.
        Default: all but those that JAX and orbax report about themselves (`jax/*`).

    Example:
      >>> import tempfile, jaxmetrics as jm
      >>> with jm.TrainingLogger(root=tempfile.mkdtemp()) as logger:
      ...     backend = LoggingBackend(logger)
      ...     backend.log_scalar("/train/loss", 0.5, step=100)
      ...     backend.close()
      [   0.0m] step=100 │ loss=0.500
    """
