"""Report the progress and speed of a training periodically."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from jaxmetrics.loop.periodic._device_marks import DeviceMarks
from jaxmetrics.loop.periodic._profile import Profile
from jaxmetrics.loop.periodic._schedule import Schedule
from jaxmetrics.record import check_step, duration, rate, require_integers

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

_LOG = logging.getLogger("jaxmetrics")


class ReportProgress:
    """Report the steps per second since the last report, and the remaining time.

    With a logger these are `perf/steps_per_second`, `perf/eta_seconds`,
    `perf/uptime_seconds` and, for `timed` blocks, `perf/timed/<name>_seconds` since the
    start. A line of text is always logged to the Python logger `jaxmetrics` at level
    INFO. The first call, also after a restart, only starts to count.

    Args:
      num_train_steps: Number of the last step, which is reported unless it is that of
        the first call. None: unknown.
      every_steps: Report at multiples of this number.
      every_secs: Report after this many seconds.
      on_steps: Report at these steps.
      logger: Logger that receives the scalars.
      profile: Profile whose steps are left out of the rate.
      clock: Function that returns monotonic seconds.

    Raises:
      TypeError: A period is not a number, or a step not an integer.
      ValueError: A period or the number of steps is not positive.

    Example:
      >>> import jaxmetrics as jm
      >>> memory = jm.writers.Memory()
      >>> import tempfile
      >>> options = dict(root=tempfile.mkdtemp(), writers=[memory], console=False)
      >>> with jm.TrainingLogger(**options) as logger:
      ...     report = ReportProgress(100, every_steps=10, logger=logger)
      ...     reported = [report(step, t=step / 4) for step in (9, 10, 11)]
      >>> reported, memory.records[0].values["perf/eta_seconds"]
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
        """Start to measure the uptime."""
        if num_train_steps is not None:
            require_integers("ReportProgress", num_train_steps=num_train_steps)
            num_train_steps = int(num_train_steps)
            if num_train_steps < 1:
                raise ValueError(
                    f"ReportProgress got num_train_steps={num_train_steps!r}, expected "
                    f"a positive integer. Leave it out if it is unknown."
                )
        self._schedule = Schedule(
            "ReportProgress", every_steps, every_secs, on_steps, num_train_steps
        )
        self._num_train_steps = num_train_steps
        self._logger = logger
        self._profile = profile
        self._clock = clock
        self._start = clock()
        self._last_call: tuple[int, float] | None = None
        self._steps, self._seconds = 0, 0.0
        self._sections: dict[str, float] = defaultdict(float)
        self._unfinished: deque[tuple[str, Future[float], Future[float]]] = deque()
        self._marks: DeviceMarks | None = None
        self._waiter: ThreadPoolExecutor | None = None

    def __call__(self, step: int, t: float | None = None) -> bool:
        """Count the steps up to `step`, and report if due.

        Args:
          step: Number of optimizer updates completed.
          t: Time in seconds, of any origin. Default: the clock.

        Returns:
          True if it reported.

        Raises:
          ValueError: As in `TrainingLogger.log_step`.
        """
        step = check_step(step, "ReportProgress")
        t = self._clock() if t is None else t
        last, self._last_call = self._last_call, (step, t)
        if last is None or step < last[0]:
            self._schedule.start(step, t)
            self._steps, self._seconds = 0, 0.0
            return False
        if step == last[0]:
            return False
        if self._profile is None or not self._profile.active:
            self._steps += step - last[0]
            self._seconds += t - last[1]
        if not self._schedule.due(step, t):
            return False
        self._report(step)
        self._steps, self._seconds = 0, 0.0
        return True

    @contextlib.contextmanager
    def timed(self, name: str, wait_jax_async_dispatch: bool = True) -> Iterator[None]:
        """Add the time of a block to the section of a name.

        Args:
          name: Name of the section, such as `"eval"`.
          wait_jax_async_dispatch: True to measure from the completion of the programs
            launched before the block to the completion of those launched in it; a
            thread waits for the devices, the block does not. False to measure the time
            of the Python statements.
        """
        start = self._time(wait_jax_async_dispatch)
        try:
            yield
        finally:
            end = self._time(wait_jax_async_dispatch)
            self._unfinished.append((name, start, end))
            self._add_finished()

    def _time(self, wait: bool) -> Future[float]:
        """Return the time now, or when the devices complete all launched programs."""
        if not wait:
            now: Future[float] = Future()
            now.set_result(self._clock())
            return now
        if self._marks is None or self._waiter is None:
            self._marks = DeviceMarks()
            self._waiter = ThreadPoolExecutor(1, "jaxmetrics-timed")
        mark, clock = self._marks.put(), self._clock

        def completed() -> float:
            mark.block_until_ready()
            return clock()

        return self._waiter.submit(completed)

    def _add_finished(self) -> None:
        """Add the times of blocks whose programs are complete."""
        while self._unfinished and self._unfinished[0][2].done():
            name, start, end = self._unfinished.popleft()
            self._sections[name] += end.result() - start.result()

    def _report(self, step: int) -> None:
        self._add_finished()
        uptime = self._clock() - self._start
        per_second = self._steps / self._seconds if self._seconds > 0 else 0.0
        values, texts = {"perf/uptime_seconds": uptime}, [f"step {step}"]
        if self._num_train_steps is not None:
            percent = 1000 * step // self._num_train_steps / 10
            texts.append(f"{percent:.1f}% of {self._num_train_steps}")
        if per_second > 0:
            values["perf/steps_per_second"] = per_second
            texts.append(rate(per_second))
            if self._num_train_steps is not None:
                eta = max(self._num_train_steps - step, 0) / per_second
                values["perf/eta_seconds"] = eta
                texts.append(f"eta {duration(eta)}")
        texts.append(f"up {duration(uptime)}")
        for name, seconds in sorted(self._sections.items()):
            values[f"perf/timed/{name}_seconds"] = seconds
            share = seconds / uptime if uptime > 0 else 0.0
            texts.append(f"{share:.1%} {name}")
        _LOG.info("%s", ", ".join(texts))
        if self._logger is not None:
            self._logger.log_step(step, values)
