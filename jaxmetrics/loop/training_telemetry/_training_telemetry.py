"""Collect telemetry of a training every N steps, in the step and after it."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import as_32bit, is_on_device
from jaxmetrics.loop.training_telemetry._config import TelemetryConfig
from jaxmetrics.loop.training_telemetry._line import is_scalar, plain, require_plain
from jaxmetrics.loop.training_telemetry._weight_snapshot import WeightSnapshot
from jaxmetrics.processes import process_index
from jaxmetrics.record import (
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    PatientFile,
    absolute_path,
    check_step,
    dumps,
    iso_time,
    refuse_masked,
    scalar,
    states,
)
from jaxmetrics.telemetry import batch_statistics

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_FIELDS = (
    "step",
    "batch_idx",
    "epoch",
    "timestamp",
    "gradient_norm",
    "weight_delta",
    "learning_rates",
    "holdout_logits",
    "batch_stats",
)
_COLLECTED = "health/collected"
_UNKNOWN = -1  # in a state: there is no file, or no snapshot
_batch_statistics = jax.jit(batch_statistics, static_argnums=1)


class TrainingTelemetry:
    """Collect statistics of a training every `config.collect_every_n` updates.

    Inside the compiled step `telemetry.collect` measures gradients and learning rates
    with the same period; after the step `on_batch_end` adds the change of the weights,
    predictions and batch statistics. Lines are written to `telemetry.jsonl`, where
    float32 values have the digits of a float32. Arrays are fetched in another thread.

        stats = jm.telemetry.collect(step, grads=grads, opt_state=opt_state, every=200)
        ...
        telemetry.on_batch_end(stats, step=step, batch_idx=i, epoch=e, params=params)

    Attached to a logger, the scalars are logged too, under their step: in the record of
    the loop if `on_batch_end` is called before `log_step`, else in a further record.
    What the loop logs itself under the same key wins.
    `checkpoint.args` saves an attached telemetry; a restored run continues the file
    after the checkpoint, and compares the weights with those that an uninterrupted run
    would have compared them with.

    Every process makes the same calls; process 0 writes.

    Args:
      config: Statistics to collect. Default: `TelemetryConfig()`.
      logger: Logger that the telemetry is attached to, as `telemetry`; its run
        directory is the default location of the file. A collection at a step that the
        loop does not log gets a record of its own.
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
        self.config: TelemetryConfig = replace(config or TelemetryConfig())
        self._logger, self._clock = logger, clock
        self._file: PatientFile | None = None
        self._position = _UNKNOWN  # of the file, once it is closed
        self._holdout: tuple[Any, np.ndarray, Callable[..., Any]] | None = None
        self._writing: Future[None] | None = None
        self._scalars: dict[str, Any] = {}  # not logged yet
        self._scalars_step = 0
        self._is_period_checked = self._is_closed = False
        self._thread = ThreadPoolExecutor(1, "jaxmetrics-telemetry")
        if not self.config.enabled:
            return
        folder = self.config.output_dir
        if folder is None and logger is not None and logger.run_dir is not None:
            folder = logger.run_dir / TELEMETRY_FOLDER
        if folder is None:
            raise ValueError(
                "TrainingTelemetry got neither an output_dir in its config nor a "
                "logger with a run directory; expected one of them. Pass logger= to "
                "write to its run."
            )
        folder = absolute_path(folder)
        self._weights = WeightSnapshot(
            self.config.weights_on, folder / "last_checkpoint", groups
        )
        if process_index() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = PatientFile(folder / TELEMETRY_JSONL, "The telemetry")
        if logger is not None:
            logger.attach(**{self._free_name(logger): self})

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
            logit predicts 1. A last axis of one entry is dropped, of labels too.

        Raises:
          TypeError: The labels are not integers.
        """
        size = self.config.holdout_size
        holdout = jax.tree.map(lambda x: np.asarray(x[:size]), inputs)
        kept = _as_labels("set_holdout_data() got labels", labels[:size])
        self._holdout = holdout, np.asarray(kept), _predictor(apply_fn)

    def on_batch_end(
        self,
        stats: Mapping[str, Any] | None,
        *,
        step: int,
        batch_idx: int,
        epoch: int,
        params: Any = None,
        batch: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> bool:
        """Collect if `step` is a multiple of `collect_every_n`.

        Args:
          stats: Result of `telemetry.collect` in this step, and any further values by
            name, which go into the line as they are.
          step: Number of optimizer updates completed.
          batch_idx: Index of the batch in the epoch, for the record.
          epoch: Index of the epoch, for the record.
          params: Weights after the update; without them neither their change nor
            predictions are recorded.
          batch: Labels, or a mapping that has them under `label_field`.
          extra: Further values for the line: numbers, strings, arrays, lists and
            mappings of them.

        Returns:
          True if it collected.

        Raises:
          KeyError: The batch has no labels of the configured name.
          TypeError: A further value is of another type, or labels are not integers.
          ValueError: The statistics were not collected in this step, a further value
            has the name of a field of the line, predictions do not fit the labels, or
            the telemetry is closed.
        """
        config, step = self.config, check_step(step, "on_batch_end")
        self._log_scalars()
        if not config.enabled or step % config.collect_every_n:
            return False
        if self._is_closed:
            raise ValueError(
                f"on_batch_end() got step {step} after close(). Close the telemetry "
                f"after the last step, or create a new one."
            )
        stats = dict(stats or {})
        position = {"step": step, "batch_idx": batch_idx, "epoch": epoch}
        if _COLLECTED in stats and not self._is_period_checked:
            # At once, though this waits for the step. Later ones wait in the thread.
            self._require_collected(stats[_COLLECTED], position)
            self._is_period_checked = True
        collected = stats.pop(_COLLECTED, True)
        more = self._further_values(stats, extra or {})
        line = self._measurements(stats, params, batch, step)
        self.flush()
        timestamp = {"timestamp": iso_time(self._clock())}
        self._writing = self._thread.submit(
            self._write, {**position, **timestamp, **line, **more}, collected
        )
        self._scalars |= _scalars(stats, line)
        self._scalars_step = step
        return True

    @property
    def metrics_step(self) -> int | None:
        """Step of the scalars that `metrics` returns, or None if there are none."""
        return self._scalars_step if self._scalars else None

    def metrics(self) -> dict[str, Any]:
        """Return the scalars of collections since the last call, by key, to log."""
        scalars, self._scalars = self._scalars, {}
        return scalars

    def flush(self) -> bool:
        """Wait until all lines are written.

        Lines that the file system refuses wait for a later flush; there is one warning.

        Returns:
          Whether all lines are in the file and on the disk.

        Raises:
          ValueError: The statistics of a line were not collected in its step.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
        return self._file is None or self._file.flush()

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        try:
            self.flush()
            with contextlib.suppress(ValueError):  # the logger may be closed
                self._log_scalars()
        finally:
            self._is_closed = True
            self._thread.shutdown()
            file, self._file = self._file, None
            if file is not None:
                self._position = file.position
                file.close()

    def __enter__(self) -> TrainingTelemetry:
        """Return the telemetry."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint.

        It holds the size of the file in bytes, the step of the weights that the next
        ones are compared with (-1 for no file and no weights), and scalars that are not
        logged yet; with `logger=` these are logged before.
        """
        self.flush()
        self._log_scalars()
        state: dict[str, Any] = {"position": _UNKNOWN, "weights": _UNKNOWN}
        if self.config.enabled:
            self._weights.keep()
            if self._file is not None:
                self._position = self._file.position
            state["position"] = self._position
            if self._weights.step is not None:
                state["weights"] = self._weights.step
        if self._scalars:
            scalars = [[n, states.strict(scalar(x))] for n, x in self._scalars.items()]
            state["unlogged"] = {"step": self._scalars_step, "scalars": scalars}
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Lines written later are moved to `telemetry.jsonl.after-restore`, and the
        weights of later steps are not used.

        Raises:
          ValueError: It is not a state of a telemetry, or not one of this file; nothing
            is changed.
        """
        if isinstance(state, Mapping):
            state = {"weights": _UNKNOWN, "unlogged": None, **state}
        saved = states.read(
            "TrainingTelemetry",
            state,
            position=_position,
            weights=_position,
            unlogged=_unlogged,
        )
        self.flush()
        if self.config.enabled:
            if self._file is not None and saved["position"] is not None:
                self._file.cut(saved["position"], "restore")
            self._weights.use(saved["weights"])
        self._scalars = dict(saved["unlogged"]["scalars"])
        self._scalars_step = saved["unlogged"]["step"]

    def reset(self) -> None:
        """Begin afresh: lines are moved to `telemetry.jsonl.after-restart`.

        The first collection then has no change of weights.
        """
        self.flush()
        self._scalars = {}
        if self.config.enabled:
            if self._file is not None:
                self._file.cut(0, "restart")
            self._weights.use(None)

    def _free_name(self, logger: TrainingLogger) -> str:
        """Return `telemetry`, with a number if another open one has this name."""
        name, number = "telemetry", 1
        while not getattr(logger.attached.get(name), "_is_closed", True):
            number += 1
            name = f"telemetry_{number}"
        return name

    def _log_scalars(self) -> None:
        """Log scalars that no record has taken: an empty record of their step does."""
        if self._logger is not None and self._scalars:
            self._logger.log_step(self._scalars_step)

    def _measurements(
        self, stats: Mapping[str, Any], params: Any, batch: Any, step: int
    ) -> dict[str, Any]:
        """Return the fields of the line that are measured, in their order."""
        config = self.config
        line: dict[str, Any] = {}
        if config.track_gradients and "grad/norm" in stats:
            line["gradient_norm"] = _by_group(stats, "grad/norm")
        if config.track_weight_delta and params is not None:
            distances = self._weights.advance(params, step)
            line["weight_delta"] = {
                suffix.removeprefix("/") or "overall": _as_float32(distance)
                for suffix, distance in distances.items()
            }
        if config.track_learning_rates and any(map(_is_rate, stats)):
            line["learning_rates"] = _rates(stats)
        if config.track_holdout_logits and self._holdout and params is not None:
            inputs, labels, predict = self._holdout
            line["holdout_logits"] = predict(params, inputs, labels)
        if config.track_batch_stats and batch is not None:
            line["batch_stats"] = self._batch_statistics(batch)
        return line

    def _further_values(
        self, stats: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what else goes into the line: other statistics, and `extra`."""
        more = {
            name: value
            for name, value in stats.items()
            if not (f"{name}/".startswith("grad/norm/") or _is_rate(name))
        } | dict(extra)
        if taken := sorted(more.keys() & set(_FIELDS)):
            raise ValueError(
                f"on_batch_end() got {taken}, which are fields of the line. Rename "
                f"these values."
            )
        for name, value in more.items():
            require_plain(name, value)
        return more

    def _batch_statistics(self, batch: Any) -> dict[str, Any]:
        field = self.config.label_field
        if isinstance(batch, Mapping):
            if field not in batch:
                raise KeyError(
                    f"on_batch_end() got a batch with {sorted(map(str, batch))}, "
                    f"expected {field!r}. Set label_field= to the name of the labels."
                )
            batch = batch[field]
        labels = _as_labels("on_batch_end() got a batch", batch)
        statistics = _batch_statistics(labels, self.config.label_classes)
        shares = {
            f"{field}_{label}_pct": 100 * statistics[f"batch/share/{label}"]
            for label in range(self.config.label_classes)
        }
        return shares | {"batch_size": statistics["batch/size"]}

    def _require_collected(self, collected: Any, position: Mapping[str, int]) -> None:
        if not np.asarray(collected):
            raise ValueError(
                f"on_batch_end() got statistics that were not collected in the step, "
                f"at step {position['step']}, batch {position['batch_idx']} of epoch "
                f"{position['epoch']}. Pass every={self.config.collect_every_n} and "
                f"the same step to collect()."
            )

    def _write(self, line: dict[str, Any], collected: Any) -> None:
        self._require_collected(collected, line)
        if self._file is not None:
            self._file.write_lines(dumps(plain(line)))


