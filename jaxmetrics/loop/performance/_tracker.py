"""MFU, tokens per second and step times of a training loop."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.core import is_on_device, is_tracer
from jaxmetrics.loop.performance._host_times import HostTimes, exchange_times
from jaxmetrics.loop.performance._step_timer import PAUSING_SECTIONS, StepTimer
from jaxmetrics.loop.scalars import checked_scalars
from jaxmetrics.processes import EXCHANGE_TIMEOUT
from jaxmetrics.record import Ledger, require_numbers, scalar
from jaxmetrics.telemetry import FlopCount
from jaxmetrics.telemetry import peak_flops_per_second as listed_peak

_LOG = logging.getLogger("jaxmetrics")
_END = object()
_Batch = TypeVar("_Batch")


class PerformanceTracker:
    """Measure MFU, tokens per second and step times of a training loop.

    Steps run asynchronously, so a step is timed from the completion of the previous
    step to its own. `update(output=...)` observes the completion: it waits for the
    previous step, and leaves one in flight. Without an output it times the loop
    instead, which is the same on average once the device is the bottleneck.

    MFU (model FLOPs utilization) is the operations that the model needs, divided by the
    operations that the devices could execute in the time of the steps. Data waits and
    logging are included in that time; evaluation, checkpoints, profiling and the first
    steps, in which programs are compiled, are not. A value is NaN while it is unknown
    because there is no peak, no count of operations or no timed step; `metrics()`
    leaves it out.

    Args:
      flops_per_step: Operations of one update on all devices: a number, or the
        `FlopCount` of `telemetry.count_flops(step, ...)`.
      flops_per_token: Operations per token: a number, or the `FlopCount` of
        `telemetry.transformer_flops(...)`. With `flops_per_step` it is used only for
        `mfu_palm`.
      params: Parameters or their number, counted as six operations each per token,
        without attention. Used if neither of the others is passed.
      sequence_length: Tokens in a row of the batch, padding included. Default 1, which
        counts rows.
      world_size: Number of devices of all processes. Default: asked of JAX.
      peak_flops_per_second: Peak of one device. Default: from the table of
        `telemetry.peak_flops_per_second`; for an unknown device there is no MFU, and
        one warning.
      warmup_steps: Number of first steps that are not timed.
      in_flight: Maximum number of incomplete steps when `update` returns.
      ledger: Receives an event for each evaluation, checkpoint and profile, and at each
        `metrics()` one for data waits and one for logging: `logger.ledger`.
      clock: Function that returns monotonic seconds.

    Raises:
      TypeError: An argument is of another type, or unknown.
      ValueError: A count of operations, parameters, tokens or devices or a peak is not
        positive, or a number of steps is negative.

    Example:
      >>> seconds = iter(range(100))
      >>> tracker = PerformanceTracker(
      ...     flops_per_token=1e9, sequence_length=2048, world_size=1,
      ...     peak_flops_per_second=197e12, clock=lambda: float(next(seconds)),
      ... )
      >>> for _ in range(10):
      ...     tracker.update(local_batch_size=48)
      >>> print(f"{tracker.mfu:.1%}, {tracker.tokens_per_second:,.0f} tokens a second")
      49.9%, 98,304 tokens a second
    """

    @explains_arguments
    def __init__(
        self,
        *,
        flops_per_step: float | FlopCount | None = None,
        flops_per_token: float | FlopCount | None = None,
        params: Any = None,
        sequence_length: int = 1,
        world_size: int | None = None,
        peak_flops_per_second: float | None = None,
        warmup_steps: int = 2,
        in_flight: int = 1,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the clock; no device is used before the first update."""
        counts: dict[str, Any] = {"warmup_steps": warmup_steps, "in_flight": in_flight}
        counts["sequence_length"] = sequence_length
        known = dict(world_size=world_size, peak_flops_per_second=peak_flops_per_second)
        counts |= {name: x for name, x in known.items() if x is not None}
        require_numbers("PerformanceTracker", **counts)
        _require("", 1, sequence_length=sequence_length, world_size=world_size)
        _require("", 0, warmup_steps=warmup_steps, in_flight=in_flight)
        if peak_flops_per_second is not None and not peak_flops_per_second > 0:
            raise ValueError(
                f"PerformanceTracker got {peak_flops_per_second=}; expected a positive "
                f"number. Leave it out if it is unknown."
            )
        # Of NumPy it may overflow.
        self.sequence_length: int | float = scalar(sequence_length)
        self._flops = _FlopSources(flops_per_step, flops_per_token, params)
        self._timer = StepTimer(warmup_steps, in_flight, ledger, clock)
        self._world_size, self._user_peak = world_size, peak_flops_per_second
        self._warned: set[str] = set()
        if names := ", ".join(self._flops.unknown):
            self._warn(f"MFU is a lower bound: {names} could not be counted.")

    def update(
        self,
        local_batch_size: int | None = None,
        *,
        tokens: Any = None,
        output: Any = None,
    ) -> None:
        """Record that an update was dispatched; call it after each update.

        Args:
          local_batch_size: Number of rows on this process; equal on all processes.
          tokens: Number of non-padding tokens in the global batch, or a scalar on a
            device, which is read when the step is complete. Default: all tokens.
          output: An output of the step that is never donated, such as the loss.

        Raises:
          TypeError: A number is not a number, or a value is traced.
          ValueError: A number is negative, or an earlier output was donated.
        """
        rows = _checked("local_batch_size", local_batch_size)
        tokens = _checked("tokens", tokens)
        if any(map(is_tracer, jax.tree.leaves(output))):
            raise TypeError(
                "PerformanceTracker.update() got an output within jit, where it is "
                "called only when the step is traced. Call it after the compiled step."
            )
        _require(".update()", 0, local_batch_size=rows, tokens=tokens)
        padded = 0 if tokens is None else tokens
        if rows is not None:
            padded = scalar(rows) * self.sequence_length * jax.process_count()
        unpadded = padded if tokens is None else tokens
        self._timer.add(output, unpadded, padded, self.world_size)

    def timed(self, section: str) -> contextlib.AbstractContextManager[None]:
        """Time a block; a block inside another one is a part of the outer block.

        Args:
          section: `"data_wait"` or `"logging"`, which are parts of the step time;
            `"evaluation"`, `"checkpoint"` or `"profile"`, which wait for the steps in
            flight, and in which no step is timed.

        Raises:
          ValueError: The section has another name.
        """
        if section not in self._timer.spent:
            raise ValueError(
                f"PerformanceTracker.timed() got {section!r}; expected one of "
                f"{sorted(self._timer.spent)}. Choose the closest one."
            )
        return self._timer.timed(section)

    def batches(self, loader: Iterable[_Batch]) -> Iterator[_Batch]:
        """Yield the batches of a loader; the time until each is there is data wait.

        Example:
          >>> tracker = PerformanceTracker()
          >>> for rows in tracker.batches([32, 32, 16]):
          ...     tracker.update(local_batch_size=rows)
          >>> tracker.steps, tracker.tokens
          (3, 80)
        """
        iterator = iter(loader)
        while True:
            with self.data_wait():
                batch: Any = next(iterator, _END)
            if batch is _END:
                return
            yield batch

    def data_wait(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that waits for the next batch."""
        return self.timed("data_wait")

    def logging(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that logs."""
        return self.timed("logging")

    def evaluation(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that evaluates; it is not part of any step."""
        return self.timed("evaluation")

    def checkpoint(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that saves a checkpoint; it is not part of any step."""
        return self.timed("checkpoint")

    def profile(self) -> contextlib.AbstractContextManager[None]:
        """Exclude the steps of a block, slowed down by a profiler, from all rates."""
        return self.timed("profile")

    @property
    def mfu(self) -> float:
        """Model FLOPs utilization of all timed steps, in [0, 1]."""
        return self._utilization("model")

    @property
    def recent_mfu(self) -> float:
        """MFU of the last 48 timed steps of this attempt."""
        window = self._timer.window
        padded, steps = window.recent_total("padded_tokens"), window.recent_steps
        flops = self._flops.total("model", steps, padded)
        return self._over_peak(flops, window.recent_total("device_seconds"))

    @property
    def hfu(self) -> float:
        """Hardware FLOPs utilization, in [0, 1]: recomputation included."""
        return self._utilization("hardware")

    @property
    def mfu_palm(self) -> float:
        """MFU as in the PaLM paper, with full attention; NaN if not counted."""
        return self._utilization("palm")

    @property
    def tflops_per_device(self) -> float:
        """Model FLOPs per second and device, in 10^12; NaN if they are not known."""
        window = self._timer.window
        flops = self._flops.total("model", window.steps, window.total("padded_tokens"))
        if flops is None:
            return math.nan
        return _ratio(flops, window.total("device_seconds")) / 1e12

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of all processes, without padding if `tokens` is passed."""
        return self._rate("tokens", "seconds")

    @property
    def recent_tokens_per_second(self) -> float:
        """Tokens per second of the last 48 timed steps of this attempt."""
        window = self._timer.window
        tokens, seconds = (window.recent_total(n) for n in ("tokens", "seconds"))
        return _ratio(tokens or None, seconds)

    @property
    def steps(self) -> int:
        """Number of updates, timed or not."""
        return self._timer.steps

    @property
    def tokens(self) -> int | float:
        """Tokens of all steps, timed or not; waits for counts on a device."""
        return self._timer.totals()[0]

    @property
    def padded_tokens(self) -> int | float:
        """Tokens of all steps including padding; waits for counts on a device."""
        return self._timer.totals()[1]

    @property
    def world_size(self) -> int:
        """Number of devices of all processes."""
        return self._world_size or jax.device_count()

    def step_seconds(self, quantile: float = 0.5) -> float:
        """Return a quantile of the last 48 step times of this attempt.

        Args:
          quantile: In [0, 1]; 1 is the longest. Default 0.5, the median.
        """
        recent = self._timer.window.recent("seconds")
        return float(np.quantile(recent, quantile)) if recent.size else math.nan

    def metrics(self) -> dict[str, float]:
        """Return values to log, by key: `logger.log_step(step, tracker.metrics())`.

        Rates cover all timed steps of the run, except `perf/recent_mfu` and
        `perf/recent_tokens_per_second`, which cover the last 48 of this attempt. Of
        these `perf/step_seconds` is the median and `perf/data_wait_seconds` the mean.
        Seconds of logging, evaluation, checkpoints and profiling are sums since the
        start.
        """
        timer, window = self._timer, self._timer.window
        data_wait = window.recent_total("data_wait_seconds")
        values = {
            "mfu": self.mfu,
            "recent_mfu": self.recent_mfu,
            "hfu": self.hfu,
            "mfu_palm": self.mfu_palm,
            "tflops_per_device": self.tflops_per_device,
            "tokens_per_second": self.tokens_per_second,
            "recent_tokens_per_second": self.recent_tokens_per_second,
            "tokens_per_second_per_device": self._rate("tokens", "device_seconds"),
            "step_seconds": self.step_seconds(),
            "step_p95_seconds": self.step_seconds(0.95),
            "step_max_seconds": self.step_seconds(1.0),
            "data_wait_seconds": _ratio(data_wait, window.recent_steps),
            "data_wait_frac": _ratio(data_wait, window.recent_total("seconds")),
        }
        if window.total("tokens") > window.total("padded_tokens"):
            self._warn(
                "update() got more tokens than local_batch_size * sequence_length "
                "makes: pass sequence_length= to PerformanceTracker, or no batch size."
            )
        elif window.total("tokens") != window.total("padded_tokens"):
            unpadded = _ratio(window.total("tokens"), window.total("padded_tokens"))
            values["padded_tokens_per_second"] = self._rate("padded_tokens", "seconds")
            values["effective_mfu"] = self.mfu * unpadded
        for section in ("logging", *PAUSING_SECTIONS):
            values[f"{section}_seconds"] = timer.spent[section] or math.nan
        if self.mfu > 1:
            self._warn("MFU is above 1: check the FLOPs per step and the peak.")
        timer.report_sections()
        return {f"perf/{n}": x for n, x in values.items() if not math.isnan(x)}

    def hosts(self, timeout: float = EXCHANGE_TIMEOUT) -> HostTimes:
        """Return recent step and data-wait times of all processes; all call it.

        Args:
          timeout: Maximum seconds to wait for the other processes.

        Raises:
          MissingHostError: A process did not call it in time.
        """
        window, steps = self._timer.window, self._timer.window.recent_steps
        step_seconds = _ratio(window.recent_total("seconds"), steps)
        data_wait = _ratio(window.recent_total("data_wait_seconds"), steps)
        return exchange_times(step_seconds, data_wait, timeout)

    def describe(self) -> dict[str, Any]:
        """Return FLOPs, peak and their sources as plain values, for `run.json`."""
        peak = self._peak()
        source = None if peak is None else "given" if self._user_peak else "table"
        kind = jax.devices()[0].device_kind
        description = {"flops_per_second": peak, "device_kind": kind, "source": source}
        return {"flops": self._flops.describe(), "peak": description}

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: numbers, and arrays of fixed shapes."""
        return self._timer.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Totals and rates of all steps continue. The warm-up and the recent steps start
        again, since this attempt may run on other devices.

        Raises:
          ValueError: It is not a state of a tracker.
        """
        self._timer.load_state(state)

    def reset(self) -> None:
        """Begin without steps, as a new tracker does."""
        self._timer.reset()

    def _utilization(self, figure: str) -> float:
        window = self._timer.window
        flops = self._flops.total(figure, window.steps, window.total("padded_tokens"))
        return self._over_peak(flops, window.total("device_seconds"))

    def _over_peak(self, flops: float | None, device_seconds: float) -> float:
        peak = None if flops is None else self._peak()
        return math.nan if peak is None else _ratio(flops, device_seconds * peak)

    def _peak(self) -> float | None:
        if self._user_peak is not None:
            return self._user_peak
        kind = jax.devices()[0].device_kind
        if (peak := listed_peak(kind)) is None:
            self._warn(
                f"The peak of {kind!r} is not known, so there is no MFU. Pass "
                f"peak_flops_per_second= to PerformanceTracker."
            )
        return peak

    def _rate(self, field: str, per: str) -> float:
        window = self._timer.window
        return _ratio(window.total(field) or None, window.total(per))

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _LOG.warning(message)


class _FlopSources:
    """FLOPs per step or per token; the first source that has a figure is used.

    The arguments are those of `PerformanceTracker`.
    """

    def __init__(self, per_step: Any, per_token: Any, params: Any) -> None:
        self._sources: list[tuple[str, FlopCount]] = []
        if per_step is not None:
            self._sources.append(("step", _flop_count("flops_per_step", per_step)))
        if per_token is not None:
            self._sources.append(("token", _flop_count("flops_per_token", per_token)))
        if params is not None:
            flops = 6 * _parameter_count(params)
            self._sources.append(("token", FlopCount(flops, flops, source="6N")))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of what the first source could not count."""
        return self._sources[0][1].unknown if self._sources else ()

    def total(self, figure: str, steps: int, tokens: float) -> float | None:
        """Return the FLOPs of several steps.

        Args:
          figure: `"model"`, `"hardware"` or `"palm"`.
          steps: Number of steps.
          tokens: Tokens of all steps together, padding included.
        """
        for unit, count in self._sources:
            times = steps if unit == "step" else tokens
            flops = getattr(count, figure)
            if flops is not None and times:
                return flops * times
        return None

    def describe(self) -> dict[str, Any]:
        """Return the first source as plain values."""
        if not self._sources:
            return {"source": None}
        unit, count = self._sources[0]
        description: dict[str, Any] = {
            f"per_{unit}": count.model,
            f"hardware_per_{unit}": count.hardware,
        }
        if count.unknown:
            description["unknown"] = list(count.unknown)
        return {**description, "source": count.source}


def _flop_count(name: str, value: Any) -> FlopCount:
    if isinstance(value, FlopCount):
        return value
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"PerformanceTracker got {name}={value!r}; expected a positive number, or "
            f"the result of telemetry.count_flops or telemetry.transformer_flops. "
            f"Leave it out if it is unknown."
        )
    return FlopCount(float(value), float(value))


def _parameter_count(params: Any) -> int:
    number = isinstance(params, int | float | np.integer | np.floating)
    if number and not isinstance(params, bool) and params > 0 and params % 1 == 0:
        return int(params)  # also `7e9`
    count = sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(params))
    if number or not count:
        raise ValueError(
            f"PerformanceTracker got params={params!r}; expected the number of "
            f"parameters, or their tree. Pass the params of the model."
        )
    return count


def _require(call: str, least: int, **counts: Any) -> None:
    """Refuse numbers on the host below `least`, and NaN."""
    for name, value in counts.items():
        if isinstance(value, int | float | np.number) and not value >= least:
            raise ValueError(
                f"PerformanceTracker{call} got {name}={value!r}; expected at least "
                f"{least}. Pass the number itself, or leave it out."
            )


def _checked(name: str, value: Any) -> Any:
    """Return a number of Python, or a scalar on a device and None as they are."""
    if value is None:
        return None
    checked = checked_scalars("PerformanceTracker.update", {name: value})[name]
    return checked if is_on_device(checked) else scalar(value)


def _ratio(part: float | None, whole: float) -> float:
    """Return a ratio; NaN if a part is unknown or the whole is 0."""
    return math.nan if part is None or not whole else part / whole
