"""Functions that a call of `log_step` enters in the training thread."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jaxmetrics as jm
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, Memory

PACKAGE = Path(jm.__file__).parent


def entered(function):
    """Return the functions of the package that a call enters, and those of C."""
    python, compiled = [], []

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            file = path.relative_to(PACKAGE).as_posix()
            python.append((file, frame.f_code.co_name))
        elif event == "c_call" and path.is_relative_to(PACKAGE):
            compiled.append(argument.__name__)

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return python, compiled


@pytest.fixture
def logger(tmp_path):
    jax.devices()  # as in a training; before, the logger asks which process it is in
    writers = [Memory(), CSV(), Memory(every=2)]
    options = {"root": tmp_path, "writers": writers, "console": False}
    with TrainingLogger("p", "run", **options) as logger:
        yield logger


def twenty():
    return {f"value_{i}": jnp.float32(i) for i in range(20)}


@pytest.mark.parametrize("as_keywords", [False, True])
def test_a_call_like_an_earlier_one_enters_one_function(logger, as_keywords):
    def log(step, values):
        logger.log_step(step, **values) if as_keywords else logger.log_step(
            step, values
        )

    log(1, twenty())
    values = twenty()
    python, compiled = entered(lambda: log(2, values))
    assert python == [("logger/_logger.py", "log_step")]
    # As many for twenty values as for two, and for three writers as for one.
    assert len(compiled) <= 5 and "acquire" not in compiled, compiled


def test_metrics_enter_one_function_more_and_the_nodes_of_their_tree(logger):
    metrics = jm.Collection(**{f"m{i}": jm.Mean(f"x{i}") for i in range(20)})
    metrics = metrics.update(**{f"x{i}": jnp.ones(2) for i in range(20)})
    logger.log_step(1, metrics)
    python, _ = entered(lambda: logger.log_step(2, metrics))
    assert [call for call in python if call[1] not in ("flatten", "<listcomp>")] == [
        ("logger/_logger.py", "log_step"),
        ("logger/_logger.py", "_log_metrics"),
        ("core/_evaluate.py", "snapshot"),
        ("core/_collection.py", "<lambda>"),
    ]
    assert sum(call[1] == "flatten" for call in python) == 20  # each of them once


def test_other_calls_and_their_rows_enter_few_files(logger):
    logger.log_step(1, split="val", loss=1.0)
    logger.flush()
    called, _ = entered(lambda: logger.log_step(2, split="val", loss=1.0))
    handed, _ = entered(logger._sinks.intake.hand_out)
    assert len({file for file, _ in called}) <= 3, called
    files = {file for file, _ in handed}
    assert {"logger/_logger.py", "pipeline/_intake.py", "pipeline/_sink.py"} <= files
    assert "pipeline/_queue.py" in files and len(files) <= 7, files
