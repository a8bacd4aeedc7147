"""Copy a run's files to another folder at checkpoints, on a separate thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.logger._run_directory import RunDirectory
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
    """Copy the files of a run directory as pieces that never change.

    Of an append-only file only the part added since the last copy is written. The
    files of Weights & Biases are not copied, nor are the user's checkpoints.

    Args:
      run: The run; its ledger gets an event when a copy fails.
      copies: Folder of the copies of all runs of the project. None copies nothing.
      process: Index of this process; those after the first copy only their own file.

    Raises:
      ValueError: The copies would lie in the run directory.
      OSError: Their folder cannot be created.
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
        """Start copying what the files hold now.

        While a copy runs, no other one starts: the next copy has all that is missing.
        """
        if self._folder is None or self._pid != os.getpid() or self._is_running():
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
        """Copy everything the files hold now.

        Args:
          deadline: Time of `time.monotonic()` at which to give up.
        """
        for _ in range(2):  # wait for the copy that runs, then copy what came since
            if self._thread is not None:
                self._thread.join(max(0.0, deadline - time.monotonic()))
            self.begin()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._is_running():
            self._report("did not finish in time")

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _files(self) -> Iterator[Path]:
        for path in sorted(p for glob in _FILES for p in self._run_dir.glob(glob)):
            if copies_file(path.name, self._process) and not path.is_symlink():
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

    def _report(self, problem: str) -> None:
        self._ledger.event("mirror", error=problem)
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "The copy of %s to %s %s; the next copy tries again.",
                self._run_dir,
                self._folder,
                problem,
            )


def restore_from_copy(run_dir: Path, folder: Path | None, process: int) -> None:
    """Restore the missing files of a run directory from its copy, if there is one.

    Nothing is restored if `run.json` exists. The first process restores that file last,
    so that an interrupted restore is repeated.

    Args:
      run_dir: The run directory.
      folder: Folder of the run's copies, or None.
      process: Index of this process; those after the first restore only their own file.

    Raises:
      ValueError: A piece of the copy is damaged.
      OSError: The directory cannot be written.
    """
    if folder is None or not folder.is_dir() or (run_dir / RUN_JSON).exists():
        return
    names = {piece.parent.relative_to(folder) for piece in folder.rglob("*-*-*-*")}
    names = {name for name in names if copies_file(name.name, process)}
    for name in sorted(names, key=lambda name: (name == Path(RUN_JSON), name)):
        segments = Segments(folder / name)
        if segments and not (run_dir / name).exists():
            segments.restore(run_dir / name)
    if names:
        _LOG.warning("%s was restored from its copy in %s.", run_dir, folder)


def copies_file(name: str, process: int) -> bool:
    """Return whether a process copies a file.

    The first process copies all files but those of other processes.
    """
    return process_of_file(name) == process
