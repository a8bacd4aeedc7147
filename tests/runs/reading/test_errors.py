import pickle
from pathlib import Path

import pytest

from jaxmetrics.runs.reading import (
    ExistingFileError,
    RunNotFoundError,
    UnknownDirectionError,
)

ERRORS = [
    ExistingFileError("a.png", "a.png exists."),
    RunNotFoundError("There is no run at x."),
    RunNotFoundError("There is no run at x.", "Did you mean y?"),
    UnknownDirectionError("val/zing"),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_errors_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_the_message_is_the_problem_and_advice(error):
    assert str(error).startswith(f"{error.problem} ")
    assert len(str(error)) > len(error.problem) + 1


def test_errors_are_built_in_types_too():
    exists, missing, _, unknown = ERRORS
    assert isinstance(exists, FileExistsError) and exists.path == Path("a.png")
    assert isinstance(missing, FileNotFoundError) and missing.suggestion is None
    assert isinstance(unknown, ValueError) and unknown.key == "val/zing"
