"""TrainingLogger: turns what a training loop measures into records."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmetrics import processes
from jaxmetrics.logger._log_config import LogConfig, merged
from jaxmetrics.logger._open_run import open_run
from jaxmetrics.logger._run_directory import plain_fields
from jaxmetrics.logger._runtime_events import RuntimeEvents
from jaxmetrics.logger._sigterm import Sigterm
from jaxmetrics.logger._state import checked_state
from jaxmetrics.pipeline import (
    FetchedValues,
    MediaKind,
    MediaRow,
    OpenRows,
    RowFiller,
    best_fn,
    media_value,
)
from jaxmetrics.processes import Agreement
from jaxmetrics.record import Elapsed, Ledger, check_step, key
from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_PROGRESS_SECONDS = 10.0
_REWIND_SECONDS = 30.0


class TrainingLogger:
    """Log a training run without waiting for devices or writers.

    Every process creates one and calls `log_step` at the same steps; the first process
    writes. A run directory that exists is continued as its next attempt.

    Args:
      project: Folder of the run, below `root`.
      run_name: Folder of the run, below `project`. None takes the time,
        `YYYYMMDD_HHMMSS`.
      root: Folder of all projects.
      hparams: Configuration of the training, written to `run.json` without secrets.
      config: Settings; fields passed directly take precedence.
      writers: Writers that receive each record. None takes a console and
        `metrics.jsonl`.
      overwrite: Set an existing run directory aside and begin again.
      resume_step: Continue from this step; later rows are set aside.
      mirror: Folder, such as a mounted bucket, that gets copies of the run's files at
        each checkpoint and at the end, below `<project>/<run_name>`. The copies are
        pieces of the files that never change. A run directory that is missing is
        restored from them. None makes no copies.
      clock: Seconds since the epoch.
      install_sigterm: After SIGTERM the next `log_step` or `flush` closes the log and
        ends the process. If a SIGTERM handler was installed before, the log is only
        flushed.
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
        """Open the run directory and the writers; what cannot be written raises."""
        names = {"project": project, "run_name": run_name}
        fields |= {name: value for name, value in names.items() if value is not None}
        self.config: LogConfig = merged(config, fields)
        if overwrite and resume_step is not None:
            raise ValueError(
                f"TrainingLogger got overwrite=True and resume_step={resume_step}; the "
                f"first begins again, the second continues. Pass one of them."
            )
        self._sigterm = Sigterm(install_sigterm)
        self._process_known = processes.identity_is_known()
        self._process = processes.process_index(), processes.process_count()
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
        self._clock = clock
        self._elapsed = Elapsed(clock, self._run.elapsed)
        self._progress_noted = -math.inf
        self._agreement = Agreement()
        self._fetched = FetchedValues()
        self._rows = OpenRows(self._fetched.add)
        self._rows.reset(self._run.last, (resume_step or 0) + 1)
        self._filler = RowFiller()
        self._warned: set[str] = set()
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
        """Directory of the run."""
        return self._run.path

    @property
    def ledger(self) -> Ledger:
        """Events of the run; silent on processes other than the first."""
        return self._run.ledger

    def log_step(
        self,
        step: int | None = None,
        metrics: Any = None,
        *,
        split: str = "train",
        **values: Any,
    ) -> None:
        """Log scalars of one step; several calls for a step and split make one record.

        Args:
          step: Optimizer updates completed. None takes the next step.
          metrics: A Metric, a Collection, a deferred one, or a mapping of names to
            scalars. For deferred and global metrics every process makes the call, at
            the same steps; scalars may be logged by a single process.
          split: `"train"`, `"val"`, or any other name.
          values: Scalars by name; `tokens` and `samples` are counts since the start.

        Raises:
          TypeError: A value is not a number; the other values are logged.
          ValueError: The split has a record at this step or a later one, a name was
            logged twice, or another process logs other metrics.
          RuntimeError: A value, of this call or an earlier one, was deleted before it
            was fetched; the error names it, and the other values are logged.
          MissingHostError: Another process does not log these metrics.
        """
        if self._pid != os.getpid():
            return
        refusal = None if metrics is None else self._agreement.mismatch(metrics)
        metrics = None if refusal else metrics
        with self._lock:
            if self._closed is not None or not self._process_known:
                self._require_open()
                self._check_process()
            row, complete = self._rows.begin(step, split, self._elapsed.exact())
            if split == "train":
                self._note_progress(row.step)
            self._sinks.offer(complete)
            errors = self._filler.fill(row, metrics, values)
        if refusal or errors or self._fetched.faults or self._sigterm.noted:
            self._raise_errors([refusal, *errors] if refusal else errors)

    # Media reach every writer that shows their kind, whatever its `every`, and need no
    # order of steps.

    def log_text(
        self,
        step: int,
        texts: Mapping[str, str] | None = None,
        *,
        split: str = "train",
        **more: str,
    ) -> None:
        """Log texts without secrets, cut at 65,536 characters each.

        Args:
          step: Optimizer updates completed.
          texts: Texts by name.
          split: As in `log_step`.
          more: More texts by name.

        Raises:
          TypeError: A value is not a str; the others are logged.
        """
        self._log_media("text", "log_text", step, split, {**(texts or {}), **more})

    def log_images(
        self,
        step: int,
        images: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log images, which another thread fetches from their devices.

        Args:
          step: Optimizer updates completed.
          images: Images by name, `[height, width]` or `[height, width, channels]` with
            1, 3 or 4 channels; uint8, or floats in [0, 1].
          split: As in `log_step`.
          more: More images by name.

        Raises:
          ValueError: An array is not an image; the others are logged.
          RuntimeError: As in `log_step`.
        """
        self._log_media("image", "log_images", step, split, {**(images or {}), **more})

    def log_histograms(
        self,
        step: int,
        arrays: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log histograms of arrays, if `enable_histograms` is set.

        An array on a device is counted there, as float32, in one launch that compiles
        once per shape; it may be donated right after. For an array that spans several
        processes, each of them makes the call.

        Args:
          step: Optimizer updates completed.
          arrays: Arrays of any shape by name, or pairs (counts, edges) as
            `np.histogram` returns them.
          split: As in `log_step`.
          more: More arrays by name.

        Raises:
          TypeError: Values are not real numbers; the others are logged.
          RuntimeError: As in `log_step`.
        """
        if not self.config.enable_histograms:
            self._warn_once("Histograms are left out: enable_histograms is False.")
            return
        arrays = {**(arrays or {}), **more}
        self._log_media("histogram", "log_histograms", step, split, arrays)

    def log_table(
        self,
        step: int,
        tables: Mapping[str, Any] | None = None,
        *,
        split: str = "train",
        **more: Any,
    ) -> None:
        """Log tables of at most 10,000 rows; secrets are hidden.

        Args:
          step: Optimizer updates completed.
          tables: Pairs (columns, rows) by name.
          split: As in `log_step`.
          more: More tables by name.

        Raises:
          TypeError: A value is not such a pair; the others are logged.
          ValueError: Rows differ in length from the columns, or there are too many.
        """
        self._log_media("table", "log_table", step, split, {**(tables or {}), **more})

    def log_hparams(self, hparams: object) -> None:
        """Add to the configuration of the run what was unknown when it began.

        Existing names are replaced. The configuration goes to `run.json` and to the
        writers that show it, without secrets. (TensorBoard keeps the first
        configuration of a run and shows later ones as a table.)

        Args:
          hparams: As for the constructor. A value that cannot be recorded is named in
            one warning; the others are recorded.

        Raises:
          TypeError: `hparams` has no names; nothing is recorded.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            self._require_open()
            self._check_process()
            plain = self._run.add_hparams(hparams)
            row = self._media_row("hparams", max(self._rows.last.values(), default=0))
            for name, value in plain.items():
                row.add(name, value)
            if not row.is_empty:
                self._sinks.offer([row])
        self._raise_errors([])

    def flush(self, timeout: float = 30.0) -> bool:
        """Write everything logged so far to disk.

        Args:
          timeout: Maximum seconds to wait.

        Returns:
          Whether all of it is on disk; False after a timeout, or if a row was lost.

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
        flushed = self._sinks.flush(deadline)
        flushed = self.ledger.flush() and flushed
        self._raise_errors([])
        return flushed

    def close(self, timeout: float = 30.0) -> bool:
        """Flush and close all writers; later calls do nothing.

        Args:
          timeout: Maximum seconds to wait, in all.

        Returns:
          As `flush`.

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
            counts = {"writers": self._sinks.counters(), "cuts": self._fetched.cuts()}
            self.ledger.event("close", step=self._rows.last.get("train"), **counts)
            self._closed = self.ledger.flush() and self._closed
            self._mirror.finish(deadline)
            self.ledger.close()
            atexit.unregister(self._at_exit)
        self._sigterm.release()
        self._raise_errors([])
        return self._closed

    def __enter__(self) -> TrainingLogger:
        """Return the logger."""
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        """Close the logger; an error of the block takes precedence over its own."""
        if kind is None:
            self.close()
        else:
            self._at_exit()

    def latest(self) -> dict[str, float | int]:
        """Return the last written value of each key; call `flush` before."""
        return self._fetched.latest()

    def best_fn(self, name: str) -> Callable[[Mapping[str, float]], float]:
        """Return the `best_fn` of a CheckpointManager that compares one value.

        Args:
          name: Key in the metrics that are saved, such as those of `latest`.
        """
        return best_fn(name)

    def describe(self, **fields: Any) -> None:
        """Add facts about the machine and the step to `run.json`.

        Args:
          fields: `mesh=`, a JAX mesh; `flops=` and `peak=`, as returned by
            `PerformanceTracker.describe()`; any others in plain values.

        Raises:
          ValueError: A field is one that the logger writes itself.
        """
        self._run.describe(**plain_fields(fields))

    def state(self) -> dict[str, Any]:
        """Flush, and return the state for a checkpoint in plain values.

        It holds steps, training seconds and positions in files. The copies for
        `mirror=` begin here, on another thread.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if not self.flush():
            _LOG.warning("state() of %s: not all rows could be flushed.", self.run_dir)
        with self._lock:
            self._require_open()
            if "train" in self._rows.last:
                self._note_progress(self._rows.last["train"], at_once=True)
            self._mirror.begin()
            return {
                "schema": 1,
                "run_id": self._run.run_id,
                "attempt": self._run.attempt,
                "time": self._elapsed(),
                "next_step": self._rows.next_step,
                "last_steps": dict(self._rows.last),
                "writers": self._sinks.state(),
                "latest": self._fetched.latest(),
            }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier `state`: steps, training seconds and written files.

        Rows logged later are set aside beside the files, and open rows are dropped.
        From the state of another run only steps and seconds are taken.

        Args:
          state: A result of `state()`, also after a round trip through JSON.

        Raises:
          ValueError: The state is of another version, or does not fit these files.
          RuntimeError: A writer did not answer.
        """
        state = checked_state(state)
        with self._lock:
            self._require_open()
            last_logged = max([state["next_step"] - 1, *state["last_steps"].values()])
            step = state.get("step", last_logged)
            writer_states = state["writers"]
            if state["run_id"] != self._run.run_id:
                writer_states = {}
                _LOG.warning(
                    "The state is of run %s; %s is another run and continues from "
                    "step %d.",
                    state["run_id"],
                    self.run_dir,
                    step,
                )
            self._rows.reset(state["last_steps"], state["next_step"])
            self._sinks.rewind(step, writer_states, timeout=_REWIND_SECONDS)
            self._fetched.restore(state["latest"])
            self._elapsed.reset(state["time"])
            self._run.note_restore(step)

    def _log_media(
        self,
        kind: MediaKind,
        call: str,
        step: int,
        split: str,
        values: Mapping[str, Any],
    ) -> None:
        if self._pid != os.getpid():
            return
        step = check_step(step, call)
        errors: list[Exception] = []
        with self._lock:
            self._require_open()
            self._check_process()
            is_shown = self._sinks.show(kind)
            if self._sinks and not is_shown:
                self._warn_once(
                    f"No writer of the run shows the values of {call}(); they are left "
                    f"out. Add writers.TensorBoard(), which shows all kinds."
                )
            row = self._media_row(kind, step, split)
            for name, value in values.items():
                try:
                    full = key(name, split)
                    row.add(full, media_value(kind, name, value, _count, is_shown))
                except (TypeError, ValueError, RuntimeError) as error:
                    errors.append(error)
            if is_shown and not row.is_empty:
                self._sinks.offer([row])
        self._raise_errors(errors)

    def _media_row(self, kind: MediaKind, step: int, split: str = "train") -> MediaRow:
        return MediaRow(kind, step, split, self._elapsed(), self._fetched.add)

    def _note_progress(self, step: int, at_once: bool = False) -> None:
        """Put the step into the ledger, at most every 10 seconds unless `at_once`.

        These events tell how far a killed attempt has come.
        """
        now = self._clock()
        # A clock that was set back counts as an interval that has passed.
        if at_once or not 0 <= now - self._progress_noted < _PROGRESS_SECONDS:
            self._progress_noted = now
            self.ledger.event("step", step=step)

    def _require_open(self) -> None:
        if self._closed is not None:
            raise ValueError(
                f"The logger of {self.run_dir} is closed. Close it last, or create a "
                f"new one with resume_step=."
            )

    def _check_process(self) -> None:
        """Once JAX has started, check that the logger was not created too early."""
        if self._process_known or not processes.identity_is_known():
            return
        self._runtime.begin()
        process = processes.process_index(), processes.process_count()
        if process != self._process:
            raise RuntimeError(
                f"TrainingLogger was created before JAX knew that this is process "
                f"{process[0]} of {process[1]}. Create it after "
                f"jax.distributed.initialize()."
            )
        self._process_known = True
        self._run.describe(devices=processes.device_summary())

    def _raise_errors(self, errors: list[Exception]) -> None:
        """Raise the errors of a call and the faults of earlier ones as one error."""
        if self._sigterm.noted:
            self._sigterm.answer(self.flush, self.close)
        if faults := self._fetched.take_faults():
            errors = errors + [RuntimeError(fault) for fault in faults]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise type(errors[0])("\n".join(str(error) for error in errors))

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _LOG.warning(message)

    def _at_exit(self) -> None:
        try:
            self.close()
        except Exception as error:
            _LOG.warning("Closing the log of %s: %s", self.run_dir, error)


def _count(array: Any) -> object:
    from jaxmetrics.logger._device_bins import count  # needs JAX

    return count(array)
