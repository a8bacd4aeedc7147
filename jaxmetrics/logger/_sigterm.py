"""Handle SIGTERM where the training loop logs, once the log is safe."""

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
    """Note SIGTERM, and let it take effect once the log is safe.

    The handler notes the signal and calls the handler that was installed before. If
    there was none, the process ends by SIGTERM after the log has been closed. If there
    was one, the log is flushed and stays open, as that handler decides how the process
    goes on. If SIGTERM was ignored, it stays ignored. A forked child ends by SIGTERM
    at once.

    Args:
      enabled: Whether to do any of this.
      on_note: Called when SIGTERM has arrived.

    Raises:
      RuntimeError: This is not the main thread, or the handler would replace one that
        it cannot call: of another logger, or of a service outside of Python.
    """

    def __init__(
        self, enabled: bool = True, on_note: Callable[[], object] = lambda: None
    ) -> None:
        """Check that the handler can be installed."""
        self._on_note = on_note
        self.noted = False
        """True if SIGTERM has arrived and is not handled yet."""
        self._enabled = enabled
        self._closed = False
        self._pid = os.getpid()
        self._previous = signal.getsignal(signal.SIGTERM)
        if not enabled:
            return
        if threading.current_thread() is not threading.main_thread():
            reason = "only the main thread can handle signals. Create the logger there"
        elif isinstance(getattr(self._previous, "__self__", None), Sigterm):
            reason = "another logger handles SIGTERM. Leave it out of this one"
        elif not callable(self._previous) and _has_handler():
            reason = (
                "SIGTERM has a handler outside of Python, such as JAX's preemption "
                "service. Leave it out, and close the logger when that service asks "
                "for it"
            )
        else:
            return
        raise RuntimeError(f"TrainingLogger got install_sigterm=True, but {reason}.")

    def install(self) -> None:
        """Install the handler in place of the previous one."""
        if self._enabled and self._previous != signal.SIG_IGN:
            signal.signal(signal.SIGTERM, self._note)

    def answer(self, flush: Callable[[], Any], close: Callable[[], Any]) -> None:
        """Make the log safe after SIGTERM was noted.

        Args:
          flush: Flushes the log.
          close: Closes the log and calls `release`.
        """
        if callable(self._previous):
            self.noted = False
            flush()
        else:
            close()

    def release(self) -> None:
        """Restore the previous handler; a SIGTERM that was noted takes effect now."""
        self._closed = True
        if not self._enabled:
            return
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) == self._note:
            signal.signal(signal.SIGTERM, self._previous)
        if self.noted and not callable(self._previous):
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        self.noted = True
        self._on_note()
        if callable(self._previous):
            self._previous(number, frame)
        elif self._closed or self._pid != os.getpid():
            signal.signal(signal.SIGTERM, self._previous)
            signal.raise_signal(signal.SIGTERM)


def _has_handler() -> bool:
    """Return whether SIGTERM has a handler, of Python or not; Linux only."""
    try:
        caught = _CAUGHT.search(Path("/proc/self/status").read_text())
    except OSError:
        return False
    return caught is not None and bool(int(caught[1], 16) >> signal.SIGTERM - 1 & 1)
