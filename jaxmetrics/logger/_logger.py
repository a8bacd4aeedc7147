"""Turns what a training loop measures into records, and owns the writers."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmetrics import processes
from jaxmetrics.logger._log_config import LogConfig, merged
from jaxmetrics.logger._logs_media import LogsMedia
from jaxmetrics.logger._opening import open_run
from jaxmetrics.logger._rundir import described
from jaxmetrics.logger._runtime_events import RuntimeEvents
from jaxmetrics.logger._saves_state import SavesState
from jaxmetrics.logger._sigterm import Sigterm
from jaxmetrics.pipeline import Fetched, Rows, Values, best_fn
from jaxmetrics.processes import Agreement
from jaxmetrics.record import Elapsed, Ledger
from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")


class TrainingLogger(LogsMedia, SavesState):
    """Logs a training run, without waiting for devices or for writers.

    Every process makes one and calls `log_step` at the same steps; the first process
    writes. A run directory that exists is continued as its next attempt.

    Args:
      project: The folder of the run below `root`.
      run_name: The run's own folder; None is the time, `YYYYMMDD_HHMMSS`.
      root: The folder of all projects.
      hparams: The user's configuration, written to `run.json` without its secrets.
      config: Settings, over which the fields given here go.
      writers: What becomes of the records; None prints and writes `metrics.jsonl`.
      overwrite: Set an existing run directory aside, and begin anew.
      resume_step: Continue from this step; later rows are set aside.
      mirror: A folder, such as the mount of a bucket, that gets copies of the run's
        files at each checkpoint and at the end, below `<project>/<run_name>`; a run
        directory that is not there is made from them. The copies are pieces of the
        files that are never changed. None makes none.
      clock: Seconds since the epoch.
      install_sigterm: After SIGTERM the next `log_step` or `flush` closes the log and
        ends the process; with a handler of yours it only flushes.
      fields: Fields of `LogConfig`.

    Example:
      >>> import tempfile
      >>> with TrainingLogger(root=tempfile.mkdtemp(), print_every=1) as logger:
      ...     logger.log_step(step=1000, loss=1.5, lr=3e-4)
      [   0.0m] step=1000 │ loss=1.500 │ lr=3.000e-04
    """

    def __init__(
        self,
        project: str | None = None,
        run_name: str | None = None,
        root: str | Path = "runs",
        hparams: object = None,
        config: LogConfig | None = None,
        writers: Sequence[Writer] | None = None,
        overwrite: bool = False,
        resume_step: int | None = None,
        mirror: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        install_sigterm: bool = False,
        **fields: Any,
    ) -> None:
        """Open the run directory and the writers; what cannot be written fails here."""
        named = {"project": project, "run_name": run_name}
        fields |= {name: value for name, value in named.items() if value is not None}
        self.config = merged(config, fields)
        if overwrite and resume_step is not None:
            raise ValueError(
                f"TrainingLogger got overwrite=True and resume_step={resume_step}, "
                f"which begin anew and continue. Choose one."
            )
        self._sigterm = Sigterm(install_sigterm)
        self._known, self._place = processes.known(), processes.place()
        self._run, self._sinks, self._mirror = open_run(
            root,
            self.config,
            writers,
            hparams=hparams,
            overwrite=overwrite,
            resume_step=resume_step,
            mirror=mirror,
            clock=clock,
        )
        self._elapsed = Elapsed(clock, self._run.elapsed)
        self._agreement = Agreement()
        self._fetched = Fetched()
        self._rows = Rows(self._fetched.note)
        self._values = Values()
        self._rows.reset(self._run.last, (resume_step or 0) + 1)
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed: bool | None = None
        self.ledger.event("start", restored_step=resume_step)
        self._runtime = RuntimeEvents(self.ledger)
        self._runtime.begin()
        atexit.register(self._at_exit)
        self._sigterm.install()

    @property
    def run_dir(self) -> Path:
        """The directory of the run."""
        return self._run.path

    @property
    def ledger(self) -> Ledger:
        """The run's events; silent on processes other than the first."""
        return self._run.ledger

    def log_step(
        self,
        step: int | None = None,
        metrics: Any = None,
        *,
        split: str = "train",
        **values: Any,
    ) -> None:
        """Log scalars of one step, which joins what is logged for it otherwise.

        Args:
          step: Optimizer updates completed; None takes the next one.
          metrics: A Metric, a Collection, a deferred one, or a mapping of names to
            scalars. Of deferred and global metrics every process calls it, at the same
            steps; scalars may be logged by one process alone.
          split: `"train"`, `"val"`, or a name of yours.
          values: Scalars by name; `tokens` and `samples` are counts since the start.

        Raises:
          TypeError: A value is not a number; the other values are logged.
          ValueError: The record is past the step, a name was given twice, or another
            process logs other metrics.
          RuntimeError: A value, of this call or an earlier one, was deleted before it
            was fetched; the error has its name, and the other values are logged.
          MissingHostError: Another process does not log these metrics.
        """
        if self._pid != os.getpid():
            return
        refusal = None if metrics is None else self._agreement.refusal(metrics)
        metrics = None if refusal else metrics
        with self._lock:
            if self._closed is not None or not self._known:
                self._require_open()
                self._check_place()
            row, complete = self._rows.begin(step, split, self._elapsed.exact())
            if split == "train":
                self.ledger.progress(row.step)
            self._sinks.offer(complete)
            errors = self._values.add(row, metrics, values)
        if refusal or errors or self._fetched.faults or self._sigterm.noted:
            self._raise([refusal, *errors] if refusal else errors)

    def flush(self, timeout: float = 30.0) -> bool:
        """Whether all that was logged is written, and on the disk, within `timeout`.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if self._pid != os.getpid():
            return False
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._closed is not None:
                return self._closed
            self._sinks.offer(self._rows.finish())
        held = self._sinks.flush(deadline)
        held = self.ledger.flush() and held
        self._raise([])
        return held

    def close(self, timeout: float = 30.0) -> bool:
        """Flush and let everything go, within `timeout` in all; later calls do nothing.

        Returns:
          What `flush` would have.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if self._pid != os.getpid():
            return False
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._closed is not None:
                return self._closed
            self._runtime.end()
            self._sinks.offer(self._rows.finish())
            self._closed = self._sinks.close(deadline)
            reached = self._rows.last.get("train")
            told = {"writers": self._sinks.counters(), "cuts": self._fetched.cuts()}
            self.ledger.event("close", step=reached, **told)
            self._closed = self.ledger.flush() and self._closed
            self._mirror.finish(deadline)
            self.ledger.close()
            atexit.unregister(self._at_exit)
        self._sigterm.release()
        self._raise([])
        return self._closed

    def __enter__(self) -> TrainingLogger:
        """Return itself."""
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        """Close it; an error of the block goes before those of the log."""
        if kind is None:
            self.close()
        else:
            self._at_exit()

    def latest(self) -> dict[str, float | int]:
        """The last value of each key that was written; call `flush` before."""
        return self._fetched.latest()

    def best_fn(self, name: str) -> Callable[[Mapping[str, float]], float]:
        """What a CheckpointManager asks how good a checkpoint's metrics are.

        Args:
          name: A key of the metrics that are saved, such as those of `latest`.
        """
        return best_fn(name)

    def describe(self, **fields: Any) -> None:
        """Add to `run.json` what is known of the machine and the step.

        Args:
          fields: `mesh=`, a mesh of JAX; `flops=` and `peak=`, as
            `PerformanceTracker.describe()` gives them; others in plain values.

        Raises:
          ValueError: A field is one that the logger keeps.
        """
        self._run.describe(**described(fields))

    def _require_open(self) -> None:
        if self._closed is not None:
            raise ValueError(
                f"The logger of {self.run_dir} is closed. Close it last, or make a new "
                f"one with resume_step=."
            )

    def _check_place(self) -> None:
        """Once JAX has started, see whether the logger was not made too early."""
        if self._known or not processes.known():
            return
        self._runtime.begin()
        if (place := processes.place()) != self._place:
            raise RuntimeError(
                f"TrainingLogger was made before JAX knew that this is process "
                f"{place[0]} of {place[1]}. Make it after jax.distributed.initialize()."
            )
        self._known = True
        self._run.describe(devices=processes.devices())

    def _raise(self, errors: list[Exception]) -> None:
        """Raise what is wrong with values, all of it in one error."""
        if self._sigterm.noted:
            self._sigterm.answer(self.flush, self.close)
        if faults := self._fetched.take_faults():
            errors = errors + [RuntimeError(fault) for fault in faults]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise type(errors[0])("\n".join(str(error) for error in errors))

    def _at_exit(self) -> None:
        try:
            self.close()
        except Exception as error:
            _LOG.warning("Closing the log of %s: %s", self.run_dir, error)