def _position(value: object) -> int | None:
    """Return a count of a state, or None for one that stands for nothing."""
    if value is None or states.number(value) == _UNKNOWN:
        return None
    return states.count(value)


def _unlogged(value: object) -> dict[str, Any]:
    if value is None:
        return {"step": 0, "scalars": []}
    return states.fields_of(step=states.count, scalars=states.list_of(_named_number))(
        value
    )


def _named_number(pair: Any) -> tuple[str, float]:
    name, value = pair
    return states.text(name), states.number(value)


def _as_float32(distance: Any) -> Any:
    """Return a distance computed in float64 as a float32, unless it is too large."""
    if not isinstance(distance, float):
        return distance
    with np.errstate(over="ignore"):
        narrow = np.float32(distance)
    return narrow if np.isfinite(narrow) else distance


def _by_group(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the value of a key as `overall`, and those of `key/<group>` by group."""
    groups = {k.removeprefix(f"{key}/"): v for k, v in values.items()}
    groups = {k: v for k, v in groups.items() if f"{key}/{k}" in values}
    return {"overall": values[key], **groups}


def _is_rate(name: str) -> bool:
    """Return whether a statistic is a rate, and not the scale of an unknown one."""
    return name.startswith("lr/") and not re.search(r"/scale(_\d+)?$", name)


def _rates(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return learning rates by number, and those with a label also by label.

    They are numbered by name: `lr`, `lr_1`, ... `lr_10`. jit sorts keys as texts.
    """
    names = sorted(filter(_is_rate, stats), key=_natural_order)
    rates = {name.removeprefix("lr/"): stats[name] for name in names}
    numbered = {f"group_{n}": rate for n, rate in enumerate(rates.values())}
    return numbered | {name: rate for name, rate in rates.items() if name != "lr"}


def _natural_order(name: str) -> list[Any]:
    """Return a key that sorts the numbers in names by value."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdigit() else part for part in parts]


def _scalars(stats: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scalars of a collection to log, by key."""
    logged = {name: value for name, value in stats.items() if is_scalar(value)}
    for name, value in line.get("weight_delta", {}).items():
        if value is not None:
            logged["delta/norm" if name == "overall" else f"delta/norm/{name}"] = value
    if "holdout_logits" in line:
        logged["holdout/accuracy"] = line["holdout_logits"]["accuracy"]
    return logged


def _as_labels(what: str, labels: Any) -> Any:
    """Return class numbers as an array of 32 bits on the host or a device.

    Raises:
      TypeError: They are not integers.
      ValueError: One has more than 32 bits.
    """
    refuse_masked(what, labels)
    if not is_on_device(labels):
        with contextlib.suppress(ValueError):  # such as (inputs, labels)
            labels = np.asarray(labels)
    dtype = getattr(labels, "dtype", None)
    if dtype is None or dtype.kind not in "biu":
        raise TypeError(
            f"{what} of {dtype or type(labels).__name__}; expected integer class "
            f"numbers. Pass the labels alone, or in a mapping under their name."
        )
    return as_32bit("labels", labels)


def _predictor(apply_fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    @functools.partial(jax.jit, static_argnums=(0, 1))
    def predict(
        structure: Any, static: Any, arrays: Any, inputs: Any, labels: Any
    ) -> tuple[Any, ...]:
        leaves = [kept if x is None else x for x, kept in zip(arrays, static)]
        logits = apply_fn(jax.tree.unflatten(structure, leaves), inputs)
        logits, labels = _aligned(logits, labels)
        binary = logits.ndim == labels.ndim
        classes = logits > 0 if binary else jnp.argmax(logits, -1)
        predictions = classes.astype(labels.dtype)
        return logits, labels, predictions, jnp.mean(predictions == labels)

    def predict_in_order(params: Any, inputs: Any, labels: Any) -> dict[str, Any]:
        # Modules of equinox have functions and flags among their leaves, which jit
        # takes as static arguments only.
        leaves, structure = jax.tree.flatten(params)
        arrays = [x if _is_dynamic(x) else None for x in leaves]
        static = tuple(None if _is_dynamic(x) else x for x in leaves)
        values = predict(structure, static, arrays, inputs, labels)
        # Named out of jit, which would sort the names.
        return dict(zip(("logits", "labels", "predictions", "accuracy"), values))

    return predict_in_order


def _is_dynamic(leaf: Any) -> bool:
    if isinstance(leaf, bool):
        return False
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | complex)


def _aligned(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Return logits and labels without a last axis of one entry of either.

    Raises:
      TypeError: The logits are no array.
      ValueError: The leading axes differ.
    """
    if not hasattr(logits, "ndim"):
        raise TypeError(
            f"apply_fn of set_holdout_data() returned a {type(logits).__name__}; "
            f"expected an array. Return the logits alone."
        )
    if logits.ndim == labels.ndim and labels.shape[-1:] == (1,) != logits.shape[-1:]:
        labels = labels[..., 0]
    elif logits.ndim == labels.ndim + 1 and logits.shape[-1] == 1:
        logits = logits[..., 0]
    if logits.shape[: labels.ndim] != labels.shape or logits.ndim > labels.ndim + 1:
        raise ValueError(
            f"apply_fn of set_holdout_data() returned logits of shape {logits.shape} "
            f"for labels of shape {labels.shape}; expected the shape of the labels, "
            f"with or without an axis of classes. Return the logits alone."
        )
    return logits, labels
