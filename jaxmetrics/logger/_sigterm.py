"""SIGTERM, answered where the training loop logs."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CAUGHT = re.compile(r"SigCgt:\s*([0-9a-f]+)")


class Sigterm:
    """Notes SIGTERM, and lets it take effect once the log is safe.

    The signal's handler notes it, and calls the one that was there before. Without one,
    the process ends by SIGTERM when the log has been closed; with one, the log is
    flushed and stays open, since that handler decides what becomes of the process.
    Where SIGTERM is ignored it stays so. A forked child ends as if nothing was here.

    Args:
      wanted: Whether to do any of this.

    Raises:
      RuntimeError: This is not the main thread, or somebody has SIGTERM whom this would
        silence: another logger, or a service outside of Python.
    """

    def __init__(self, wanted: bool = True) -> None:
        """See whether SIGTERM can be had."""
        self.noted = False
        """Whether SIGTERM came, and was not answered yet."""
        self._wanted = wanted
        self._closed = False
        self._pid = os.getpid()
        self._before = signal.getsignal(signal.SIGTERM)
        if not wanted:
            return
        if threading.current_thread() is not threading.main_thread():
            fault = "only the main thread may have it. Make the logger there"
        elif isinstance(getattr(self._before, "__self__", None), Sigterm):
            fault = "another logger has it. Leave it out of this one"
        elif not callable(self._before) and _caught():
            fault = (
                "something outside of Python has it, such as JAX's preemption service. "
                "Leave it out, and close the logger when that one says so"
            )
        else:
            return
        raise RuntimeError(f"TrainingLogger got install_sigterm=True, but {fault}.")

    def install(self) -> None:
        """Take the place of the handler that is there."""
        if self._wanted and self._before != signal.SIG_IGN:
            signal.signal(signal.SIGTERM, self._note)

    def answer(self, flush: Callable[[], Any], close: Callable[[], Any]) -> None:
        """Make the log safe, after SIGTERM was noted; `close` calls `release`."""
        if callable(self._before):
            self.noted = False
            flush()
        else:
            close()

    def release(self) -> None:
        """Give SIGTERM back now that the log is closed; if noted, it takes effect."""
        self._closed = True
        if not self._wanted:
            return
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) == self._note:
            signal.signal(signal.SIGTERM, self._before)
        if self.noted and not callable(self._before):
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        self.noted = True
        if callable(self._before):
            self._before(number, frame)
        elif self._closed or self._pid != os.getpid():
            signal.signal(signal.SIGTERM, self._before)
            signal.raise_signal(signal.SIGTERM)


def _caught() -> bool:
    """Whether SIGTERM has a handler, of Python or not; only Linux can say."""
    try:
        found = _CAUGHT.search(Path("/proc/self/status").read_text())
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) >> signal.SIGTERM - 1 & 1)
