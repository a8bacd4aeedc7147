"""TrainingLogger: turns what a training loop measures into records."""

from __future__ import annotations

import atexit
import html
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jaxmetrics import processes
from jaxmetrics._other_names import LOGGER_CALLS, advice
from jaxmetrics.logger._ending import ending_fields, uncaught_error
from jaxmetrics.logger._log_config import LogConfig, merged
from jaxmetrics.logger._mirror import Mirror
from jaxmetrics.logger._open_loggers import (
    is_importing_main,
    note_closed,
    note_open,
    take_over,
)
from jaxmetrics.logger._open_run import absent_run, open_run, warn_of_unused
from jaxmetrics.logger._run_directory import local_folder, plain_fields
from jaxmetrics.logger._runtime_events import RuntimeEvents
from jaxmetrics.logger._sigterm import Sigterm
from jaxmetrics.logger._state import checked_state
from jaxmetrics.logger._steps import Steps
from jaxmetrics.pipeline import (
    CallReader,
    FetchedValues,
    Intake,
    MediaKind,
    MediaRow,
    Row,
    Sinks,
    best_fn,
    held_metrics,
    media_value,
    splits_of_call,
    with_metrics,
)
from jaxmetrics.processes import Agreement, CallMarks, Failures
from jaxmetrics.record import (
    Elapsed,
    Ledger,
    Record,
    check_step,
    dumps,
    duration_clock,
    key,
    loads,
    number,
)
from jaxmetrics.writers import Writer

_LOG = logging.getLogger("jaxmetrics")
_PROGRESS_SECONDS = 10.0
_REWIND_SECONDS = 30.0
_MAX_SECONDS = threading.TIMEOUT_MAX / 2  # that a lock is waited for
_MAX_SHOWN = 30
_MAX_ENTRIES = 256  # that wait for the thread of an idle writer
_MAX_UNUSED_ENTRIES = 16  # of a process that writes nothing


class _Default(str):
    """The split of a call that does not pass one."""


_TRAIN = _Default("train")


