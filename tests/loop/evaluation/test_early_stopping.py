"""Stopping after a number of evaluations without an improvement."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmetrics import EarlyStopping

VALUES = st.lists(st.floats(-5, 5) | st.just(math.nan), max_size=30)


def stops(values, patience, min_delta, better):
    """Return the reference: the best value, and where it was found last."""
    sign, best, since, out = (1 if better == "min" else -1), math.inf, 0, []
    for value in values:
        since += 1
        if sign * value < best - min_delta or (best == math.inf and value == value):
            best, since = sign * value, 0
        out.append(since >= patience)
    return out


@given(
    VALUES,
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from(["min", "max"]),
    st.integers(0, 30),
)
def test_it_stops_after_its_patience_also_when_restored(
    values, patience, min_delta, better, cut
):
    stopping = EarlyStopping(patience, min_delta, better)
    found = [stopping.update(value) for value in values[:cut]]
    other = EarlyStopping(patience, min_delta, better)
    other.load_state(json.loads(json.dumps(stopping.state(), allow_nan=False)))
    found += [other.update(value) for value in values[cut:]]
    assert found == stops(values, patience, min_delta, better)


def test_the_best_value_and_whether_it_is_the_last_one():
    stopping = EarlyStopping(patience=3, better="max")
    assert math.isnan(stopping.best) and not stopping.is_best
    seen = []
    for value in (math.nan, 0.5, 0.4, np.array([0.6])):
        stopping.update(value)
        seen.append((stopping.best, stopping.is_best, stopping.waited))
    assert seen[1:] == [(0.5, True, 0), (0.5, False, 1), (0.6, True, 0)]
    stopping.reset()
    assert math.isnan(stopping.best) and stopping.waited == 0


@pytest.mark.parametrize(
    "changes",
    [
        *(dict(patience=0), dict(patience=math.nan)),
        *(dict(min_delta=-1), dict(min_delta=math.nan), dict(better="low")),
    ],
)
def test_arguments_out_of_range_are_refused(changes):
    with pytest.raises(ValueError, match="EarlyStopping got .*; expected a "):
        EarlyStopping(**changes)


def test_a_state_of_something_else_changes_nothing():
    stopping = EarlyStopping()
    stopping.update(1.0)
    with pytest.raises(ValueError, match="EarlyStopping"):
        stopping.load_state({"best": 0.5})
    assert stopping.best == 1.0


def test_a_key_in_place_of_the_patience_is_named():
    with pytest.raises(TypeError, match="patience='val/accuracy' of .*update"):
        EarlyStopping("val/accuracy")
    with pytest.raises(TypeError, match="min_delta='0.1' of type str"):
        EarlyStopping(min_delta="0.1")
