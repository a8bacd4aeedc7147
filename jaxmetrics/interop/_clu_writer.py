"""Adapter that makes a logger a writer of clu."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.interop._single_numbers import single_numbers
from jaxmetrics.record import check_step

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_LOG = logging.getLogger("jaxmetrics")
_MAX_BATCH = 64  # of log_images


def metric_writer(logger: TrainingLogger, split: str | None = None) -> MetricWriter:
    """Return a writer with the interface of `clu.metric_writers.MetricWriter`.

    clu's `periodic_actions`, `AsyncWriter`, `MultiWriter` and `write_values` accept it.
    Values go to the logger, with its queue and redaction. By default names stay as they
    are, `train_loss`, `eval_loss` and `steps_per_sec`, as in clu's own writers; those
    of an evaluation are records of that split. Reports and plots know these names too.

    Args:
      logger: Logger, which the caller closes.
      split: Split of all values, whose names then become keys of it: `loss` is
        `val/loss` in split `val`. Default None, which keeps the names.

    Example:
      >>> import tempfile, jaxmetrics as jm
      >>> with jm.TrainingLogger(root=tempfile.mkdtemp(), print_every=1) as logger:
      ...     writer = metric_writer(logger)
      ...     writer.write_scalars(1, {"train_loss": 0.5})
      ...     writer.write_scalars(1, {"steps_per_sec": 1234.5})
      [   0.0m] step=1 │ train_loss=0.500 │ steps_per_sec=1,234
    """
    return MetricWriter(logger, split)


class MetricWriter:
    """Writer with clu's interface; use `metric_writer`.

    Attributes:
      unsupported: Number of calls of each method whose values are not recorded.
    """

    def __init__(self, logger: TrainingLogger, split: str | None) -> None:
        self.unsupported: Counter[str] = Counter()
        self._logger = logger
        self._split = split

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Log scalars; several calls for a step, in any order of steps, are joined.

        Raises:
          TypeError: A value is not a single number.
          ValueError: As `TrainingLogger.log_step`.
        """
        if not isinstance(scalars, Mapping):
            raise TypeError(
                f"write_scalars() got a {type(scalars).__name__}, expected a mapping "
                "of numbers by name. Pass metrics.compute(), or log the metrics with "
                "logger.log_step(step, metrics)."
            )
        step = check_step(step, "write_scalars")
        self._logger.log_step(step, single_numbers(scalars), split=self._split)

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Log images, `[height, width, channels]` or `[n, height, width, channels]`.

        Of more than 64 images the others have the index of their first after the name:
        `name/64`.
        """
        batches: dict[str, Any] = {}
        for name, image in images.items():
            batches[name] = image
            if np.ndim(image) == 4 and len(image) > _MAX_BATCH:
                batches[name] = image[:_MAX_BATCH]
                for start in range(_MAX_BATCH, len(image), _MAX_BATCH):
                    batches[f"{name}/{start}"] = image[start : start + _MAX_BATCH]
        self._logger.log_images(step, batches, split=self._split)

    def write_audios(
        self, step: int, audios: Mapping[str, Any], *, sample_rate: int
    ) -> None:
        """Log audio, `[frames, channels]` or `[n, frames, channels]`.

        Several have their index after the name: `name/0`.
        """
        single: dict[str, Any] = {}
        for name, audio in audios.items():
            if np.ndim(audio) != 3:
                single[name] = audio
            elif len(audio) == 1:
                single[name] = audio[0]
            else:
                single |= {f"{name}/{n}": audio[n] for n in range(len(audio))}
        self._logger.log_audio(step, single, sample_rate=sample_rate, split=self._split)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Log texts."""
        self._logger.log_text(step, texts, split=self._split)

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, Any],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Log histograms of 64 bins, if `enable_histograms` is set."""
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
        """Count the call; messages of TensorFlow plugins are not recorded."""
        self._count_unsupported("write_summaries", values)

    def write_videos(self, step: int, videos: Mapping[str, Any]) -> None:
        """Count the call; videos are not recorded."""
        self._count_unsupported("write_videos", videos)

    def write_pointcloud(
        self,
        step: int,
        point_clouds: Mapping[str, Any],
        *,
        point_colors: Mapping[str, Any] | None = None,
        configs: Mapping[str, Any] | None = None,
    ) -> None:
        """Count the call; point clouds are not recorded."""
        self._count_unsupported("write_pointcloud", point_clouds)

    def flush(self) -> None:
        """Wait until all values are on disk; see `TrainingLogger.flush`."""
        self._logger.flush()

    def close(self) -> None:
        """Flush the logger, which stays open for its other users."""
        self._logger.flush()

    def _count_unsupported(self, method: str, values: Mapping[str, Any]) -> None:
        self.unsupported[method] += 1
        if self.unsupported[method] == 1:
            _LOG.warning(
                "%s() cannot record %s; the values are left out and counted.",
                method,
                sorted(values),
            )
