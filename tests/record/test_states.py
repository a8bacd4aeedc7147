"""Readers of states take every form of a round trip, and refuse everything else."""

import json
import math

import numpy as np
import pytest

from jaxmetrics.record import dumps, loads, states

READERS = dict(
    steps=states.count,
    loss=states.real,
    on=states.flag,
    name=states.text,
    window=states.floats_of(2),
    bins=states.integers,
    rates=states.mapping_of(states.list_of(states.number)),
    best=states.fields_of(step=states.integer),
)
STATE = dict(
    steps=3,
    loss=math.nan,
    on=True,
    name="NaN",
    window=np.array([0.5, math.inf]),
    bins=np.array([1, 2], np.uint8),
    rates={"lr": [1, 0.5]},
    best={"step": 2**80},
)


def through_json(state):
    """Return a state after strict JSON, whose arrays are lists there."""
    lists = {
        n: x.tolist() if isinstance(x, np.ndarray) else x for n, x in state.items()
    }
    text = dumps(lists)
    json.loads(text, parse_constant=pytest.fail)
    return loads(text)


def as_arrays(state):
    """Return a state with arrays of rank 0 for its numbers, as orbax makes them."""
    if isinstance(state, dict):
        return {name: as_arrays(x) for name, x in state.items()}
    if isinstance(state, list):
        return [as_arrays(x) for x in state]
    return np.asarray(state) if isinstance(state, bool | int | float) else state


@pytest.mark.parametrize("changed", [dict, through_json, as_arrays])
def test_a_state_is_read_in_all_its_forms(changed):
    fields = states.read("Tracker", changed(STATE) | {"more": 1}, **READERS)
    assert list(fields) == list(READERS)
    assert repr(fields.pop("loss")) == "nan"
    window, bins = fields.pop("window"), fields.pop("bins")
    assert window.dtype == np.float64 and window.tolist() == [0.5, math.inf]
    assert bins.dtype == np.int64 and bins.tolist() == [1, 2]
    assert fields == dict(
        steps=3, on=True, name="NaN", rates={"lr": [1, 0.5]}, best={"step": 2**80}
    )
    kinds = [type(fields["steps"]), type(fields["on"]), type(fields["rates"]["lr"][0])]
    assert kinds == [int, bool, int]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, r"'steps': -1 is not in 0 to 2\*\*63 - 1"),
        ({"steps": 2**63}, "'steps'"),
        ({"steps": 1.5}, "'steps': 1.5 is not an integer"),
        ({"steps": True}, "'steps': True is not a number"),
        ({"steps": np.arange(2)}, "'steps'.*is not a number"),
        ({"loss": "high"}, "'loss': 'high' is not a number"),
        ({"loss": None}, "'loss': None is not a number"),
        ({"on": 1}, "'on': 1 is not true or false"),
        ({"name": 1}, "'name': 1 is not a string"),
        ({"window": [1.0]}, r"'window': it has the shape \(1,\), expected \(2,\)"),
        ({"window": ["a", "b"]}, "'window': 'a' is not a number"),
        ({"window": np.array(["a", "b"])}, "'window'.*does not hold numbers"),
        ({"bins": [0.5]}, "'bins'.*does not hold integers"),
        ({"bins": 3}, "'bins': 3 does not hold integers"),
        ({"rates": [1]}, r"'rates': \[1\] is not a mapping"),
        ({"rates": {"lr": "x"}}, "'rates': 'lr': 'x' is not a list"),
        ({"rates": {1: [2]}}, "'rates': 1: 1 is not a string"),
        ({"best": {}}, r"'best': it has no 'step', only \[\]"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message) as error:
        states.read("Tracker", STATE | change, **READERS)
    assert str(error.value).startswith("Tracker.load_state() got a state that is not")
    assert str(error.value).endswith("Pass what state() returned, unchanged.")


@pytest.mark.parametrize("state", [None, 3, "state", [STATE]])
def test_what_is_no_mapping_is_refused(state):
    with pytest.raises(ValueError, match="is not a mapping"):
        states.read("Tracker", state, **READERS)


def test_numbers_are_written_as_strict_json_and_arrays_have_entries():
    assert [states.strict(x) for x in (0.5, math.nan, -math.inf)] == [
        0.5,
        "NaN",
        "-Infinity",
    ]
    assert states.storable(np.zeros(0)) == []
    assert states.storable(np.ones(1)).tolist() == [1.0]
