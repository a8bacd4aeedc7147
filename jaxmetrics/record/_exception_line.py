"""Type and message of an exception as one line for a record."""

from __future__ import annotations

from jaxmetrics.record._secret_text import hide_secrets
from jaxmetrics.record._text import escape

_MAX_LENGTH = 300


def exception_line(error: BaseException) -> str:
    """Return the type and the message of an exception on one line, without secrets.

    >>> exception_line(RuntimeError("out of memory\\n  on device 0"))
    'RuntimeError: out of memory on device 0'
    >>> exception_line(KeyboardInterrupt())
    'KeyboardInterrupt'
    """
    try:
        message = str(error)
    except Exception:  # of a class whose own text fails
        message = ""
    # Secrets are hidden before the cut: half of one does not have its form.
    message = hide_secrets(message[: 8 * _MAX_LENGTH])
    line = escape(" ".join(f"{type(error).__name__}: {message}".split()))
    line = line.removesuffix(":")
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…"
