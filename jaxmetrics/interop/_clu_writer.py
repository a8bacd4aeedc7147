"""A logger behind clu's interface of writers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_LOG = logging.getLogger("jaxmetrics")


def metric_writer(logger: TrainingLogger, split: str = "train") -> MetricWriter:
    """A logger as a `clu.metric_writers.MetricWriter`.

    clu's `periodic_actions`, `AsyncWriter`, `MultiWriter` and `write_values` take it.
    What is written goes to the logger, with its queue, its redaction and its rules:
    steps of scalars come in order, and names are keys of `split`.

    Args:
      logger: The logger, which stays the caller's to close.
      split: That of all values; make one writer for each.

    Example:
      >>> import tempfile, jaxmetrics as jm
      >>> with jm.TrainingLogger(root=tempfile.mkdtemp(), print_every=1) as logger:
      ...     writer = metric_writer(logger)
      ...     writer.write_scalars(1, {"loss": 0.5})
      ...     writer.write_scalars(1, {"steps_per_sec": 1234.5})
      [   0.0m] step=1 │ loss=0.500 │ steps_per_sec=1,234
    """
    return MetricWriter(logger, split)


class MetricWriter:
    """What `metric_writer` returns: the methods of clu's interface, by their names.

    Attributes:
      unsupported: How often each method was called that has nowhere to write to.
    """

    def __init__(self, logger: TrainingLogger, split: str) -> None:
        self.unsupported: Counter[str] = Counter()
        self._logger = logger
        self._split = split

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Log scalars, of which those of one step become one row.

        Raises:
          TypeError: A value is not one number.
          ValueError: As in `TrainingLogger.log_step`.
        """
        values = {name: _scalar(value) for name, value in scalars.items()}
        self._logger.log_step(step, values, split=self._split)

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Log images, `[height, width, channels]`, or several as `[n, ...]`.

        Of several each has its number after the name, `name/0`.
        """
        each: dict[str, Any] = {}
        for name, image in images.items():
            if np.ndim(image) != 4:
                each[name] = image
            elif len(image) == 1:
                each[name] = image[0]
            else:
                each |= {f"{name}/{n}": image[n] for n in range(len(image))}
        self._logger.log_images(step, each, split=self._split)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Log texts."""
        self._logger.log_text(step, texts, split=self._split)

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, Any],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Log histograms, where `enable_histograms` is set; they have 64 buckets."""
        del num_buckets
        self._logger.log_histograms(step, arrays, split=self._split)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Add to the run's configuration; see `TrainingLogger.log_hparams`."""
        self._logger.log_hparams(hparams)

    def write_summaries(
        self,
        step: int,
        values: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Count a call: these are messages of TensorFlow's plugins."""
        self._leave_out("write_summaries", values)

    def write_videos(self, step: int, videos: Mapping[str, Any]) -> None:
        """Count a call: no writer shows videos."""
        self._leave_out("write_videos", videos)

    def write_audios(
        self, step: int, audios: Mapping[str, Any], *, sample_rate: int
    ) -> None:
        """Count a call: no writer plays audio."""
        self._leave_out("write_audios", audios)

    def write_pointcloud(
        self,
        step: int,
        point_clouds: Mapping[str, Any],
        *,
        point_colors: Mapping[str, Any] | None = None,
        configs: Mapping[str, Any] | None = None,
    ) -> None:
        """Count a call: no writer shows point clouds."""
        self._leave_out("write_pointcloud", point_clouds)

    def flush(self) -> None:
        """Wait until what was written is on the disk; see `TrainingLogger.flush`."""
        self._logger.flush()

    def close(self) -> None:
        """Flush; other writers may share the logger, whose owner closes it."""
        self._logger.flush()

    def _leave_out(self, method: str, values: Mapping[str, Any]) -> None:
        self.unsupported[method] += 1
        if self.unsupported[method] == 1:
            _LOG.warning(
                "%s() has nowhere to write %s, which is left out and counted.",
                method,
                sorted(values),
            )


def _scalar(value: Any) -> Any:
    """A number as the logger takes it: clu's may be arrays of one element."""
    shape = getattr(value, "shape", ())
    return value.reshape(()) if shape and set(shape) == {1} else value
