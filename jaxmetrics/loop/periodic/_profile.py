"""A window of `jax.profiler` now and then."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from jaxmetrics.loop.periodic._device_marks import DeviceMarks
from jaxmetrics.loop.periodic._periods import Periods
from jaxmetrics.processes import process_index
from jaxmetrics.record import check_step

_LOG = logging.getLogger("jaxmetrics")


class Profile:
    """Profiles a few steps now and then with `jax.profiler`, for TensorBoard or xprof.

    A window opens after step `first_profile`, and again by `every_steps` and
    `every_secs`; without them there is one. It waits for the devices where it opens
    and closes, so that its steps are in it, and others are not. That a trace could not
    be made is a warning: training goes on.

    An open trace is closed at the end of the `with` block, by `close`, or at the end of
    the process, whatever ends it but a kill.

    Args:
      logdir: The folder of the traces.
      num_profile_steps: Steps of a window.
      first_profile: The step after which the first window opens.
      every_steps: Open a window at multiples of it.
      every_secs: Open one so many seconds after the last one opened.
      all_processes: Whether each process makes traces; otherwise the first does.
      around: Makes a context that is entered while a window is open: the `profile` of a
        `PerformanceTracker`.
      on_done: Called with the step after which a window opened, and the folder.
      clock: Monotonic seconds.

    Raises:
      OSError: The folder cannot be made.

    Example:
      >>> import tempfile
      >>> with Profile(tempfile.mkdtemp(), first_profile=10) as profile:
      ...     for step in range(1, 4):
      ...         opened = profile(step)  # after each step
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        *,
        num_profile_steps: int = 5,
        first_profile: int = 10,
        every_steps: int | None = None,
        every_secs: float | None = None,
        all_processes: bool = False,
        around: Callable[[], AbstractContextManager[object]] | None = None,
        on_done: Callable[[int, str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if num_profile_steps < 1:
            raise ValueError(
                f"Profile got num_profile_steps={num_profile_steps!r}, expected at "
                f"least 1. Leave it out for 5 steps."
            )
        self._periods = Periods("Profile", every_steps, every_secs, (first_profile,))
        self._logdir = os.fspath(logdir)
        self._num_steps = num_profile_steps
        self._all_processes = all_processes
        self._around = around or contextlib.nullcontext
        self._context = contextlib.ExitStack()
        self._on_done = on_done
        self._clock = clock
        self._step: int | None = None
        self._opened: int | None = None
        self._active = False
        self._trace = _Trace(self._logdir)
        weakref.finalize(self, self._trace.end)
        if "://" not in self._logdir and process_index() == 0:
            Path(self._logdir).mkdir(parents=True, exist_ok=True)

    @property
    def active(self) -> bool:
        """Whether the time of the last step, or the next, has a trace in it.

        It is true from the call that opens a window to the one that closes it, both
        included, on every process: statistics leave these steps out, whether they are
        taken before or after the call.
        """
        return self._active

    def __call__(self, step: int, t: float | None = None) -> bool:
        """Open or close a window where it is due; call it after each step.

        Args:
          step: Optimizer updates completed.
          t: Seconds of any origin; None asks the clock.

        Returns:
          Whether a window was opened.
        """
        step = check_step(step, "Profile")
        t = self._clock() if t is None else t
        before, self._step = self._step, step
        if before is None or step < before:
            self.close()
            self._periods.start(step - 1, t)
        due = self._periods.due(step, t)
        self._active = self._opened is not None
        if self._opened is not None:
            if step - self._opened >= self._num_steps:
                self._close()
        elif due:
            self._active = self._open(step)
            return self._active
        return False

    def close(self) -> None:
        """Close the window that is open, if one is."""
        self._close()
        self._active = False

    def __enter__(self) -> Profile:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window that is open, if one is."""
        self.close()

    def _open(self, step: int) -> bool:
        import jax

        traces = self._all_processes or jax.process_index() == 0
        with contextlib.ExitStack() as context:
            context.enter_context(self._around())
            if traces and not self._trace.begin():
                return False
            self._context = context.pop_all()
        self._opened = step
        return True

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        with self._context:
            written = opened is not None and self._trace.end()
        if opened is not None and written and self._on_done is not None:
            self._on_done(opened, self._logdir)


class _Trace:
    """A trace of `jax.profiler`, which has room for one at a time."""

    def __init__(self, logdir: str) -> None:
        self._logdir = logdir
        self._open_in: int | None = None
        self._marks: DeviceMarks | None = None

    def begin(self) -> bool:
        """Whether a trace begins here, after what was launched before."""
        import jax

        self._marks = self._marks or DeviceMarks()
        self._marks.put().block_until_ready()
        try:
            jax.profiler.start_trace(self._logdir)
        except Exception as error:
            _LOG.warning("No profile is made in %s (%s).", self._logdir, error)
            return False
        self._open_in = os.getpid()
        return True

    def end(self) -> bool:
        """Whether a trace was open and is written, with what was launched before."""
        opened, self._open_in = self._open_in, None
        if opened != os.getpid() or self._marks is None:  # a fork's is its parent's
            return False
        import jax

        try:
            with contextlib.suppress(Exception):  # a step that failed is still traced
                self._marks.put().block_until_ready()
            jax.profiler.stop_trace()
        except Exception as error:
            _LOG.warning("The profile in %s was not written (%s).", self._logdir, error)
            return False
        return True
