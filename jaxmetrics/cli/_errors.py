"""Error messages of the command line.

Errors of the library advise in terms of Python arguments. Those whose advice is an
option here are classes with the problem as data, so the message is put together anew;
the text of an error is never parsed.
"""

from __future__ import annotations

from jaxmetrics.record import CorruptLineError, RunJsonError, escape
from jaxmetrics.runs.reading import (
    ExistingFileError,
    RunNotFoundError,
    UnknownDirectionError,
)


def error_message(error: Exception) -> str:
    """Return the message of an error, with advice in terms of options, escaped."""
    return escape(_message(error))


def _message(error: Exception) -> str:
    match error:
        case ExistingFileError():
            advice = "Move it away, write to another path, or give --force."
            return f"{error.problem} {advice}"
        case RunNotFoundError():
            advice = (
                "Give a run directory, such as runs/<project>/<run_name>, or the "
                "folder of all projects with --root."
            )
            return f"{error.problem} {error.suggestion or advice}"
        case UnknownDirectionError():
            advice = f"Give --better '{error.key}=min' or '{error.key}=max'."
            return f"{error.problem} {advice}"
        case RunJsonError():
            return (
                f"{error.path} is not the description of a run ({error.reason}). "
                f"Repair it or move it away, or skip it with --skip-damaged."
            )
        case CorruptLineError():
            return (
                f"{error.path}, line {error.line}: {error.reason}. Repair or remove "
                f"the line, or skip damaged lines with --skip-damaged."
            )
        case OSError() if error.strerror:
            return f"{error.filename or ''}: {error.strerror}.".removeprefix(": ")
        case KeyError() if error.args:
            return str(error.args[0])  # str(error) is a repr
    return str(error)
