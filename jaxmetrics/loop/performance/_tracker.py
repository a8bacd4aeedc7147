"""How well a training uses its machine: MFU, tokens a second, step times."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.loop.performance._flops_given import FlopsGiven
from jaxmetrics.loop.performance._host_times import HostTimes, exchanged
from jaxmetrics.loop.performance._step_timer import BETWEEN, StepTimer
from jaxmetrics.processes import PATIENCE
from jaxmetrics.record import Ledger
from jaxmetrics.telemetry import FlopCount
from jaxmetrics.telemetry import peak_flops_per_second as listed_peak

_LOG = logging.getLogger("jaxmetrics")


class PerformanceTracker:
    """Tells MFU, tokens a second and step times of a training loop.

    Steps run asynchronously, so a step is timed from the completion of the one before
    to its own. `update(output=...)` sees them: it waits for the step before, and leaves
    one in flight. Without an output it times the loop instead, which is the same on
    average once the device is the bottleneck.

    MFU is the operations that the model needs, over what the devices could do in the
    time of the steps. Data waits and logging are in that time; evaluation, checkpoints
    and profiling are not, nor are the first steps, in which programs are compiled.
    What is not known, for want of a peak, of operations or of a timed step, is None.

    Args:
      flops_per_step: Operations of one update on all devices: a number or a
        `FlopCount`, as `telemetry.count_flops(step, ...)` gives.
      flops_per_token: The same for a token: `telemetry.transformer_flops(...)`. Beside
        `flops_per_step` it gives `mfu_palm` only.
      params: How many parameters, or their tree: six operations each a token, which
        leaves attention out. Used without the others.
      sequence_length: Tokens in a row of the batch, padding included; 1 counts rows.
      world_size: Devices of all processes; None asks JAX.
      peak_flops_per_second: Of one device; None asks the table of
        `telemetry.peak_flops_per_second`. A kind that it lacks gives no MFU, and one
        warning.
      warmup_steps: How many of the first steps are not timed.
      in_flight: Steps that may be under way when `update` returns.
      ledger: Gets an event for each evaluation, checkpoint and profile, and at each
        `metrics()` one for data waits and one for logging: `logger.ledger`.
      clock: Seconds of any origin.

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
        """Start the clock; no device is asked before the first update."""
        self.sequence_length = sequence_length
        self._flops = FlopsGiven(flops_per_step, flops_per_token, params)
        self._timer = StepTimer(warmup_steps, in_flight, ledger, clock)
        self._world, self._given_peak = world_size, peak_flops_per_second
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
        """Note that an update was dispatched; call it after each.

        Args:
          local_batch_size: Rows of the batch on this process, as on each other one.
          tokens: Those that are no padding, of all processes: a number, or a scalar on
            a device, which is read when the step is complete. None is all of them.
          output: Something that the step gives and nobody donates: its loss, say.

        Raises:
          ValueError: The output of an earlier step was donated.
        """
        padded = 0 if tokens is None else tokens
        if local_batch_size is not None:
            padded = local_batch_size * self.sequence_length * jax.process_count()
        real = padded if tokens is None else tokens
        self._timer.add(output, real, padded, self.world_size)

    def timed(self, section: str) -> contextlib.AbstractContextManager[None]:
        """Time a block; within another one it counts as a part of that.

        Args:
          section: `"data_wait"` or `"logging"`, parts of the step time; `"evaluation"`,
            `"checkpoint"` or `"profile"`, which wait for the steps in flight and time
            none inside.
        """
        if section not in self._timer.spent:
            raise ValueError(
                f"PerformanceTracker.timed() got {section!r}; expected one of "
                f"{sorted(self._timer.spent)}. Choose the nearest."
            )
        return self._timer.timed(section)

    def data_wait(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that waits for the next batch."""
        return self.timed("data_wait")

    def logging(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that logs."""
        return self.timed("logging")

    def evaluation(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that evaluates, apart from the steps."""
        return self.timed("evaluation")

    def checkpoint(self) -> contextlib.AbstractContextManager[None]:
        """Time a block that saves, apart from the steps."""
        return self.timed("checkpoint")

    def profile(self) -> contextlib.AbstractContextManager[None]:
        """Leave the steps of a block, which a profiler slows down, out of all rates."""
        return self.timed("profile")

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation, 0 to 1, of all steps that were timed."""
        return self._utilization("model")

    @property
    def recent_mfu(self) -> float | None:
        """MFU of the last 48 steps that were timed."""
        window = self._timer.window
        padded, steps = window.recent_total("padded_tokens"), window.recent_steps
        done = self._flops.of("model", steps, padded)
        return self._over_peak(done, window.recent_total("device_seconds"))

    @property
    def hfu(self) -> float | None:
        """Hardware FLOPs utilisation: with what is recomputed."""
        return self._utilization("hardware")

    @property
    def mfu_palm(self) -> float | None:
        """MFU as papers count it, with full attention, where a source tells it."""
        return self._utilization("palm")

    @property
    def tokens_per_second(self) -> float | None:
        """Of all processes, without the padding where `update` is told its `tokens`."""
        return self._rate("tokens", "seconds")

    @property
    def steps(self) -> int:
        """Updates so far, timed or not."""
        return self._timer.steps

    @property
    def tokens(self) -> int | float:
        """Tokens of all steps, timed or not; waits for counts that lie on a device."""
        return self._timer.totals()[0]

    @property
    def padded_tokens(self) -> int | float:
        """The same with their padding."""
        return self._timer.totals()[1]

    @property
    def world_size(self) -> int:
        """The devices of all processes."""
        return self._world or jax.device_count()

    def step_seconds(self, quantile: float = 0.5) -> float | None:
        """A quantile of the last 48 step times; 1 is the longest."""
        recent = self._timer.window.recent("seconds")
        return float(np.quantile(recent, quantile)) if recent.size else None

    def metrics(self) -> dict[str, float]:
        """What there is to log, by key: `logger.log_step(step, tracker.metrics())`.

        Rates are of all timed steps, except `perf/recent_mfu`; `perf/step_seconds` is
        the median of recent ones, `perf/data_wait_seconds` their mean. Seconds of
        logging, evaluation, checkpoints and profiling are sums since the start.
        """
        timer, window = self._timer, self._timer.window
        waited = window.recent_total("data_wait_seconds")
        found = {
            "mfu": self.mfu,
            "recent_mfu": self.recent_mfu,
            "hfu": self.hfu,
            "mfu_palm": self.mfu_palm,
            "tokens_per_second": self.tokens_per_second,
            "tokens_per_second_per_device": self._rate("tokens", "device_seconds"),
            "step_seconds": self.step_seconds(),
            "step_p95_seconds": self.step_seconds(0.95),
            "step_max_seconds": self.step_seconds(1.0),
            "data_wait_seconds": _ratio(waited, window.recent_steps),
            "data_wait_frac": _ratio(waited, window.recent_total("seconds")),
        }
        if window.total("tokens") != window.total("padded_tokens"):
            real = self._rate("tokens", "padded_tokens") or 0.0
            found["padded_tokens_per_second"] = self._rate("padded_tokens", "seconds")
            found["effective_mfu"] = self.mfu and self.mfu * real
        for section in ("logging", *BETWEEN):
            found[f"{section}_seconds"] = timer.spent[section] or None
        if (self.mfu or 0.0) > 1:
            self._warn("MFU is above 1: check the operations a step, and the peak.")
        timer.tell()
        return {f"perf/{n}": value for n, value in found.items() if value is not None}

    def hosts(self, timeout: float = PATIENCE) -> HostTimes:
        """Recent step and data-wait times of every process; all of them call it.

        Args:
          timeout: Seconds to wait for the others.

        Raises:
          MissingHostError: A process did not call it in time.
        """
        window, steps = self._timer.window, self._timer.window.recent_steps
        step = _ratio(window.recent_total("seconds"), steps)
        waited = _ratio(window.recent_total("data_wait_seconds"), steps)
        return exchanged(step, waited, timeout)

    def describe(self) -> dict[str, Any]:
        """Where operations and peak come from, in plain values, for a run's header."""
        peak = self._peak()
        source = None if peak is None else "given" if self._given_peak else "table"
        kind = jax.devices()[0].device_kind
        found = {"flops_per_second": peak, "device_kind": kind, "source": source}
        return {"flops": self._flops.describe(), "peak": found}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, and arrays of fixed shapes."""
        return self._timer.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, with a warm-up as at the start."""
        self._timer.load_state(state)

    def _utilization(self, figure: str) -> float | None:
        window = self._timer.window
        done = self._flops.of(figure, window.steps, window.total("padded_tokens"))
        return self._over_peak(done, window.total("device_seconds"))

    def _over_peak(self, done: float | None, device_seconds: float) -> float | None:
        peak = None if done is None else self._peak()
        return None if peak is None else _ratio(done, device_seconds * peak)

    def _peak(self) -> float | None:
        if self._given_peak is not None:
            return self._given_peak
        kind = jax.devices()[0].device_kind
        if (peak := listed_peak(kind)) is None:
            self._warn(
                f"The peak of {kind!r} is not known, so there is no MFU. Give "
                f"PerformanceTracker its peak_flops_per_second."
            )
        return peak

    def _rate(self, field: str, of: str) -> float | None:
        window = self._timer.window
        return _ratio(window.total(field) or None, window.total(of))

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _LOG.warning(message)


def _ratio(part: float | None, whole: float) -> float | None:
    return None if part is None or not whole else part / whole
