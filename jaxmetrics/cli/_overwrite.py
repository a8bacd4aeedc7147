"""Ask before files are replaced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from jaxmetrics.record import escape
from jaxmetrics.runs.reading import ExistingFileError

Result = TypeVar("Result")


def write_or_ask(write: Callable[[bool], Result], force: bool) -> Result:
    """Call `write`, and ask at the terminal if it would replace a file.

    Args:
      write: Function that writes files, called with the value of `overwrite`.
      force: Replace files without asking.

    Raises:
      ExistingFileError: A file exists, and the answer was no, or there is no terminal
        to ask at.
    """
    try:
        return write(force)
    except ExistingFileError as error:
        if not _confirmed(error):
            raise
    return write(True)


def _confirmed(error: ExistingFileError) -> bool:
    """Return whether the user at the terminal agrees to replace the file."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = f"{escape(error.problem)}\nReplace it? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
