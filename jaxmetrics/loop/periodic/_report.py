"""Tells how far a training is and how fast it goes, now and then."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from jaxmetrics.loop.periodic._device_marks import DeviceMarks
from jaxmetrics.loop.periodic._periods import Periods
from jaxmetrics.loop.periodic._profile import Profile
from jaxmetrics.record import check_step, duration, rate

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_LOG = logging.getLogger("jaxmetrics")


class ReportProgress:
    """Reports the steps a second since the last report, and the time that is left.

    With a logger these are `perf/steps_per_second`, `perf/eta_seconds`,
    `perf/uptime_seconds` and, for what was `timed`, `perf/timed/<name>_seconds` so far;
    a line of text goes to the logging logger `jaxmetrics` at level INFO, always.
    The first call, after a restart too, only begins to count.

    Args:
      num_train_steps: The last step, which is reported too; None when not known.
      every_steps: Report at multiples of it.
      every_secs: Report after so many seconds.
      on_steps: Report at these steps.
      logger: Takes the scalars; its later steps must come in order.
      profile: Its steps are left out of the rate.
      clock: Monotonic seconds.

    Example:
      >>> import jaxmetrics as jm
      >>> memory = jm.writers.Memory()
      >>> import tempfile
      >>> with jm.TrainingLogger(root=tempfile.mkdtemp(), writers=[memory]) as logger:
      ...     report = ReportProgress(100, every_steps=10, logger=logger)
      ...     done = [report(step, t=step / 4) for step in (9, 10, 11)]
      >>> done, memory.records[0].values["perf/eta_seconds"]
      ([False, True, False], 22.5)
    """

    def __init__(
        self,
        num_train_steps: int | None = None,
        *,
        every_steps: int | None = None,
        every_secs: float | None = 60.0,
        on_steps: Iterable[int] = (),
        logger: TrainingLogger | None = None,
        profile: Profile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count the time since the start."""
        if num_train_steps is not None and num_train_steps < 1:
            raise ValueError(
                f"ReportProgress got num_train_steps={num_train_steps!r}, expected a "
                f"positive integer. Leave it out when it is not known."
            )
        last = () if num_train_steps is None else (num_train_steps,)
        self._periods = Periods(
            "ReportProgress", every_steps, every_secs, (*on_steps, *last)
        )
        self._total = num_train_steps
        self._logger = logger
        self._profile = profile
        self._clock = clock
        self._began = clock()
        self._seen: tuple[int, float] | None = None
        self._steps, self._seconds = 0, 0.0
        self._parts: dict[str, float] = defaultdict(float)
        self._timing: deque[tuple[str, Future[float], Future[float]]] = deque()
        self._marks: DeviceMarks | None = None
        self._waiter: ThreadPoolExecutor | None = None

    def __call__(self, step: int, t: float | None = None) -> bool:
        """Count the steps up to `step`, and report when it is due.

        Args:
          step: Optimizer updates completed.
          t: Seconds of any origin; None asks the clock.

        Returns:
          Whether it was reported.

        Raises:
          ValueError: As in `TrainingLogger.log_step`.
        """
        step = check_step(step, "ReportProgress")
        t = self._clock() if t is None else t
        seen, self._seen = self._seen, (step, t)
        if seen is None or step < seen[0]:
            self._periods.start(step, t)
            self._steps, self._seconds = 0, 0.0
            return False
        if step == seen[0]:
            return False
        if self._profile is None or not self._profile.active:
            self._steps += step - seen[0]
            self._seconds += t - seen[1]
        if not self._periods.due(step, t):
            return False
        self._report(step)
        self._steps, self._seconds = 0, 0.0
        return True

    @contextlib.contextmanager
    def timed(self, name: str, wait_jax_async_dispatch: bool = True) -> Iterator[None]:
        """Account the time of a block under a name.

        Args:
          name: Of this part of the loop: `"eval"`.
          wait_jax_async_dispatch: Whether it is the time from when the devices have
            done what was launched before the block to when they have done what was
            launched in it. Another thread waits for them, the block does not. If not,
            it is the time of the statements.
        """
        begun = self._moment(wait_jax_async_dispatch)
        try:
            yield
        finally:
            ended = self._moment(wait_jax_async_dispatch)
            self._timing.append((name, begun, ended))
            self._settle()

    def _moment(self, wait: bool) -> Future[float]:
        """The time now, or the one when the devices have come to this point."""
        if not wait:
            now: Future[float] = Future()
            now.set_result(self._clock())
            return now
        if self._marks is None or self._waiter is None:
            self._marks = DeviceMarks()
            self._waiter = ThreadPoolExecutor(1, "jaxmetrics-timed")
        mark, clock = self._marks.put(), self._clock

        def reached() -> float:
            mark.block_until_ready()
            return clock()

        return self._waiter.submit(reached)

    def _settle(self) -> None:
        """Add up the times that are known by now."""
        while self._timing and self._timing[0][2].done():
            name, begun, ended = self._timing.popleft()
            self._parts[name] += ended.result() - begun.result()

    def _report(self, step: int) -> None:
        self._settle()
        uptime = self._clock() - self._began
        per_second = self._steps / self._seconds if self._seconds > 0 else 0.0
        values, texts = {"perf/uptime_seconds": uptime}, [f"step {step}"]
        if self._total is not None:
            texts.append(f"{1000 * step // self._total / 10:.1f}% of {self._total}")
        if per_second > 0:
            values["perf/steps_per_second"] = per_second
            texts.append(rate(per_second))
            if self._total is not None:
                left = max(self._total - step, 0) / per_second
                values["perf/eta_seconds"] = left
                texts.append(f"eta {duration(left)}")
        texts.append(f"up {duration(uptime)}")
        for name, seconds in sorted(self._parts.items()):
            values[f"perf/timed/{name}_seconds"] = seconds
            share = seconds / uptime if uptime > 0 else 0.0
            texts.append(f"{share:.1%} {name}")
        _LOG.info("%s", ", ".join(texts))
        if self._logger is not None:
            self._logger.log_step(step, values)
