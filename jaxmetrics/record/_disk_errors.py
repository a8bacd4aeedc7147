"""Errors of the disk in calls of the training loop: said once, never raised."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOG = logging.getLogger("jaxmetrics")
_MAX_TEXT = 500  # those of tensorstore have kilobytes


class DiskErrors:
    """Attempt calls that write to disk; the first error is logged, later ones are not.

    Args:
      subject: Object that writes, as the message begins: `"The ledger a/b.jsonl"`.
      consequence: End of the message: what becomes of what could not be written.
    """

    def __init__(self, subject: str, consequence: str) -> None:
        self._subject = subject
        self._consequence = consequence
        self._has_warned = False

    def attempt(self, *actions: Callable[[], object]) -> bool:
        """Make calls in order; return False at the first one that raises an OSError."""
        try:
            for action in actions:
                action()
        except OSError as error:
            self.note(error)
            return False
        return True

    def note(self, error: Exception) -> None:
        """Log an error if it is the first one."""
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning(
                "%s cannot be written (%s). Training goes on; %s.",
                *(self._subject, str(error)[:_MAX_TEXT], self._consequence),
            )
