"""The loggers that are open in this process.

The only state of a module: a run has one logger in a process, and a cell of a notebook
that makes it again must find the earlier one.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.logger._logger import TrainingLogger

_LOG = logging.getLogger("jaxmetrics")
_OPEN: weakref.WeakSet[TrainingLogger] = weakref.WeakSet()


def note_open(logger: TrainingLogger) -> None:
    """Add a logger that was opened."""
    _OPEN.add(logger)


def note_closed(logger: TrainingLogger) -> None:
    """Remove a logger that was closed."""
    _OPEN.discard(logger)


def close_all(timeout: float | None = 30.0) -> bool:
    """Close all loggers that this process has open.

    Args:
      timeout: Maximum seconds to wait for each of them. None waits as long as it takes.

    Returns:
      Whether everything logged is on disk.
    """
    return all([logger.close(timeout) for logger in list(_OPEN)])


def take_over(run_dir: Path) -> None:
    """Close the logger that this process has open for a run, with a warning."""
    for logger in list(_OPEN):
        path: Path | None = logger.run_dir
        if path is not None and os.path.realpath(path) == os.path.realpath(run_dir):
            _LOG.warning(
                "Another TrainingLogger is created for %s, which is open in this "
                "process; the earlier logger is closed.",
                run_dir,
            )
            logger.yield_to_another()


def is_importing_main() -> bool:
    """Return whether a spawned worker is importing the main module of its parent.

    What such a module creates at its top is created again in every worker.
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name == "multiprocessing.spawn" and frame.f_code.co_name == "prepare":
            return True
        frame = frame.f_back
    return False
