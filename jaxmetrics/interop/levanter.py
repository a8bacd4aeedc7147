"""Use a logger as a tracker of levanter."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxmetrics.processes import process_index
from jaxmetrics.record import check_step

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

__all__ = ["Tracker"]

_LOG = logging.getLogger("jaxmetrics")
_STATISTICS = (
    "min",
    "max",
    "num",
    "nonzero_count",
    "sum",
    "sum_squares",
    "mean",
    "variance",
    "rms",
)


class Tracker:
    """Tracker with the interface of `levanter.tracker.Tracker`.

    Names stay as levanter gives them: `train/loss`, `eval/loss`, `throughput/mfu`.
    `SummaryStats` become scalars below their name and a histogram, as in levanter's
    other trackers; arrays become histograms, strings and other objects texts.
    (Histograms need `enable_histograms` of the logger.)

    Every process of a pod makes one, as levanter does.

    Args:
      logger: Logger, which the caller closes.
      name: Name under which `levanter.tracker.get_tracker` finds it.

    Example:
      >>> import tempfile, jaxmetrics as jm
      >>> with jm.TrainingLogger(root=tempfile.mkdtemp()) as logger:
      ...     tracker = Tracker(logger)
      ...     tracker.log({"train/loss": 0.5, "throughput/mfu": 0.4}, step=100)
      ...     tracker.finish()
      [   0.0m] step=100 │ loss=0.500 │ throughput/mfu=40.0%
    """

    def __init__(self, logger: TrainingLogger, name: str = "jaxmetrics") -> None:
        """Log to a logger."""
        self.name = name
        self._logger = logger
        self._step: int | None = None

    def log(
        self,
        metrics: Mapping[str, Any],
        *,
        step: int | None,
        commit: bool | None = None,
    ) -> None:
        """Log values of one step; without a step, of the last one logged."""
        del commit
        if step is not None:  # within jit it is an array
            step = step.item() if isinstance(step, jax.Array) else step
            self._step = check_step(step, "log")
        self._record(metrics, step=self._step, split=None)

    def log_summary(self, metrics: Mapping[str, Any]) -> None:
        """Log values of the whole run, as `summary/<name>`."""
        self._record(metrics, step=self._step or 0, split="summary")

    def log_hyperparameters(self, hparams: Mapping[str, Any]) -> None:
        """Add to the run's configuration; see `TrainingLogger.log_hparams`."""
        self._logger.log_hparams(hparams)

    def log_artifact(
        self, artifact_path: Any, *, name: str | None = None, type: str | None = None
    ) -> None:
        """Copy a file or folder to `artifacts/` in the run directory, on process 0.

        An artifact of the same name is replaced. One that cannot be copied is named in
        a warning.
        """
        del type
        run_dir = self._logger.run_dir
        if run_dir is None or process_index() != 0:
            return
        source = Path(artifact_path)
        folder = Path(run_dir, "artifacts")
        target = folder / _file_name(name or source.name)
        try:
            folder.mkdir(exist_ok=True)
            is_folder = source.resolve(strict=True).is_dir()
            if target.is_dir():
                shutil.rmtree(target)
            elif is_folder:
                target.unlink(missing_ok=True)
            if is_folder:
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        except OSError as error:
            _LOG.warning("log_artifact() could not copy %s: %s", source, error)

    def log_html(
        self,
        key: str,
        html_path: Any,
        *,
        step: int | None,
        commit: bool | None = None,
    ) -> None:
        """Copy a page to `artifacts/<key>-<step>.html`; see `log_artifact`."""
        del commit
        suffix = "" if step is None else f"-{step}"
        self.log_artifact(html_path, name=f"{key}{suffix}.html")

    def finish(self) -> None:
        """Flush the logger, which stays open for its other users."""
        self._logger.flush()

    # levanter's BackgroundTracker calls these to fetch values on the calling thread.

    def _prepare_log(self, metrics: Mapping[str, Any]) -> Any:
        return jax.device_get(metrics)

    _prepare_summary = _prepare_hyperparameters = _prepare_log

    def _record(
        self, metrics: Mapping[str, Any], *, step: int | None, split: str | None
    ) -> None:
        values: dict[str, dict[str, Any]] = {"scalar": {}, "histogram": {}, "text": {}}
        for name, value in _flatten(metrics):
            kind, plain = _kind_of(value)
            values[kind][name] = plain
        media_step = 0 if step is None else step
        logger, texts, arrays = self._logger, values["text"], values["histogram"]
        with contextlib.ExitStack() as stack:  # all are logged, also after an error
            if texts:
                stack.callback(logger.log_text, media_step, texts, split=split)
            if arrays:
                stack.callback(logger.log_histograms, media_step, arrays, split=split)
            if values["scalar"]:
                logger.log_step(step, values["scalar"], split=split)


def _flatten(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings and of summary statistics by name."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}/")
        elif all(hasattr(value, part) for part in (*_STATISTICS, "histogram")):
            for part in _STATISTICS:
                yield f"{prefix}{name}/{part}", getattr(value, part)
            if value.histogram is not None:
                histogram = value.histogram.to_numpy_histogram()
                yield f"{prefix}{name}/histogram", tuple(histogram)
        else:
            yield f"{prefix}{name}", value


def _kind_of(value: Any) -> tuple[str, Any]:
    """Return whether a value is a scalar, a histogram or a text, and its form as such.

    A pair of arrays is a histogram of levanter: counts and edges.
    """
    if value is None or isinstance(value, Real):
        return "scalar", value
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        if value.dtype.kind in "OSUMmc":
            return "text", str(value)
        return ("scalar" if value.size == 1 else "histogram"), value
    if isinstance(value, tuple) and all(isinstance(x, np.ndarray) for x in value):
        return "histogram", value
    return "text", str(value)


def _file_name(name: str) -> str:
    """Return a name that stays in its folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-200:].lstrip(".") or "artifact"
