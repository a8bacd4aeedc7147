"""Replacing files only when that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from jaxmetrics.record import escape

Made = TypeVar("Made")


def unless_refused(write: Callable[[bool], Made], force: bool) -> Made:
    """Write something; where that would replace a file of the user's, ask first.

    Args:
      write: Called with whether to replace what is there.
      force: Replace it without asking.

    Raises:
      FileExistsError: There is a file, and nobody can be asked, or the answer was no.
    """
    try:
        return write(force)
    except FileExistsError as error:
        if not _agreed(error):
            raise
    return write(True)


def _agreed(error: FileExistsError) -> bool:
    """What somebody at a terminal says to replacing a file."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    what = str(error).partition(" Move it away")[0]
    print(f"{escape(what)}\nReplace it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