class TrainingLogger:
    """Log a training run without waiting for devices or writers.

    Every process creates one and calls `log_step` at the same steps; the first process
    writes. Each call is one record: it is queued at once and written when its values
    have been computed. A run directory that exists is continued as its next attempt.

    `metrics.jsonl`, the complete record, and a console are always there; `writers` adds
    to them.

    Args:
      project: Folder of the run, below `root`. None takes that of `config`.
      run_name: Folder of the run, below `project`. None takes the time,
        `YYYYMMDD_HHMMSS`.
      root: Folder of all projects. None writes nothing to disk: there is no run
        directory, no ledger and no `metrics.jsonl`.
      hparams: Configuration of the training, written to `run.json` without secrets.
      config: Settings; fields passed directly take precedence.
      writers: Writers to add. A `Console` replaces the one that is there without it, a
        `JSONL` for `metrics.jsonl` likewise.
      console: Whether there is a console if `writers` has none.
      overwrite: Set an existing run directory aside and begin again.
      resume_step: Continue from this step; later rows are set aside.
      mirror: Folder, or address such as `gs://bucket/folder`, that gets copies of the
        run's files at the start, at each checkpoint and at the end, below
        `<project>/<run_name>`. The copies are pieces of the files that never change. A
        run directory that is missing, or older than they are, is restored from them.
        None makes no copies.
      clock: Seconds since the epoch, for timestamps.
      monotonic: Seconds of any origin, for durations. If only `clock` is passed, it
        serves both.
      install_sigterm: After SIGTERM the next `log_step` or `flush` closes the log and
        ends the process. If a SIGTERM handler was installed before, the log is only
        flushed. A call outside of Python, such as a compilation, ends before that.
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
        root: str | Path | None = "runs",
        *,
        hparams: object = None,
        config: LogConfig | None = None,
        writers: Sequence[Writer] = (),
        console: bool = True,
        overwrite: bool = False,
        resume_step: int | None = None,
        mirror: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        install_sigterm: bool = False,
        **fields: Any,
    ) -> None:
        """Open the run directory and the writers; what cannot be written raises."""
        names = {"project": project, "run_name": run_name}
        passed = set(fields)
        fields |= {name: value for name, value in names.items() if value is not None}
        self.config: LogConfig = merged(config, fields)
        if overwrite and resume_step is not None:
            raise ValueError(
                f"TrainingLogger got overwrite=True and resume_step={resume_step}; the "
                f"first begins again, the second continues. Pass one of them."
            )
        if resume_step is not None:
            resume_step = check_step(resume_step, "TrainingLogger", "resume_step")
        self._sigterm = Sigterm(install_sigterm, self._look_closer)
        self._process_known = processes.identity_is_known()
        self._process = processes.process_index(), processes.process_count()
        self._has_folder = root is not None
        self._lock = threading.RLock()
        self._pid: int | None = os.getpid()
        self._closed: bool | None = None  # result of `close`, False while it goes on
        self._is_ended = False
        self._yielded = False
        self._agreement = Agreement()
        self._marks = CallMarks(*self._process)
        self._fetched = FetchedValues()
        self._calls = CallReader()
        self._steps = Steps()
        self._attached: dict[str, Any] = {}
        self._attached_step = -1
        self._attached_keys: set[str] = set()  # of the train records of that step
        self._warned: set[str] = set()
        self._missing_noted: dict[str, Any] = {}
        monotonic = duration_clock(clock, monotonic)
        self._clock = monotonic
        # What `log_step` compares with to take the short way.
        self._names: tuple[Any, ...] | None = None
        self._known_names: set[tuple[Any, ...]] = set()
        self._types = self._calls.types
        self._type: type = float
        self._metrics_type: type | None = None
        self._look_at = self._progress_due = -math.inf
        self._last_train_step = -1
        if is_importing_main():
            self._stay_inert()
            return
        if isinstance(writers, Iterator):
            writers = [*writers]  # they are looked at more than once
        if root is not None and self.config.run_name is not None:
            take_over(local_folder(root) / self.config.project / self.config.run_name)
        self._run, self._sinks, self._mirror = open_run(
            root,
            self.config,
            writers,
            console=console,
            hparams=hparams,
            overwrite=overwrite,
            resume_step=resume_step,
            mirror=mirror,
            clock=clock,
            monotonic=monotonic,
        )
        if self._process[0] == 0:
            warn_of_unused(self.config, passed, writers, console)
        self._take_in(self._sinks.intake)
        self._elapsed = Elapsed(monotonic, self._run.elapsed)
        self._steps.reset(self._run.last, (resume_step or 0) + 1, guarded=True)
        self.ledger.event("start", restored_step=resume_step)
        self._runtime = RuntimeEvents(self.ledger)
        self._runtime.begin()
        self._mirror.begin()
        self._failures = Failures(self._run.name_of_attempt(), self._note_failure)
        note_open(self)
        atexit.register(self._at_exit)
        self._sigterm.install()

    def __getattr__(self, name: str) -> Any:
        """Refuse an unknown name, with advice."""
        problem = f"TrainingLogger has no {name!r}."
        if name.startswith("_"):
            raise AttributeError(problem, name=name, obj=self)
        public = [known for known in dir(type(self)) if not known.startswith("_")]
        hint = advice(name, LOGGER_CALLS, public, "Use", "It has")
        raise AttributeError(f"{problem} {hint}")

    @property
    def run_dir(self) -> Path:
        """Directory of the run; None with `root=None`."""
        none: Any = None  # not in the type: every other caller would have to check
        return self._run.path if self._has_folder else none

    @property
    def ledger(self) -> Ledger:
        """Events of the run; silent on processes other than the first."""
        return self._run.ledger

    def log_step(
        self,
        step: int | None = None,
        metrics: Any = None,
        *,
        split: str | None = _TRAIN,
        **values: Any,
    ) -> None:
        """Log values of one step, as one record; it never waits for a device.

        Several calls for a step and split are several records, which readers join; of
        two values under one key they take the later one. Steps may come in any order.

        Args:
          step: Optimizer updates completed. None takes the next step.
          metrics: A Metric, a Collection, a deferred one, an `interop.nnx.Metrics`, or
            a mapping of names to values, which may be nested: `{"a": {"b": x}}` is
            `{"a/b": x}`. What metrics compute may be passed as a mapping: NumPy arrays
            of rank 1 or 2 in it are recorded as arrays. For deferred and global metrics
            every process makes the call, at the same steps; other values may be logged
            by a single process.
          split: `"train"`, `"val"`, or any other name without a slash. None keeps all
            names as they are. In a call without it, a name that contains a slash is
            kept, and if all names begin with `val/`, or with another split of an
            evaluation, that is the split of the record.
          values: Numbers, or arrays of one element, by name; None is an unknown value,
            which is left out. In train records `tokens` and `samples` are counts since
            the start, and fields of the record; in another split they are values of
            it, `val/tokens`.

        Raises:
          TypeError: A value is not a number, or a name not a string; the other values
            are logged.
          ValueError: The step or the split cannot be recorded; the first train step of
            this attempt is one that an earlier attempt has recorded; or another process
            logs other metrics.
          RuntimeError: A value, of this call or an earlier one, was deleted before it
            was fetched, or is an array of several elements on a device under a name
            that had numbers; the error names it, and the other values are logged.
          MissingHostError: Another process does not log these metrics.
        """
        # After a training step the caches are cold, and each function entered costs a
        # microsecond. So a call like an earlier one enters none but this.
        if metrics is None:
            given = values
        elif type(metrics) is dict and not values:
            given = metrics = metrics.copy()  # the caller may change it
        else:
            self._log_metrics(step, metrics, split, values)
            return
        names = (*given,)
        if (
            (names == self._names or names in self._known_names)
            and type(step) is int
            and 0 <= step < 2**63
            and split is _TRAIN
        ):
            usual, types = self._type, self._types
            for value in given.values():
                if type(value) is not usual and type(value) not in types:
                    break
            else:
                now = self._clock()
                entry = [now, step, given]
                entries = self._entries
                entries.append(entry)
                if now >= self._look_at or len(entries) >= self._max_entries:
                    self._settle(entry)
                return
        self._log(step, metrics, split, values)

    def _log_metrics(
        self,
        step: int | None,
        metrics: Any,
        split: str | None,
        values: Mapping[str, Any],
    ) -> None:
        """Log metrics in one launch and little else, if they are like earlier ones."""
        is_known = type(metrics) is self._metrics_type and not values
        if is_known and type(step) is int and 0 <= step < 2**63 and split is _TRAIN:
            if self._pid != os.getpid():
                return
            try:
                taken = self._snapshot(metrics)
            except Exception:  # raised again below, with advice
                pass
            else:
                now = self._clock()
                entry = [now, step, taken]
                self._entries.append(entry)
                if now >= self._look_at or len(self._entries) >= self._max_entries:
                    self._settle(entry)
                return
        self._log(step, metrics, split, values)

    def _log(
        self,
        step: int | None,
        metrics: Any,
        split: str | None,
        values: Mapping[str, Any],
    ) -> None:
        """Log a call of `log_step`, whatever it has."""
        if self._pid != os.getpid():
            return
        if metrics is not None and type(metrics) is not dict:
            metrics = held_metrics(metrics)
        refusal = None if metrics is None else self._agreement.mismatch(metrics)
        metrics = None if refusal else metrics
        with self._lock:
            if self._closed is not None or not self._process_known:
                self._require_open()
                self._check_process()
            call = self._calls.read(split, split is not _TRAIN, metrics, values)
            if step is None:
                self._note_steps()
            try:
                number = self._steps.of_call(step, call.split)
            except (TypeError, ValueError):
                with_metrics(call, None, self._marks)  # other processes wait for it
                raise
            if call.metrics is not None:
                call = with_metrics(call, number, self._marks)
            given = step is not None
            row = Row(number, call.split, 0.0, given, call.key_split, self._add_fetched)
            row.values, row.better = call.values, call.better
            row.names = call.names
            now = self._clock()
            if call.split == "train":
                self._note_progress(number, now)
                if self._attached:
                    row.defaults = self._attached_values(number, now)
                    if number > self._attached_step:
                        self._attached_step, self._attached_keys = number, set()
                    if number == self._attached_step:
                        self._attached_keys |= row.values.keys() | row.defaults.keys()
                elif split is _TRAIN and metrics is None:
                    self._expect(values)
                elif split is _TRAIN and not values:
                    if type(metrics) is dict:
                        self._expect(metrics)
                    elif call.metrics is not None and not call.errors:
                        self._expect_metrics(metrics)
            self._queue(row, now)
        errors = call.errors
        if refusal or errors or self._fetched.faults or self._sigterm.noted:
            self._raise_errors([refusal, *errors] if refusal else errors)

    def attach(self, **objects: Any) -> None:
        """Have objects contribute their values, and be saved with the logger.

        An object with `metrics()`, such as a `PerformanceTracker`, contributes what it
        returns to the first train record of each step; values of the call win over
        them. An object whose values belong to a step of their own has it as
        `metrics_step`: if the train records of that step were logged before, they are a
        further record of the step, without the keys that it has. Objects with `state()`
        and `load_state()` are saved by `checkpoint.args` under their names, and put
        back by `checkpoint.restore`.

        Args:
          objects: Objects by name; None detaches one.

        Raises:
          TypeError: An object has neither `metrics` nor `state` and `load_state`.
        """
        for name, item in objects.items():
            if item is not None and not (
                hasattr(item, "metrics")
                or (hasattr(item, "state") and hasattr(item, "load_state"))
            ):
                raise TypeError(
                    f"attach() got {name}= of type {type(item).__name__}, expected an "
                    f"object with metrics(), or with state() and load_state(). Pass "
                    f"pytrees to checkpoint.args() instead."
                )
        with self._lock:
            self._expect({})
            for name, item in objects.items():
                self._attached.pop(name, None)
                if item is not None:
                    self._attached[name] = item

    @property
    def attached(self) -> Mapping[str, Any]:
        """Objects attached, by name, in order."""
        return MappingProxyType(self._attached)

    # Media reach every writer that shows their kind, whatever its `every`, and need no
    # order of steps.

    def log_text(
        self,
        step: int,
        texts: Mapping[str, str] | None = None,
        *,
        split: str | None = _TRAIN,
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
        texts = _by_name("log_text", "texts", texts, more)
        self._log_media("text", "log_text", step, split, texts)

    def log_images(
        self,
        step: int,
        images: Mapping[str, Any] | None = None,
        *,
        split: str | None = _TRAIN,
        **more: Any,
    ) -> None:
        """Log images, which another thread fetches from their devices.

        Args:
          step: Optimizer updates completed.
          images: Images by name, `[height, width]`, `[height, width, channels]` or a
            batch `[images, height, width, channels]` of at most 64, with 1, 3 or 4
            channels; uint8, or floats in [0, 1]. Or figures of matplotlib.
          split: As in `log_step`.
          more: More images by name.

        Raises:
          ValueError: An array is not an image; the others are logged.
          RuntimeError: As in `log_step`.
        """
        images = _by_name("log_images", "images", images, more)
        self._log_media("image", "log_images", step, split, images)

    def log_figure(
        self,
        step: int,
        figures: Mapping[str, Any] | None = None,
        *,
        split: str | None = _TRAIN,
        **more: Any,
    ) -> None:
        """Log figures of matplotlib as images; they are drawn before it returns.

        Args:
          step: Optimizer updates completed.
          figures: Figures by name. Axes stand for their figure, and `pyplot` for the
            current one.
          split: As in `log_step`.
          more: More figures by name.

        Raises:
          ValueError: A value is neither a figure nor an image; the others are logged.
        """
        figures = _by_name("log_figure", "figures", figures, more)
        self.log_images(step, figures, split=split)

    def log_audio(
        self,
        step: int,
        sounds: Mapping[str, Any] | None = None,
        *,
        sample_rate: int,
        split: str | None = _TRAIN,
        **more: Any,
    ) -> None:
        """Log sounds.

        Args:
          step: Optimizer updates completed.
          sounds: Samples by name, `[frames]` or `[frames, channels]`; int16, or floats
            in [-1, 1].
          sample_rate: Frames per second.
          split: As in `log_step`.
          more: More samples by name.

        Raises:
          ValueError: An array is not audio, or the rate not a whole number of frames;
            the others are logged.
        """
        pairs = {
            name: (samples, sample_rate)
            for name, samples in _by_name("log_audio", "sounds", sounds, more).items()
        }
        self._log_media("audio", "log_audio", step, split, pairs)

    def log_histograms(
        self,
        step: int,
        arrays: Mapping[str, Any] | None = None,
        *,
        split: str | None = _TRAIN,
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
        arrays = _by_name("log_histograms", "arrays", arrays, more)
        self._log_media("histogram", "log_histograms", step, split, arrays)

    def log_table(
        self,
        step: int,
        tables: Mapping[str, Any] | None = None,
        *,
        split: str | None = _TRAIN,
        **more: Any,
    ) -> None:
        """Log tables of at most 10,000 rows; secrets are hidden.

        Args:
          step: Optimizer updates completed.
          tables: Tables by name: pairs (columns, rows), dicts of columns of one
            length, or data frames. Columns on a device are fetched before it returns.
          split: As in `log_step`.
          more: More tables by name.

        Raises:
          TypeError: A value is not a table; the others are logged.
          ValueError: Rows differ in length from the columns, or there are too many.
        """
        tables = _by_name("log_table", "tables", tables, more)
        self._log_media("table", "log_table", step, split, tables)

    def log_hparams(self, hparams: object = None, **more: object) -> None:
        """Add to the configuration of the run what was unknown when it began.

        Existing names are replaced. The configuration goes to `run.json` and to the
        writers that show it, without secrets. (TensorBoard keeps the first
        configuration of a run and shows later ones as a table.)

        Args:
          hparams: As for the constructor. A value that cannot be recorded is named in
            one warning; the others are recorded.
          more: More values by name.

        Raises:
          TypeError: `hparams` has no names; nothing is recorded.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            self._require_open()
            self._check_process()
            parts = [hparams] if hparams is not None or not more else []
            parts += [more] if more else []
            plain = dict(
                pair for h in parts for pair in self._run.add_hparams(h).items()
            )
            self._note_steps()
            row = self._media_row("hparams", max(self._steps.last.values(), default=0))
            row.values = plain
            self._queue(row, self._clock())
        self._raise_errors([])

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Write everything logged so far to disk.

        Args:
          timeout: Maximum seconds to wait. None waits as long as it takes.

        Returns:
          Whether all of it is on disk; False after a timeout, if a row was lost, or
          if a later attempt has taken the run over.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if self._pid != os.getpid():
            return False
        deadline = _deadline(timeout)
        with self._lock:
            if self._closed is not None:
                return self._closed
            if self._run.is_superseded():
                return False
        flushed = self._sinks.flush(deadline)
        self._note_missing()
        flushed = self._run.flush() and flushed
        flushed = self.ledger.flush() and flushed
        self._raise_errors([])
        return flushed

    def wait_for_mirror(self, timeout: float | None = 30.0) -> bool:
        """Wait until the copies for `mirror=` that have begun are done.

        Args:
          timeout: Maximum seconds to wait. None waits as long as it takes.

        Returns:
          Whether all that the last `state()` has flushed is in the mirror; False after
          a timeout, if a copy failed, or if a later attempt has taken the run over.
          True if there is nothing to copy.
        """
        return self._mirror.wait(_deadline(timeout))

    def close(
        self, timeout: float | None = 30.0, *, error: BaseException | None = None
    ) -> bool:
        """Flush and close all writers; later calls do nothing.

        Args:
          timeout: Maximum seconds to wait, in all. None waits as long as it takes.
          error: Exception that ends the training, which is recorded: the run has
            crashed, unless it is a `KeyboardInterrupt` or a `SystemExit` of status 0.
            A `with` block passes its own. Default None.

        Returns:
          As `flush`.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if self._pid != os.getpid():
            return False
        deadline = _deadline(timeout)
        with self._lock:
            if self._is_ended:
                return bool(self._closed)
            # An interrupt may end this call. Nothing is taken from here on, and another
            # call does the rest.
            self._closed = False
            # At once: other processes fail as a consequence, and the first one counts.
            self._failures.end(ending_fields(error, False).get("error"))
            self._runtime.end()
            self._expect({})
            self._look_closer()
            closed = self._sinks.close(deadline)
            self._note_steps()
            self._note_missing()
            counts = {"writers": self._sinks.counters(), "cuts": self._fetched.cuts()}
            step = self._steps.last.get("train")
            ending = ending_fields(error, self._sigterm.noted)
            self.ledger.end(step=step, **counts, **ending)
            closed = self._run.flush() and closed
            closed = self.ledger.flush() and closed
            self._run.note_ending()
            self._mirror.finish(deadline)
            self._closed = not self._run.is_superseded() and closed
            self._is_ended = True
            self.ledger.close()
            note_closed(self)
            atexit.unregister(self._at_exit)
        self._sigterm.release()
        self._raise_errors([])
        return self._closed

    def __repr__(self) -> str:
        """Return the run and whether the logger is open."""
        place = self.run_dir or f"no folder, run {self._run.path.name!r}"
        state = "open" if self._closed is None else "closed"
        return f"TrainingLogger({str(place)!r}, {state})"

    def _repr_html_(self) -> str:
        """Return a small table for notebooks: the run, its last steps and values."""
        self._note_steps()
        facts = {"run": str(self.run_dir or self._run.path.name)}
        facts["state"] = "open" if self._closed is None else "closed"
        facts |= {f"step ({split})": n for split, n in self._steps.last.items()}
        facts |= {key: f"{value:.6g}" for key, value in self._fetched.latest().items()}
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td>{html.escape(str(value))}</td></tr>"
            for name, value in list(facts.items())[:_MAX_SHOWN]
        )
        return f"<table>{rows}</table>"

    def __enter__(self) -> TrainingLogger:
        """Return the logger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: object,
    ) -> None:
        """Close the logger, and record an error of the block.

        That error takes precedence over one of the logger.
        """
        if kind is None:
            self.close()
        else:
            self._close_quietly(error)

    def latest(self, timeout: float | None = None) -> dict[str, float | int]:
        """Return the last value of each key, of everything logged before the call.

        It waits for values that are still on a device. On several processes each of
        them makes the call, at the same step, and gets the values of the first one.

        Args:
          timeout: Maximum seconds to wait for the device. None waits as long as it
            takes.

        Raises:
          TimeoutError: The device did not compute the values in time.
        """
        if self._pid != os.getpid():
            return {}

        def own() -> tuple[None, dict[str, Any]]:
            if not self._sinks.fetch(timeout):
                raise TimeoutError(
                    f"latest() waited {timeout:g} seconds for values that were logged; "
                    f"expected the device to compute them. Allow more time."
                )
            return None, self._fetched.latest()

        _, values = processes.run_on_first(own, "latest")
        return {key: _number(value) for key, value in values.items()}

    def counters(self) -> dict[str, dict[str, int]]:
        """Return the counts of each writer by its name.

        offered = written + failed + dropped + skipped, once the queues are empty.
        """
        return {} if self._pid != os.getpid() else self._sinks.counters()

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
        flushed = self.flush() or self._pid is None
        if not flushed and self._run.superseded is None:
            _LOG.warning("state() of %s: not all rows could be flushed.", self.run_dir)
        with self._lock:
            self._require_open()
            self._note_steps()
            if "train" in self._steps.last:
                self._progress_due = -math.inf
                self._note_progress(self._steps.last["train"], self._clock())
            self._mirror.begin()
            return {
                "schema": 1,
                "run_id": self._run.run_id,
                "attempt": self._run.attempt,
                "time": self._elapsed(),
                "next_step": self._steps.next_step,
                "last_steps": dict(self._steps.last),
                "writers": self._sinks.state(),
                "absent_writers": self._sinks.absent(),
                "latest": _strict(self._fetched.latest()),
                "latest_steps": self._fetched.steps(),
            }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier `state`: steps, training seconds and written files.

        Records logged later are set aside beside the files. From the state of another
        run only steps and seconds are taken.

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
            writer_states, absent = state["writers"], state.get("absent_writers")
            if state["run_id"] != self._run.run_id:
                writer_states, absent = {}, None
                _LOG.warning(
                    "The state is of run %s; %s is another run and continues from "
                    "step %d.",
                    state["run_id"],
                    self.run_dir,
                    step,
                )
            self._note_steps()
            self._steps.reset(state["last_steps"], state["next_step"])
            self._last_train_step = -1
            self._attached_step = state["last_steps"].get("train", -1)
            steps = state.get("latest_steps", {})
            self._attached_keys = {k for k in steps if steps[k] == self._attached_step}
            if not self._run.is_superseded():
                self._sinks.rewind(step, writer_states, _REWIND_SECONDS, absent)
            self._fetched.restore(state["latest"], steps)
            self._elapsed.reset(state["time"])
            self._look_at = self._progress_due = -math.inf
            self._run.note_restore(step)

    def reset(self) -> None:
        """Set aside everything that was recorded, and begin the run again.

        For a run that was preempted before its first checkpoint;
        `checkpoint.restore(manager, None, logger)` calls it.

        Raises:
          RuntimeError: A writer did not answer.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            self._require_open()
            self._note_steps()
            had_records = bool(self._steps.last) or self._run.attempt > 1
            self._steps.reset({})
            self._last_train_step = -1
            self._attached_step = -1
            if had_records and not self._run.is_superseded():
                self._sinks.rewind(-1, {}, timeout=_REWIND_SECONDS)
                self._run.note_restore(0)
            self._fetched.restore({})
            self._elapsed.reset(0.0)
            self._look_at = self._progress_due = -math.inf

    def yield_to_another(self) -> None:
        """Close, because another logger of this process takes the run over."""
        self._yielded = True
        self._close_quietly()

    def _log_media(
        self,
        kind: MediaKind,
        call: str,
        step: int,
        split: str | None,
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
            is_given = split is not _TRAIN
            infers = split is None or not is_given
            own_split, key_split = splits_of_call(split, infers, values)
            self._calls.warn_of_misplaced(key_split, is_given, values)
            row = self._media_row(kind, step, own_split)
            for name, value in values.items():
                try:
                    full = key(name, key_split, keep_slashes=not is_given)
                    media = media_value(kind, name, value, _count, is_shown)
                    row.values[full] = media
                except Exception as error:  # of an object's own code, for example
                    errors.append(error)
            if is_shown:
                self._queue(row, self._clock())
        self._raise_errors(errors)

    def _take_in(self, intake: Intake) -> None:
        """Append what is logged to an intake, which has no entries yet."""
        self._entries = intake.entries
        self._max_entries = _MAX_ENTRIES if self._sinks else _MAX_UNUSED_ENTRIES
        intake.row_of = self._row_of
        intake.on_excess = self._look_closer

    def _row_of(self, entry: list[Any]) -> Row | None:
        """Return the row of an entry; called in the order of the entries.

        An entry has the reading of the clock at the call, and the row or, from a call
        like earlier ones, its step, and its values or the snapshot of its metrics.
        """
        now, row, given = entry[:3]
        time = self._elapsed.at(now)
        if given is None:
            row.time = time
        else:
            step, row = row, Row(row, "train", time, on_record=self._add_fetched)
            if type(given) is not dict:
                row.values = {"(metrics)": given.record}
                row.better = given.better
            elif known := self._calls.keys("train", False, tuple(given)):
                row.values = dict(zip(known.keys, given.values()))
                row.names = known.names
            if step > self._last_train_step:
                self._last_train_step = step
        # What a later attempt would write again is dropped.
        return row if self._run.superseded is None else None

    def _expect(self, given: Mapping[Any, Any]) -> None:
        """Let calls with the names of this one take the short way, if all is known."""
        names = tuple(given)
        if not names:
            self._names = self._metrics_type = None
            self._known_names.clear()
        elif self._process_known and self._calls.keys("train", False, names):
            self._names = names
            self._known_names.add(names)
            kind = type(given[names[0]])
            self._type = kind if kind in self._types else float

    def _expect_metrics(self, metrics: Any) -> None:
        """Let calls with metrics of this type take the short way, if all is known."""
        if self._process_known and self._process[1] == 1:
            from jaxmetrics.core import snapshot

            self._snapshot, self._metrics_type = snapshot, type(metrics)

    def _look_closer(self) -> None:
        """Have the next call look at faults, signals and the queues."""
        self._look_at = -math.inf

    def _settle(self, entry: list[Any]) -> None:
        """Do what a call is to do now and then, after its entry was appended."""
        if self._pid != os.getpid():
            self._entries.clear()
            return
        with self._lock:
            if self._closed is not None and self._sinks.intake.has(entry):
                self._require_open()
            self._note_progress(entry[1], entry[0])
            self._make_room()
        self._raise_errors([])

    def _make_room(self) -> None:
        """Wait for room if a writer that blocks has none, and drop what is too much."""
        intake = self._sinks.intake
        if intake.has_excess or len(intake.entries) >= self._max_entries:
            intake.hand_out(waits=True)

    def _note_steps(self) -> None:
        """Note the steps of all calls so far."""
        if self._pid == os.getpid():
            self._sinks.intake.hand_out()
        if self._last_train_step >= 0:
            self._steps.note(self._last_train_step, "train")

    def _add_fetched(self, row: Row, record: Record) -> None:
        self._fetched.add(row, record)
        if self._fetched.faults:
            self._look_closer()

    def _queue(self, row: Row, now: float) -> None:
        """Pass a row to the writers."""
        if row.values or row.defaults:
            self._entries.append([now, row, None])
            self._make_room()

    def _attached_values(self, step: int, now: float) -> dict[str, object]:
        """Return what attached objects add to a train record, by key or field name.

        Values of an earlier step become a record of that step, which is queued.
        """
        values: dict[str, object] = {}
        for name, item in self._attached.items():
            own_step = getattr(item, "metrics_step", None)
            is_due = (
                step > self._attached_step if own_step is None else own_step <= step
            )
            if not hasattr(item, "metrics") or not is_due:
                continue
            try:
                call = self._calls.read("train", True, dict(item.metrics()), {})
            except Exception as error:
                self._warn_once(
                    f"The attached {name} contributes nothing: its metrics() raised "
                    f"{type(error).__name__}: {error}."
                )
                continue
            for error in call.errors:
                self._warn_once(f"A value of the attached {name} is left out: {error}")
            known = self._attached_keys if own_step == self._attached_step else ()
            new = {key: x for key, x in call.values.items() if key not in known}
            if own_step in (None, step):
                values |= new
            else:
                row = Row(own_step, "train", 0.0, on_record=self._add_fetched)
                row.values = new
                self._queue(row, now)
        return values

    def _media_row(self, kind: MediaKind, step: int, split: str = "train") -> MediaRow:
        return MediaRow(kind, step, split, 0.0, self._add_fetched)

    def _note_progress(self, step: int, now: float) -> None:
        """Put the step into the ledger, at most every 10 seconds.

        These events tell how far a killed attempt has come.
        """
        if now >= self._progress_due:
            self._progress_due = now + _PROGRESS_SECONDS
            self.ledger.event("step", step=step)
        # Before faults are looked at: one that comes later makes the next call look.
        self._look_at = self._progress_due if self._closed is None else -math.inf

    def _note_missing(self) -> None:
        """Put what the writers have lost into the ledger, if it has changed."""
        missing = self._sinks.missing()
        if missing != self._missing_noted:
            self._missing_noted = missing
            self.ledger.event("missing", writers=missing)

    def _require_open(self) -> None:
        if self._yielded:
            raise ValueError(
                f"Another TrainingLogger of this process has taken over "
                f"{self.run_dir}, and this one is closed. Log with the other one."
            )
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
            # The type of an error may have another constructor.
            kinds = [k for k in (TypeError, ValueError) if isinstance(errors[0], k)]
            kind = kinds[0] if kinds else RuntimeError
            raise kind("\n".join(str(error) for error in errors))

    def _stay_inert(self) -> None:
        """Log nothing: this worker process imports the main module of another one."""
        self._pid = None
        self._has_folder = False
        self._run = absent_run(self.config)
        self._sinks = Sinks([], None, None)
        self._take_in(self._sinks.intake)
        self._mirror = Mirror(self._run, None)
        self._elapsed = Elapsed(time.monotonic)
        _LOG.warning(
            "TrainingLogger was created while a worker process imports the main "
            "module, and logs nothing there. Create it below "
            "`if __name__ == '__main__':`."
        )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _LOG.warning(message)

    def _note_failure(self, process: int, error: str) -> None:
        """Record the exception that ends another process; a thread calls it."""
        _LOG.warning(
            "Process %d was ended by %s. A collective waits for it without end: end "
            "the other processes, too.",
            process,
            error,
        )
        self.ledger.event("failure", process=process, error=error)
        self.ledger.flush()
        self._mirror.begin()

    def _at_exit(self) -> None:
        self._close_quietly(uncaught_error())

    def _close_quietly(self, error: BaseException | None = None) -> None:
        try:
            self.close(error=error)
        except Exception as problem:
            _LOG.warning("Closing the log of %s: %s", self.run_dir, problem)


def _by_name(call: str, name: str, given: Any, more: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a media call: those of its mapping `name`, and `more`."""
    if not isinstance(given, Mapping | None):
        raise TypeError(
            f"{call}() got {name} of type {type(given).__name__}, expected a mapping "
            f"of names to values. Pass each value by a name of its own: {call}(step, "
            f"sample=value)."
        )
    return {**(given or {}), **more}


def _deadline(timeout: float | None) -> float:
    """Return the time of `time.monotonic()` at which a call is to give up."""
    seconds = _MAX_SECONDS if timeout is None else min(timeout, _MAX_SECONDS)
    return time.monotonic() + seconds


def _strict(values: Mapping[str, float | int]) -> dict[str, Any]:
    """Return values as strict JSON has them: those that are not finite are strings."""
    strict: Any = loads(dumps(values))
    return strict


def _number(value: Any) -> float | int:
    real: Any = number(value)
    return real


def _count(array: Any) -> object:
    from jaxmetrics.logger._device_bins import count  # needs JAX

    return count(array)
