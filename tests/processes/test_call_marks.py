"""Steps and splits that differ between processes are found in the reduction.

`test_pods.py` has real processes; here the marks of the others are made up.
"""

import jax
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.processes import CallMarks
from jaxmetrics.processes._call_marks import _marks


def marks_of(*calls):
    """Return marks by process; None is a process that takes no part."""
    rows = [(0, 0, 0) if call is None else _marks(*call) for call in calls]
    return np.array(rows, np.uint32)


def test_equal_calls_are_none(caplog):
    marks = CallMarks(0, 3)
    for step, split in ((0, "train"), (2**40 + 1, "val"), (2**63 - 1, "x")):
        call = step, split
        assert marks.differing(marks_of(call, call, None), step, split) == 0
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ((2, "val"), "step 2 of 'val' on process 1"),
        ((9, "train"), "step 9 of 'train' on process 1"),
        ((2 + 2**32, "train"), "step 4294967298 of 'train' on process 1"),
        ((2, "benchmark"), "step 2 of another split on process 1"),
    ],
)
def test_another_step_or_split_is_named_once(caplog, other, named):
    marks = CallMarks(0, 3)
    for _ in range(2):
        found = marks.differing(marks_of((2, "train"), other, (2, "train")), 2, "train")
        assert found == 1
    (message,) = caplog.messages
    assert f"log_step() of step 2 of 'train' was reduced with {named}." in message


def test_only_the_first_of_many_processes_are_listed(caplog):
    marks = CallMarks(0, 200)
    calls = [(1, "train"), *[(2, "train")] * 199]
    assert marks.differing(marks_of(*calls), 1, "train") == 199
    assert "on process 8 and 191 more processes." in caplog.messages[0]


def test_metrics_of_one_process_have_no_marks():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    deferred = jm.Mean("loss").deferred(mesh)
    assert CallMarks(0, 1).of(deferred, 1, "train") is None
    assert CallMarks(0, 2).of(deferred, 1, "train") is None  # all its devices are here
    assert CallMarks(0, 2).of(jm.Mean("loss"), 1, "train") is None


def test_the_words_lie_in_the_first_shard_of_the_process_only():
    devices = np.array(jax.devices()).reshape(4, 2)
    mesh = jax.sharding.Mesh(devices, ("data", "model"))
    deferred = jm.Mean("loss").deferred(mesh)
    words = marks_of((5, "train"), None)
    placed = np.asarray(CallMarks(0, 2)._global(deferred, words))
    assert placed.shape == (4, 2, 3)
    assert (placed[0] == words).all() and not placed[1:].any()
