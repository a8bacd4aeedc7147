"""The path from `log_step` to the queue of a writer stays short enough to read."""

import sys
from pathlib import Path

import jax
import pytest

import jaxmetrics
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import Memory

PACKAGE = Path(jaxmetrics.__file__).parent


def files_entered(function):
    """Return the files of the package whose functions a call enters, in order."""
    files = {}

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            files.setdefault(path.relative_to(PACKAGE).as_posix())

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return list(files)


@pytest.mark.parametrize(
    ("writers", "max_files"),
    [([Memory()], 6), ([Memory(every=2)], 7)],
    ids=["all steps", "thinned"],
)
def test_a_step_reaches_the_queue_through_few_files(tmp_path, writers, max_files):
    jax.devices()  # as in a training; before, the logger asks which process it is in
    options = {"root": tmp_path, "writers": writers, "console": False}
    with TrainingLogger("p", "run", **options) as logger:
        logger.log_step(1, loss=1.0)
        files = files_entered(lambda: logger.log_step(2, loss=1.0))
    assert "pipeline/_queue.py" in files
    assert len(files) <= max_files, files
