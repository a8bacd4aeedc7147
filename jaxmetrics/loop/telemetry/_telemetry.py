"""Telemetry of a training in two halves: in the compiled step, and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.loop.telemetry._last_weights import LastWeights
from jaxmetrics.loop.telemetry._telemetry_config import TelemetryConfig
from jaxmetrics.processes import process_index
from jaxmetrics.record import (
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    AppendFile,
    dumps,
    iso,
)
from jaxmetrics.telemetry import batch_statistics, drift

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger


class TrainingTelemetry:
    """Collects what shows how a training goes, every so many updates.

    Inside of the compiled step `telemetry.collect` measures, at the same cadence; after
    it one call does the rest. Lines go to `telemetry.jsonl`, and with a logger its
    numbers to the writers too. What lies on devices is fetched on another thread.

        stats = jm.telemetry.collect(step, grads=grads, opt_state=opt_state, every=200)
        ...
        telemetry.on_batch_end(stats, step=step, batch_idx=i, epoch=e, params=params)

    Every process calls it; the first writes.

    Args:
      config: What to collect.
      logger: Gets the numbers, and has the folder where the configuration has none.
      groups: Groups of parameters, as in `telemetry.norms`, for the weights' change.
      clock: Seconds since the epoch.

    Raises:
      ValueError: There is no folder.
      WriterLockedError: Another process writes the file.
    """

    def __init__(
        self,
        config: TelemetryConfig | None = None,
        *,
        logger: TrainingLogger | None = None,
        groups: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file."""
        self.config = config or TelemetryConfig()
        self._logger, self._groups, self._clock = logger, groups, clock
        self._file: AppendFile | None = None
        self._holdout: tuple[Any, np.ndarray, Callable[..., Any]] | None = None
        self._written: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "jaxmetrics-telemetry")
        if not self.config.enabled:
            return
        folder = self.config.output_dir or (
            logger and logger.run_dir / TELEMETRY_FOLDER
        )
        if folder is None:
            raise ValueError(
                "TrainingTelemetry got no output_dir in its config and no logger, "
                "expected one of them. Pass logger=, whose run it then belongs to."
            )
        folder = Path(folder)
        self._weights = LastWeights(self.config.weights_on, folder / "last_checkpoint")
        if process_index() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = AppendFile(folder / TELEMETRY_JSONL)

    def set_holdout_data(
        self, inputs: Any, labels: Any, apply_fn: Callable[[Any, Any], Any]
    ) -> None:
        """Keep the first `holdout_size` examples, to be predicted at each collection.

        Args:
          inputs: An array or a tree of them, `[examples, ...]`, the same on all
            processes.
          labels: Integers `[examples]`.
          apply_fn: `apply_fn(params, inputs)` gives logits `[examples, classes]`, or
            of one class `[examples]`, which predict 1 where they are positive.
        """
        size = self.config.holdout_size
        kept = jax.tree.map(lambda x: np.asarray(x[:size]), inputs)
        self._holdout = kept, np.asarray(labels[:size]), _predictor(apply_fn)

    def on_batch_end(
        self,
        stats: Mapping[str, Any] | None,
        *,
        step: int,
        batch_idx: int,
        epoch: int,
        params: Any = None,
        batch: Any = None,
    ) -> bool:
        """Collect, if the number of completed updates is a multiple of the cadence.

        Args:
          stats: What `telemetry.collect` gave in this step.
          step: Optimizer updates completed.
          batch_idx: The batch's place in its epoch, for the record.
          epoch: The epoch, for the record.
          params: The weights after the update; without them neither their change nor
            predictions are recorded.
          batch: A mapping with `label_field`, or the labels.

        Returns:
          Whether it collected.

        Raises:
          KeyError: The batch has no labels of the configured name.
          ValueError: The step did not collect its statistics.
          OSError: An earlier line could not be written.
        """
        config, stats = self.config, stats or {}
        if not config.enabled or step % config.collect_every_n:
            return False
        found: dict[str, Any] = {}
        if config.track_gradients and "grad/norm" in stats:
            found["gradient_norm"] = _under(stats, "grad/norm")
        if config.track_weight_delta and params is not None:
            found["weight_delta"] = _under(self._weight_delta(params), "delta/norm")
        if config.track_learning_rates and any(k.startswith("lr/") for k in stats):
            found["learning_rates"] = _rates(stats)
        if config.track_holdout_logits and self._holdout and params is not None:
            inputs, labels, predict = self._holdout
            found["holdout_logits"] = predict(params, inputs, labels)
        if config.track_batch_stats and batch is not None:
            found["batch_stats"] = self._batch_statistics(batch)
        about = {"batch_idx": batch_idx, "epoch": epoch}
        about |= {"timestamp": iso(self._clock())}
        if self._logger is not None:
            self._logger.log_step(step, _scalars(stats, found))
        self.flush()
        collected = stats.get("health/collected", True)
        self._written = self._thread.submit(self._write, about, found, collected)
        return True

    def flush(self) -> None:
        """Wait until the lines so far are written.

        Raises:
          ValueError: The step of a line did not collect its statistics.
          OSError: A line could not be written.
        """
        written, self._written = self._written, None
        if written is not None:
            written.result()
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush, and let the file go; a second call does nothing."""
        try:
            self.flush()
        finally:
            self._thread.shutdown()
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def __enter__(self) -> TrainingTelemetry:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: where the file ends."""
        self.flush()
        return {"position": None if self._file is None else self._file.position}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`; what was collected later is kept beside the file."""
        self.flush()
        if self._file is not None and state["position"] is not None:
            self._file.cut(state["position"], "restore")

    def _weight_delta(self, params: Any) -> Mapping[str, Any]:
        last = self._weights.load(params)
        delta = {} if last is None else drift(params, last, groups=self._groups)
        self._weights.save(params)
        return delta

    def _batch_statistics(self, batch: Any) -> dict[str, Any]:
        field = self.config.label_field
        if isinstance(batch, Mapping):
            if field not in batch:
                raise KeyError(
                    f"on_batch_end() got a batch with {sorted(map(str, batch))}, "
                    f"expected {field!r}. Set label_field= to the name of its labels."
                )
            batch = batch[field]
        found = batch_statistics(batch, self.config.label_classes)
        shares = {
            f"{field}_{label}_pct": 100 * found[f"batch/share/{label}"]
            for label in range(self.config.label_classes)
        }
        return shares | {"batch_size": found["batch/size"]}

    def _write(self, about: dict[str, Any], found: Any, collected: Any) -> None:
        if not np.asarray(collected):
            raise ValueError(
                f"on_batch_end() got statistics that step did not collect, at batch "
                f"{about['batch_idx']} of epoch {about['epoch']}. Give collect() "
                f"every={self.config.collect_every_n} and the same step."
            )
        if self._file is not None:
            self._file.write_line(dumps(about | _fetched(found)))


def _fetched(found: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values, in the order in which they were found."""
    return {
        name: _fetched(x) if isinstance(x, Mapping) else np.asarray(x).tolist()
        for name, x in found.items()
    }


def _under(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A value as `overall`, and those below it by the rest of their keys."""
    groups = {k.removeprefix(f"{key}/"): v for k, v in values.items()}
    groups = {k: v for k, v in groups.items() if f"{key}/{k}" in values}
    return {"overall": values[key], **groups} if key in values else {}


def _rates(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Learning rates by number, and again by name where they have one."""
    rates = {k.removeprefix("lr/"): v for k, v in stats.items() if k.startswith("lr/")}
    numbered = {f"group_{n}": rate for n, rate in enumerate(rates.values())}
    return numbered | {name: rate for name, rate in rates.items() if name != "lr"}


def _scalars(stats: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What of a collection the writers can show, by key."""
    delta = found.get("weight_delta", {})
    logged = {k: v for k, v in stats.items() if k != "health/collected"}
    for name, value in delta.items():
        logged["delta/norm" if name == "overall" else f"delta/norm/{name}"] = value
    if "holdout_logits" in found:
        logged["holdout/accuracy"] = found["holdout_logits"]["accuracy"]
    return logged


def _predictor(apply_fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    @jax.jit
    def predict(params: Any, inputs: Any, labels: Any) -> dict[str, Any]:
        logits = apply_fn(params, inputs)
        single = logits.ndim == labels.ndim
        chosen = logits > 0 if single else jnp.argmax(logits, -1)
        predictions = chosen.astype(labels.dtype)
        return {
            "logits": logits,
            "labels": labels,
            "predictions": predictions,
            "accuracy": jnp.mean(predictions == labels),
        }

    def in_order(*arguments: Any) -> dict[str, Any]:
        found = predict(*arguments)
        names = ("logits", "labels", "predictions", "accuracy")
        return {name: found[name] for name in names}

    return in_order
