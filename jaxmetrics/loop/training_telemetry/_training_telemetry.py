"""Collect telemetry of a training every N steps, in the step and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.loop.training_telemetry._config import TelemetryConfig
from jaxmetrics.loop.training_telemetry._weight_snapshot import WeightSnapshot
from jaxmetrics.processes import process_index
from jaxmetrics.record import (
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    AppendFile,
    dumps,
    iso_time,
)
from jaxmetrics.telemetry import batch_statistics, drift

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger


class TrainingTelemetry:
    """Collect statistics of a training every `config.collect_every_n` updates.

    Inside the compiled step `telemetry.collect` measures gradients and learning rates
    with the same period; after the step `on_batch_end` adds the change of the weights,
    predictions and batch statistics. Lines are written to `telemetry.jsonl`, and with a
    logger the scalars are logged too. Arrays are fetched in another thread.

        stats = jm.telemetry.collect(step, grads=grads, opt_state=opt_state, every=200)
        ...
        telemetry.on_batch_end(stats, step=step, batch_idx=i, epoch=e, params=params)

    Every process makes the same calls; process 0 writes.

    Args:
      config: Statistics to collect. Default: `TelemetryConfig()`.
      logger: Logger that receives the scalars; its run directory is the default
        location of the file.
      groups: Groups of parameters for the change of the weights, as in
        `telemetry.norms`.
      clock: Function that returns seconds since 1970.

    Raises:
      ValueError: Neither the configuration nor a logger names a directory.
      WriterLockedError: Another process writes to the file.
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
        self.config: TelemetryConfig = config or TelemetryConfig()
        self._logger, self._groups, self._clock = logger, groups, clock
        self._file: AppendFile | None = None
        self._holdout: tuple[Any, np.ndarray, Callable[..., Any]] | None = None
        self._writing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "jaxmetrics-telemetry")
        if not self.config.enabled:
            return
        folder = self.config.output_dir or (
            logger and logger.run_dir / TELEMETRY_FOLDER
        )
        if folder is None:
            raise ValueError(
                "TrainingTelemetry got neither an output_dir in its config nor a "
                "logger; expected one of them. Pass logger= to write to its run."
            )
        folder = Path(folder)
        self._weights = WeightSnapshot(
            self.config.weights_on, folder / "last_checkpoint"
        )
        if process_index() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = AppendFile(folder / TELEMETRY_JSONL)

    def set_holdout_data(
        self, inputs: Any, labels: Any, apply_fn: Callable[[Any, Any], Any]
    ) -> None:
        """Set the examples that are predicted at each collection.

        Only the first `holdout_size` examples are used.

        Args:
          inputs: An array or a tree of arrays, `[examples, ...]`, equal on all
            processes.
          labels: Integers `[examples]`.
          apply_fn: Function `apply_fn(params, inputs)` that returns logits
            `[examples, classes]`, or `[examples]` for binary labels, where a positive
            logit predicts 1.
        """
        size = self.config.holdout_size
        holdout = jax.tree.map(lambda x: np.asarray(x[:size]), inputs)
        self._holdout = holdout, np.asarray(labels[:size]), _predictor(apply_fn)

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
        """Collect if `step` is a multiple of `collect_every_n`.

        Args:
          stats: Result of `telemetry.collect` in this step.
          step: Number of optimizer updates completed.
          batch_idx: Index of the batch in the epoch, for the record.
          epoch: Index of the epoch, for the record.
          params: Weights after the update; without them neither their change nor
            predictions are recorded.
          batch: Labels, or a mapping that has them under `label_field`.

        Returns:
          True if it collected.

        Raises:
          KeyError: The batch has no labels of the configured name.
          ValueError: The statistics of an earlier call were not collected in its step.
          OSError: An earlier line could not be written.
        """
        config, stats = self.config, stats or {}
        if not config.enabled or step % config.collect_every_n:
            return False
        record: dict[str, Any] = {}
        if config.track_gradients and "grad/norm" in stats:
            record["gradient_norm"] = _by_group(stats, "grad/norm")
        if config.track_weight_delta and params is not None:
            record["weight_delta"] = _by_group(self._weight_delta(params), "delta/norm")
        if config.track_learning_rates and any(k.startswith("lr/") for k in stats):
            record["learning_rates"] = _rates(stats)
        if config.track_holdout_logits and self._holdout and params is not None:
            inputs, labels, predict = self._holdout
            record["holdout_logits"] = predict(params, inputs, labels)
        if config.track_batch_stats and batch is not None:
            record["batch_stats"] = self._batch_statistics(batch)
        header = {"batch_idx": batch_idx, "epoch": epoch}
        header |= {"timestamp": iso_time(self._clock())}
        if self._logger is not None:
            self._logger.log_step(step, _scalars(stats, record))
        self.flush()
        collected = stats.get("health/collected", True)
        self._writing = self._thread.submit(self._write, header, record, collected)
        return True

    def flush(self) -> None:
        """Wait until all lines are written.

        Raises:
          ValueError: The statistics of a line were not collected in its step.
          OSError: A line could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        try:
            self.flush()
        finally:
            self._thread.shutdown()
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def __enter__(self) -> TrainingTelemetry:
        """Return the telemetry."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: the size of the file in bytes."""
        self.flush()
        return {"position": None if self._file is None else self._file.position}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`; lines written later are moved to a separate file."""
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
                    f"expected {field!r}. Set label_field= to the name of the labels."
                )
            batch = batch[field]
        statistics = batch_statistics(batch, self.config.label_classes)
        shares = {
            f"{field}_{label}_pct": 100 * statistics[f"batch/share/{label}"]
            for label in range(self.config.label_classes)
        }
        return shares | {"batch_size": statistics["batch/size"]}

    def _write(self, header: dict[str, Any], record: Any, collected: Any) -> None:
        if not np.asarray(collected):
            raise ValueError(
                f"on_batch_end() got statistics that were not collected in the step, "
                f"at batch {header['batch_idx']} of epoch {header['epoch']}. Pass "
                f"every={self.config.collect_every_n} and the same step to collect()."
            )
        if self._file is not None:
            self._file.write_line(dumps(header | _fetch(record)))


def _fetch(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested arrays as plain values, in the same order."""
    return {
        name: _fetch(x) if isinstance(x, Mapping) else np.asarray(x).tolist()
        for name, x in record.items()
    }


def _by_group(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the value of a key as `overall`, and those of `key/<group>` by group."""
    groups = {k.removeprefix(f"{key}/"): v for k, v in values.items()}
    groups = {k: v for k, v in groups.items() if f"{key}/{k}" in values}
    return {"overall": values[key], **groups} if key in values else {}


def _rates(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return learning rates by number, and those with a label also by label."""
    rates = {k.removeprefix("lr/"): v for k, v in stats.items() if k.startswith("lr/")}
    numbered = {f"group_{n}": rate for n, rate in enumerate(rates.values())}
    return numbered | {name: rate for name, rate in rates.items() if name != "lr"}


def _scalars(stats: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scalars of a collection to log, by key."""
    delta = record.get("weight_delta", {})
    logged = {k: v for k, v in stats.items() if k != "health/collected"}
    for name, value in delta.items():
        logged["delta/norm" if name == "overall" else f"delta/norm/{name}"] = value
    if "holdout_logits" in record:
        logged["holdout/accuracy"] = record["holdout_logits"]["accuracy"]
    return logged


def _predictor(apply_fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    @jax.jit
    def predict(params: Any, inputs: Any, labels: Any) -> dict[str, Any]:
        logits = apply_fn(params, inputs)
        binary = logits.ndim == labels.ndim
        classes = logits > 0 if binary else jnp.argmax(logits, -1)
        predictions = classes.astype(labels.dtype)
        return {
            "logits": logits,
            "labels": labels,
            "predictions": predictions,
            "accuracy": jnp.mean(predictions == labels),
        }

    def predict_in_order(*arguments: Any) -> dict[str, Any]:
        # jit returns dicts with sorted keys; the record has a fixed order.
        values = predict(*arguments)
        names = ("logits", "labels", "predictions", "accuracy")
        return {name: values[name] for name in names}

    return predict_in_order
