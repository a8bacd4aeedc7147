"""Every stateful object continues from its state, in all forms in which it comes back.

The objects are those of `support.stateful`. A state may come back as it was, through
JSON, through orbax, or with arrays of rank 0 for its numbers.
"""

import json

import numpy as np
import orbax.checkpoint as ocp
import pytest
from support.stateful import SUBJECTS

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.record import dumps, loads, pack

SAVED, LOST, STEPS = 4, 6, 8  # a state of step 4; a kill after step 6


def every_subject(function):
    return pytest.mark.parametrize("make", SUBJECTS, ids=lambda f: f.__name__)(function)


def through_json(state, tmp_path):
    text = dumps(changed(state, np.ndarray, np.ndarray.tolist))
    json.loads(text, parse_constant=pytest.fail)
    return loads(text)


def through_orbax(state, tmp_path):
    with ocp.CheckpointManager(tmp_path / "state") as manager:
        manager.save(1, args=ocp.args.PyTreeSave(state))
        manager.wait_until_finished()
        return manager.restore(1, args=ocp.args.PyTreeRestore())


def as_arrays(state, tmp_path):
    return changed(state, bool | int | float, np.asarray)


def changed(state, kind, function):
    """Return a state whose leaves of a kind are replaced."""
    if isinstance(state, dict):
        return {name: changed(x, kind, function) for name, x in state.items()}
    if isinstance(state, list):
        return [changed(x, kind, function) for x in state]
    return function(state) if isinstance(state, kind) else state


def contents(subject, folder):
    """Return the files of an object, without the description of the process."""
    files = {}
    for name in subject.files:
        text = (folder / name).read_text()
        if name.endswith(".json"):
            text = {k: v for k, v in json.loads(text).items() if k != "run"}
        files[name] = text
    return files


@pytest.fixture
def uninterrupted(tmp_path):
    """Return a function that runs a subject to the end: its state, and its files."""

    def run(make):
        folder = tmp_path / "uninterrupted"
        folder.mkdir()
        subject = make(folder)
        for step in range(1, STEPS + 1):
            subject.advance(step)
        result = pack(subject.item.state()), contents(subject, folder)
        subject.end()
        return result

    return run


def killed(make, folder):
    """Run a subject beyond the step of a state, and return the state."""
    folder.mkdir()
    subject = make(folder)
    for step in range(1, LOST + 1):
        subject.advance(step)
        if step == SAVED:
            state = subject.item.state()
            saved = pack(state)
    assert pack(state) == saved, "the state changes with the object"
    subject.end()
    return state


@every_subject
@pytest.mark.parametrize("trip", [None, through_json, through_orbax, as_arrays])
def test_a_restored_object_continues_as_an_uninterrupted_one(
    make, trip, tmp_path, uninterrupted
):
    folder = tmp_path / "killed"
    state = killed(make, folder)
    resumed = make(folder, SAVED)
    resumed.item.load_state(trip(state, tmp_path) if trip else state)
    assert pack(resumed.item.state()) == pack(state)
    for step in range(SAVED + 1, STEPS + 1):
        resumed.advance(step)
    result = pack(resumed.item.state()), contents(resumed, folder)
    assert result == uninterrupted(make)


@every_subject
def test_an_object_that_is_not_restored_differs(make, tmp_path, uninterrupted):
    folder = tmp_path / "killed"
    killed(make, folder)
    resumed = make(folder, SAVED)
    for step in range(SAVED + 1, STEPS + 1):
        resumed.advance(step)
    assert pack(resumed.item.state()) != uninterrupted(make)[0]


@every_subject
def test_an_object_begins_afresh(make, tmp_path, uninterrupted):
    folder = tmp_path / "killed"
    killed(make, folder)
    begun = make(folder)
    begun.item.reset()
    assert not any(
        (folder / name).exists() and contents(begun, folder)[name]
        for name in begun.files
    )
    for step in range(1, STEPS + 1):
        begun.advance(step)
    assert (pack(begun.item.state()), contents(begun, folder)) == uninterrupted(make)


def paths(state, *path):
    """Yield the path of each leaf of a state."""
    if isinstance(state, dict) and state:
        for name, x in state.items():
            yield from paths(x, *path, name)
    elif isinstance(state, list) and state:
        yield from paths(state[-1], *path, len(state) - 1)
    else:
        yield path


def with_leaf(state, path, leaf):
    if not path:
        return leaf
    copy = dict(state) if isinstance(state, dict) else list(state)
    copy[path[0]] = with_leaf(state[path[0]], path[1:], leaf)
    return copy


@every_subject
def test_a_bad_state_is_refused_and_changes_nothing(make, tmp_path):
    subject = make(tmp_path)
    for step in range(1, SAVED + 1):
        subject.advance(step)
    state = subject.item.state()
    name = type(subject.item).__name__
    bad = {path: with_leaf(state, path, object()) for path in paths(state)}
    bad |= {"no fields": {}, "no mapping": None}
    files = contents(subject, tmp_path)
    for path, wrong in bad.items():
        with pytest.raises(ValueError, match=name):
            subject.item.load_state(wrong)
            pytest.fail(f"{path} was taken")
        assert pack(subject.item.state()) == pack(state), path
    assert contents(subject, tmp_path) == files


def test_all_objects_are_saved_and_restored_in_one_item(tmp_path):
    names = [make.__name__ for make in SUBJECTS]
    subjects = {}
    for name, make in zip(names, SUBJECTS):
        (tmp_path / name).mkdir()
        subjects[name] = make(tmp_path / name)
    with ocp.CheckpointManager(tmp_path / "saved") as manager:
        for step in range(1, LOST + 1):
            for subject in subjects.values():
                subject.advance(step)
            if step == SAVED:
                objects = {name: s.item for name, s in subjects.items()}
                states = {name: pack(x.state()) for name, x in objects.items()}
                item = checkpoint.args(None, **objects, metric=jm.Mean("loss"))
                manager.save(step, args=ocp.args.Composite(jaxmetrics=item))
        manager.wait_until_finished()
        for subject in subjects.values():
            subject.end()
        resumed = {
            name: make(tmp_path / name, SAVED).item
            for name, make in zip(names, SUBJECTS)
        }
        restored = checkpoint.restore(
            manager, None, None, **resumed, metric=jm.Mean("loss")
        )
    assert {name: pack(x.state()) for name, x in resumed.items()} == states
    assert all(restored[name] is x for name, x in resumed.items())
    assert np.isnan(restored["metric"].compute())
