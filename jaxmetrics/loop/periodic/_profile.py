"""Profile windows of steps with `jax.profiler`."""

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
from jaxmetrics.loop.periodic._schedule import Schedule
from jaxmetrics.processes import process_index
from jaxmetrics.record import absolute_path, check_step, is_remote, require_integers

_LOG = logging.getLogger("jaxmetrics")


class Profile:
    """Profile windows of a few steps with `jax.profiler`, for TensorBoard or xprof.

    A window opens after step `first_profile`, and again as `every_steps` and
    `every_secs` say; without them there is one window. Opening and closing wait for the
    devices, so that exactly the steps of the window are in the trace. If a trace cannot
    be made, a warning is logged and training continues.

    An open trace is closed at the end of the `with` block, by `close`, or at the end of
    the process unless it is killed.

    Args:
      logdir: Directory of the traces.
      num_profile_steps: Number of steps in a window.
      first_profile: Step after which the first window opens.
      every_steps: Open a window at multiples of this number.
      every_secs: Open a window this many seconds after the previous one opened.
      all_processes: True to trace on each process, False only on process 0.
      around: Factory of a context manager that is entered while a window is open, such
        as the `profile` of a `PerformanceTracker`.
      on_done: Callback that receives the step after which a window opened, and the
        directory, once the trace is written.
      clock: Function that returns monotonic seconds.

    Raises:
      OSError: The directory cannot be created.
      TypeError: A period is not a number, or a step not an integer.
      ValueError: A period or the number of steps is not positive.

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
        require_integers("Profile", num_profile_steps=num_profile_steps)
        require_integers("Profile", first_profile=first_profile)
        if num_profile_steps < 1:
            raise ValueError(
                f"Profile got num_profile_steps={num_profile_steps!r}, expected at "
                f"least 1. The default is 5 steps."
            )
        self._schedule = Schedule("Profile", every_steps, every_secs, (first_profile,))
        is_local = not is_remote(logdir)
        self._logdir = os.fspath(absolute_path(logdir) if is_local else logdir)
        self._num_steps = int(num_profile_steps)
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
        if is_local and process_index() == 0:
            Path(self._logdir).mkdir(parents=True, exist_ok=True)

    @property
    def active(self) -> bool:
        """True if the time of the last or the next step includes tracing.

        True from the call that opens a window to the one that closes it, both
        included, on every process: statistics can leave these steps out, whether they
        are computed before or after the call.
        """
        return self._active

    def __call__(self, step: int, t: float | None = None) -> bool:
        """Open or close a window if due; call it after each step.

        Args:
          step: Number of optimizer updates completed.
          t: Time in seconds, of any origin. Default: the clock.

        Returns:
          True if a window was opened.
        """
        step = check_step(step, "Profile")
        t = self._clock() if t is None else t
        previous, self._step = self._step, step
        if previous is None or step < previous:
            self.close()
            self._schedule.start(step - 1, t)
        due = self._schedule.due(step, t)
        self._active = self._opened is not None
        if self._opened is not None:
            if step - self._opened >= self._num_steps:
                self._close()
        elif due:
            self._active = self._open(step)
            return self._active
        return False

    def close(self) -> None:
        """Close the window if one is open."""
        self._close()
        self._active = False

    def __enter__(self) -> Profile:
        """Return the profile."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window if one is open."""
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
    """A trace of `jax.profiler`, which supports one at a time."""

    def __init__(self, logdir: str) -> None:
        self._logdir = logdir
        self._open_in: int | None = None
        self._marks: DeviceMarks | None = None

    def begin(self) -> bool:
        """Complete launched programs, start a trace, and return whether it worked."""
        import jax

        self._marks = self._marks or DeviceMarks()
        self._marks.put().block_until_ready()
        try:
            jax.profiler.start_trace(self._logdir)
        except Exception as error:
            _LOG.warning("Cannot profile to %s (%s).", self._logdir, error)
            return False
        self._open_in = os.getpid()
        return True

    def end(self) -> bool:
        """Write the open trace with all launched programs; return whether it worked."""
        pid, self._open_in = self._open_in, None
        # In a forked process the trace belongs to the parent.
        if pid != os.getpid() or self._marks is None:
            return False
        import jax

        try:
            with contextlib.suppress(Exception):  # a failed step is traced too
                self._marks.put().block_until_ready()
            jax.profiler.stop_trace()
        except Exception as error:
            _LOG.warning("Cannot write the profile to %s (%s).", self._logdir, error)
            return False
        return True
