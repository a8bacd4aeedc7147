"""A wrong state is refused by name, and leaves the object as it was.

Every part of the state of every stateful object is removed, replaced by values of
other kinds, or both in two places. The objects are those of `support.stateful`.
"""

import contextlib
import copy
import math
import random
import warnings

import numpy as np
import pytest
from support.figures import figure, seed
from support.stateful import SUBJECTS, Subject

import jaxmetrics as jm

NESTED = [1.0]
for _ in range(60):
    NESTED = [NESTED]
WRONG = (
    *(None, True, -1, 0, 7, 2**53 + 1, 2**62, 2**70, -(2**70), 10**400),
    *(1.5, -1.5, math.nan, math.inf, 1e308, "", "x", "3", "NaN", "Infinity", "9" * 400),
    *(b"x", [], {}, [1], [None], [[]], [1, 2, 3], [1, "x"], (1, 2), {"a": 1}, {1: 1}),
    *(NESTED, object(), np.zeros(3), np.zeros(0), np.zeros((2, 2)), np.array(["a"])),
    *(np.array([2**62, 2**62]), np.array([-1, 1]), np.array(None), np.array(5)),
    *(np.array([math.nan, 1.0]), np.float32(1), np.array([{}]), {"a": {"b": []}}),
)


def registered(folder, step=0):
    """Return an aggregator with a metric of the user's."""
    item = jm.MetricsAggregator()
    item.register_handler("spread", jm.Variance("values"))

    def advance(step):
        item.update("d", "spread", scores=np.arange(float(step)))

    return Subject(item, advance)


def places(state, path=()):
    """Yield the path of every part of a state, from the outermost."""
    yield path
    inner = state.items() if isinstance(state, dict) else ()
    inner = enumerate(state[:3]) if isinstance(state, list) else inner
    for name, part in inner:
        yield from places(part, (*path, name))


def replaced(state, path, value=None, drop=False):
    """Return a state with another value at a path, or without it."""
    if not path:
        return value
    state = copy.copy(state)
    name, *rest = path
    try:
        if drop and not rest:
            del state[name]
        else:
            state[name] = replaced(state[name], rest, value, drop)
    except (TypeError, KeyError, IndexError, ValueError):
        pass  # the other of two changes took the place away
    return state


def wrong_states(state, source, times):
    """Yield states of which one or two parts are wrong."""
    paths = list(places(state))
    for path in paths:
        if path:
            yield replaced(state, path, drop=True)
        for value in source.sample(WRONG, min(times, len(WRONG))):
            yield replaced(state, path, value)
    for _ in range(10 * times):
        first, second = source.choices(paths, k=2)
        changed = replaced(state, first, source.choice(WRONG))
        yield replaced(changed, second, source.choice(WRONG), source.random() < 0.3)


def text(state):
    """Return a state as text, to compare two."""
    if isinstance(state, dict):
        return {name: text(part) for name, part in state.items()}
    if isinstance(state, list):
        return [text(part) for part in state]
    return repr(state.tolist() if isinstance(state, np.ndarray) else state)


def use(subject, step):
    """Do what a training loop does with an object that was restored."""
    with contextlib.suppress(RuntimeError):  # an epoch that the state does not have
        subject.advance(step)
    for name in ("metrics", "get_metrics_for_logging", "summary"):
        getattr(subject.item, name, int)()
    subject.item.state()


@pytest.mark.filterwarnings("ignore:.*bytes too short to be cut back")
@pytest.mark.parametrize(
    "make", [*SUBJECTS, registered], ids=lambda make: make.__name__
)
def test_a_wrong_state_is_refused_by_name_and_changes_nothing(
    make, tmp_path, monkeypatch
):
    monkeypatch.setattr("os.fsync", lambda fd: None)
    subject = make(tmp_path)
    item, name = subject.item, type(subject.item).__name__
    for step in (1, 2, 3, 4):
        subject.advance(step)
    good = copy.deepcopy(item.state())
    refused = accepted = 0
    for wrong in wrong_states(good, random.Random(seed()), figure(5, 300)):
        item.load_state(good)
        before = text(item.state())
        files = {name: (tmp_path / name).read_bytes() for name in subject.files}
        try:
            item.load_state(wrong)
        except (ValueError, TypeError) as error:
            places_named = [name, *subject.files]
            assert any(place in str(error) for place in places_named), error
            assert text(item.state()) == before
            for file, content in files.items():
                assert (tmp_path / file).read_bytes() == content
            refused += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy: overflow, nan
            use(subject, 5)
        accepted += 1
    print(name, accepted, "accepted", refused, "refused")
    assert refused > accepted
    subject.end()
