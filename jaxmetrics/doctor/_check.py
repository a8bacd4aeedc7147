"""One check of the doctor, and its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxmetrics.record import error_text


class Check(NamedTuple):
    """Result of one check.

    Attributes:
      name: Subject of the check.
      passed: Whether it passed.
      detail: Observation, such as a version or the wrong value.
      advice: Action to take; empty if it passed.
    """

    name: str
    passed: bool
    detail: str
    advice: str

    def line(self) -> str:
        """Return the check as one line of text.

        >>> Check("counts", False, "16777216, not 16777217", "Report it.").line()
        'FAIL  counts    16777216, not 16777217. Report it.'
        """
        verdict = "ok" if self.passed else "FAIL"
        advice = f" {self.advice}" if self.advice else ""
        end = "." if advice and not self.detail.endswith(".") else ""
        return f"{verdict:<4}  {self.name:<8}  {self.detail}{end}{advice}"


def run_check(name: str, run: Callable[[], str], advice: str) -> Check:
    """Run one check; an error that it raises makes it fail.

    Args:
      name: Subject of the check.
      run: Returns the observation, and raises if it is wrong.
      advice: Action to take if the check fails.
    """
    try:
        return Check(name, True, run(), "")
    except _WrongValue as error:
        return Check(name, False, str(error), advice)
    except Exception as error:
        return Check(name, False, error_text(error), advice)


def ensure(condition: bool, detail: str) -> None:
    """Fail the check with an observation if the condition is false."""
    if not condition:
        raise _WrongValue(detail)


class _WrongValue(Exception):
    """Observation of a check that failed."""
