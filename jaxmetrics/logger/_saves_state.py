"""The part of a logger that a checkpoint keeps and brings back."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from jaxmetrics.logger._logger_state import checked_state
from jaxmetrics.logger._mirror import Mirror
from jaxmetrics.logger._rundir import RunDirectory
from jaxmetrics.pipeline import Fetched, Rows, Sinks
from jaxmetrics.record import Elapsed

_LOG = logging.getLogger("jaxmetrics")


class SavesState(ABC):
    """Steps, training seconds and places in files, in plain values."""

    _lock: Any
    _run: RunDirectory
    _rows: Rows
    _sinks: Sinks
    _mirror: Mirror
    _fetched: Fetched
    _elapsed: Elapsed

    @abstractmethod
    def flush(self, timeout: float = 30.0) -> bool:
        """Whether all that was logged is written, and on the disk."""

    @abstractmethod
    def _require_open(self) -> None: ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the logger, in plain values, after a flush.

        The copies for `mirror=` begin here, on another thread.

        Raises:
          RuntimeError: As in `log_step`.
        """
        if not self.flush():
            _LOG.warning("state() of %s is taken before a full flush.", self._run.path)
        with self._lock:
            self._require_open()
            if "train" in self._rows.last:
                self._run.ledger.progress(self._rows.last["train"], at_once=True)
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
        """Go back to what `state` returned: steps, training seconds, written files.

        What was logged later is set aside beside the files, and open rows are dropped.
        The state of another run gives steps and seconds only.

        Raises:
          ValueError: The state is of another version, or not of these files.
          RuntimeError: A writer did not answer.
        """
        state = checked_state(state)
        with self._lock:
            self._require_open()
            logged = max([state["next_step"] - 1, *state["last_steps"].values()])
            step = state.get("step", logged)
            kept = state["writers"]
            if state["run_id"] != self._run.run_id:
                kept = {}
                _LOG.warning(
                    "The state is of run %s; %s is another, and goes on from step %d.",
                    state["run_id"],
                    self._run.path,
                    step,
                )
            self._rows.reset(state["last_steps"], state["next_step"])
            self._sinks.rewind(step, kept, timeout=30.0)
            self._fetched.restore(state["latest"])
            self._elapsed.reset(state["time"])
            self._run.restored(step)
