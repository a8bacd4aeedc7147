"""Find out whether a training ended by itself, by an error, or was stopped."""

from __future__ import annotations

import sys
from typing import Any

from jaxmetrics.record import exception_line


def ending_fields(error: BaseException | None, by_sigterm: bool) -> dict[str, Any]:
    """Return the fields of the event `close` about what ended the training early.

    They are `error`, of a crash, or `stopped`, of an interrupt by the user, a signal,
    or an exit of status 0; none if the training has reached its end.

    Args:
      error: Exception that ended it.
      by_sigterm: SIGTERM has arrived.
    """
    if error is None:
        return {"stopped": "SIGTERM"} if by_sigterm else {}
    return {"error" if _is_crash(error) else "stopped": exception_line(error)}


def uncaught_error() -> BaseException | None:
    """Return the exception that ends this process, when its exit handlers run.

    In an interactive session it is that of some earlier input, and none is returned.
    """
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return None
    error = getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, SystemExit):
        return error.code not in (None, 0)
    # Others that are no Exception ask a task to end: KeyboardInterrupt, and those that
    # close a generator or cancel a coroutine.
    return isinstance(error, Exception)
