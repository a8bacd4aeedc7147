"""Copy a run's files to a mirror at checkpoints, on a separate thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from jaxmetrics.logger._run_directory import RunDirectory
from jaxmetrics.record import (
    EVENTS_JSONL,
    RUN_JSON,
    AppendFile,
    Attempt,
    Piece,
    RunCopies,
    RunJsonError,
    Source,
    attempt_of_piece,
    last_attempt,
    next_number,
    process_metrics,
    read_run_json,
)

_LOG = logging.getLogger("jaxmetrics")


class Mirror:
    """Copy the files of a run directory as pieces that never change.

    Each copy holds what the files have beyond the one before it. The files of Weights &
    Biases are not copied, nor are the user's checkpoints. Before each copy the pieces
    are listed: once there is one of a later attempt, nothing more is copied, and the
    run is marked as superseded.

    Args:
      run: The run; its ledger gets an event when a copy fails.
      copies: The copy of the run. None copies nothing.
      parent: Piece that the run directory was restored from. None continues the last
        copy that is there.
    """

    def __init__(
        self, run: RunDirectory, copies: RunCopies | None, parent: Piece | None = None
    ) -> None:
        self._run = run
        self._copies = copies
        self._parent = parent
        self._number = 1
        self._pid = os.getpid()
        self._warned = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pending: list[Source] | None = None
        self._copied = True

    def begin(self) -> None:
        """Start copying what the files hold now.

        If a copy is being made, the next one starts after it.
        """
        if self._copies is None or self._pid != os.getpid():
            return
        try:
            sources = self._copies.sources(self._run.path)
        except OSError as error:
            self._copied = False
            self._report(f"failed ({error})")
            return
        with self._changed:
            self._pending, self._copied = sources, False
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._copy_all, name="jaxmetrics-mirror", daemon=True
                )
                self._thread.start()

    def wait(self, deadline: float) -> bool:
        """Wait for the copies that have begun.

        Args:
          deadline: Time of `time.monotonic()` at which to give up.

        Returns:
          Whether all of it is in the mirror.
        """
        if self._pid != os.getpid():
            return False
        with self._changed:
            while self._thread is not None:
                if not self._changed.wait(max(deadline - time.monotonic(), 0.0)):
                    return False
            return self._copied

    def finish(self, deadline: float) -> None:
        """Copy everything the files hold now, twice if the first time fails.

        Args:
          deadline: Time of `time.monotonic()` at which to give up.
        """
        for _ in range(2):
            if self._run.superseded is not None:
                return
            self.begin()
            if self.wait(deadline):
                return
        if self._thread is not None:
            self._report("did not finish in time")

    def _copy_all(self) -> None:
        while True:
            with self._changed:
                sources, self._pending = self._pending, None
                if sources is None:
                    self._thread = None
                    self._changed.notify_all()
                    return
            try:
                copied = self._copy(sources)
            except Exception as error:  # of a library for a storage, too
                copied = False
                self._report(f"failed ({type(error).__name__}: {error})")
            with self._changed:
                self._copied = copied and self._pending is None

    def _copy(self, sources: list[Source]) -> bool:
        assert self._copies is not None and self._run.identity is not None
        if self._run.is_superseded():
            return False
        pieces, own = self._copies.pieces, self._run.identity
        names = pieces.names()
        later = max((a for a in map(attempt_of_piece, names) if a), default=own)
        if later > own:
            self._run.supersede(later, pieces.storage.address)
            return False
        if self._parent is None or not pieces.is_whole(self._parent, names):
            # The first copy, or a rule of the bucket has deleted old pieces.
            self._parent = pieces.latest(names)
        self._copies.copy_media(self._run.path)
        # A write that failed may have been done all the same, so its number is used up.
        number = max(self._number, next_number(own, names))
        self._number = number + 1
        self._parent = pieces.write(own, number, self._parent, sources)
        self._number = max(self._number, next_number(own, [self._parent.name]))
        return True

    def _report(self, problem: str) -> None:
        self._run.ledger.event("mirror", error=problem)
        if not self._warned:
            self._warned = True
            assert self._copies is not None
            _LOG.warning(
                "The copy of %s to %s %s; the next copy tries again.",
                self._run.path,
                self._copies.pieces.storage.address,
                problem,
            )


def restore_from_copy(
    run_dir: Path, copies: RunCopies, names: list[str], process: int = 0
) -> Piece | None:
    """Restore a run directory from its copy, if it is missing or older.

    It is older if the copy has an attempt later than the last one in `run.json`. The
    processes after the first restore only their own file, if it is missing.

    Args:
      run_dir: The run directory.
      copies: The copy of the run.
      names: Names of its pieces.
      process: Index of this process.

    Returns:
      The piece from which it was restored; None if nothing was.

    Raises:
      WriterLockedError: Another process writes this run.
      OSError: The copy cannot be reached, or the directory cannot be written.
    """
    pieces = copies.pieces
    if process:
        is_needed = not (run_dir / process_metrics(process)).exists()
    elif is_needed := not (run_dir / RUN_JSON).exists():
        pass
    elif (local := _local_attempt(run_dir)) and (latest := pieces.latest(names)):
        is_needed = (attempt_of_piece(latest.name) or local) > local
    if not names or not is_needed:
        return None
    if (events := run_dir / EVENTS_JSONL).exists() and not process:
        AppendFile(events).close()  # raises while another process writes this run
    piece = copies.restore(names, run_dir)
    passed = [pieces.damaged[name] for name in sorted(pieces.damaged, reverse=True)]
    problem = f" {_problem(passed)}" if passed else ""
    if piece is None:
        _LOG.warning(
            "%s cannot be restored from %s: no copy there is whole.%s The run begins "
            "again.",
            *(run_dir, pieces.storage.address, problem),
        )
    else:
        _LOG.warning(
            "%s was restored from its copy in %s, as of %s.%s",
            *(run_dir, pieces.storage.address, piece.name, problem),
        )
    return piece


def _problem(passed: list[str]) -> str:
    count = "A later piece" if len(passed) == 1 else f"{len(passed)} later pieces"
    verb = "was" if len(passed) == 1 else "were"
    return f"{count} {verb} passed over ({passed[0]})."


def _local_attempt(run_dir: Path) -> Attempt | None:
    try:
        return last_attempt(read_run_json(run_dir) or {})
    except RunJsonError:
        return None
