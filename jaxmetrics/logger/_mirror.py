"""Copies of a run's files elsewhere, made at checkpoints on a thread of their own."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.logger._rundir import RunDirectory
from jaxmetrics.record import RUN_JSON, Segments, process_of_file

_LOG = logging.getLogger("jaxmetrics")
_FILES = (
    "*.json",
    "*.jsonl",
    "*.csv",
    "telemetry/*.jsonl",
    "tensorboard/*tfevents*",
)


class Mirror:
    """Copies the files of a run directory as pieces that never change.

    An append-only file costs what was added since the last copy. What Weights & Biases
    keeps is not copied, and checkpoints are the user's own.

    Args:
      run: The run, whose ledger gets an event when a copy fails.
      copies: The folder of the copies of all runs of the project; None copies nothing.
      process: The index of this process; those after the first copy their own file.

    Raises:
      ValueError: The copies would lie in the run directory.
      OSError: Their folder cannot be made.
    """

    def __init__(self, run: RunDirectory, copies: Path | None, process: int) -> None:
        self._run_dir = run.path
        self._folder = copies and copies / run.path.name
        self._process = process
        self._ledger = run.ledger
        self._segments: dict[Path, Segments] = {}
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._warned = False
        if self._folder is not None:
            if self._folder.resolve() == run.path.resolve():
                raise ValueError(
                    f"TrainingLogger got mirror={str(copies)!r} for a run in "
                    f"{run.path}, which is the run itself. Choose another folder."
                )
            self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self) -> None:
        """Begin to copy what the files hold now; one at a time, so it may be skipped.

        What a skipped copy would have brought comes with the next one.
        """
        if self._folder is None or self._pid != os.getpid() or self._running():
            return
        try:
            files = [(path, path.stat().st_size) for path in self._files()]
        except OSError as error:
            self._report(f"failed ({error})")
            return
        self._thread = threading.Thread(
            target=self._copy, args=(files,), name="jaxmetrics-mirror", daemon=True
        )
        self._thread.start()

    def finish(self, deadline: float) -> None:
        """Copy all that there is now, until a time of `time.monotonic()`."""
        for _ in range(2):  # what is under way, then what has come since
            if self._thread is not None:
                self._thread.join(max(0.0, deadline - time.monotonic()))
            self.begin()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._running():
            self._report("is not done in time")

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _files(self) -> Iterator[Path]:
        for path in sorted(p for glob in _FILES for p in self._run_dir.glob(glob)):
            if is_own(path.name, self._process) and not path.is_symlink():
                yield path

    def _copy(self, files: list[tuple[Path, int]]) -> None:
        assert self._folder is not None
        for path, size in files:
            try:
                name = path.relative_to(self._run_dir)
                if name not in self._segments:
                    self._segments[name] = Segments(self._folder / name)
                self._segments[name].update(path, size)
            except OSError as error:
                self._report(f"failed for {path.name} ({error})")

    def _report(self, what: str) -> None:
        self._ledger.event("mirror", error=what)
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "The copy of %s to %s %s; the next one tries again.",
                self._run_dir,
                self._folder,
                what,
            )


def bring_back(run_dir: Path, folder: Path | None, process: int) -> None:
    """Make what is missing of a run directory from its copy, if there is one.

    The first process looks at `run.json`, which comes back last; the others at their
    own file.

    Raises:
      ValueError: A piece of the copy is damaged.
      OSError: The directory cannot be written.
    """
    if folder is None or not folder.is_dir() or (run_dir / RUN_JSON).exists():
        return
    names = {piece.parent.relative_to(folder) for piece in folder.rglob("*-*-*-*")}
    names = {name for name in names if is_own(name.name, process)}
    for name in sorted(names, key=lambda name: (name == Path(RUN_JSON), name)):
        segments = Segments(folder / name)
        if segments and not (run_dir / name).exists():
            segments.restore(run_dir / name)
    if names:
        _LOG.warning("%s was made from its copy in %s.", run_dir, folder)


def is_own(name: str, process: int) -> bool:
    """Whether a process copies the file; the first copies all but other processes'."""
    return process_of_file(name) == process
