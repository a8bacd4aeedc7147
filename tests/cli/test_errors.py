import errno

import pytest

from jaxmetrics.cli._errors import error_message
from jaxmetrics.record import CorruptLineError, RunJsonError
from jaxmetrics.runs.reading import (
    ExistingFileError,
    RunNotFoundError,
    UnknownDirectionError,
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ExistingFileError("a.png", "a.png exists."),
            "a.png exists. Move it away, write to another path, or give --force.",
        ),
        (
            RunNotFoundError("There is no run at x."),
            "There is no run at x. Give a run directory, such as "
            "runs/<project>/<run_name>, or the folder of all projects with --root.",
        ),
        (
            RunNotFoundError("There is no run at x.", "Did you mean y?"),
            "There is no run at x. Did you mean y?",
        ),
        (
            UnknownDirectionError("a/b"),
            "compare() got a target for 'a/b', of which neither the name nor the "
            "metric says whether higher or lower values are better. Give --better "
            "'a/b=min' or 'a/b=max'.",
        ),
        (
            CorruptLineError("m.jsonl", 7, "not JSON"),
            "m.jsonl, line 7: not JSON. Repair or remove the line, or skip damaged "
            "lines with --skip-damaged.",
        ),
        (
            RunJsonError("run.json", 1, "not JSON"),
            "run.json is not the description of a run (not JSON). Repair it or move "
            "it away, or skip it with --skip-damaged.",
        ),
        (OSError(errno.ENOSPC, "No space left", "a"), "a: No space left."),
        (OSError(errno.ENOSPC, "No space left"), "No space left."),
        (OSError("unreadable"), "unreadable"),
        (KeyError("no key 'a'"), "no key 'a'"),
        (ValueError("a\x1b[31m"), r"a\x1b[31m"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_messages_have_advice_in_terms_of_options(error, message):
    assert error_message(error) == message
