"""One check, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Check(NamedTuple):
    """What one check found.

    Attributes:
      name: What was checked.
      passed: Whether all is well.
      found: What was seen.
      advice: What to do; empty when it passed.
    """

    name: str
    passed: bool
    found: str
    advice: str

    def line(self) -> str:
        """The check as one line of text.

        >>> Check("counts", False, "16777216, not 16777217", "Report it.").line()
        'FAIL  counts    16777216, not 16777217. Report it.'
        """
        verdict = "ok" if self.passed else "FAIL"
        advice = f". {self.advice}" if self.advice else ""
        return f"{verdict:<4}  {self.name:<8}  {self.found}{advice}"


def run_check(name: str, run: Callable[[], str], advice: str) -> Check:
    """Run one check; whatever it raises is what it found."""
    try:
        return Check(name, True, run(), "")
    except Exception as error:
        text = str(error) if isinstance(error, _Wrong) else _first_line(error)
        return Check(name, False, text, advice)


def ensure(right: bool, found: str) -> None:
    """End the check with what was found, unless it is right."""
    if not right:
        raise _Wrong(found)


class _Wrong(Exception):
    """What a check found to be wrong."""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")
