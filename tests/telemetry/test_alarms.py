"""Alarms are reported once, when a problem begins."""

import jax.numpy as jnp
import numpy as np
import pytest
from support.broken_model import BROKEN, scanned

from jaxmetrics.record import Ledger, loads
from jaxmetrics.telemetry import Alarms, first_nonfinite, name_of


def test_an_alarm_is_an_event_and_calls_the_callback(tmp_path):
    ledger = Ledger(tmp_path / "events.jsonl", clock=lambda: 0.0)
    received = []
    alarms = Alarms(spikes=["train/loss"], ledger=ledger, on_alarm=received.append)
    for step in range(100):
        assert alarms.check(step, {"train/loss": jnp.float32(2), "other": "text"}) == []
    (alarm,) = alarms.check(100, {"train/loss": np.float32(np.nan)})
    ledger.close()
    assert received == [alarm] and alarm.kind == "nonfinite"
    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    event = loads(line)
    assert (event["event"], event["step"], event["key"]) == ("alarm", 100, "train/loss")
    assert (event["value"], event["message"]) == ("NaN", "train/loss is nan")


def test_a_value_outside_its_limits_is_reported_once_until_it_is_back():
    alarms = Alarms(limits={"update/ratio": (1e-6, 0.1), "update/ratio/*": (None, 0.5)})
    values = [0.01, 0.2, 0.3, np.nan, 0.01, 1e-7]
    reported = [
        [(a.kind, a.message) for a in alarms.check(step, {"update/ratio": value})]
        for step, value in enumerate(values)
    ]
    assert reported == [
        [],
        [("limit", "update/ratio is 0.2, above its limit of 0.1")],
        [],
        [],
        [],
        [("limit", "update/ratio is 1e-07, below its limit of 1e-06")],
    ]
    (alarm,) = alarms.check(9, {"update/ratio/head": 0.6, "update/norm": 1e9})
    assert alarm.key == "update/ratio/head" and alarm.value == 0.6
    with pytest.raises(ValueError, match=r"limits=\(2, 1\) for 'x'"):
        Alarms(limits={"x": (2, 1)})


def test_the_first_nonfinite_place_is_reported_in_the_same_step():
    tree, stacked = scanned(BROKEN)
    alarms = Alarms(places=lambda index: name_of(tree, index, stacked))
    key = "health/first_nonfinite"
    assert alarms.check(1, {key: jnp.int32(-1)}) == []
    (alarm,) = alarms.check(2, {key: first_nonfinite(tree, stacked)})
    assert alarm.step == 2
    assert alarm.message == "layers/7/hidden is the first that is not finite"
    assert alarms.check(3, {key: jnp.int32(0)}) == []


def test_alarms_can_be_restored():
    old, new = (Alarms(spikes=["loss"], limits={"x": (0, 1)}) for _ in range(2))
    for step in range(100):
        old.check(step, {"loss": 2.0, "x": 5.0})
    new.load_state(old.state())
    (alarm,) = new.check(100, {"loss": 9.0, "x": 5.0})  # x was reported before
    assert alarm.kind == "spike"


def test_a_value_equal_to_its_limit_is_allowed():
    alarms = Alarms(limits={"x": (1.0, 2.0)})
    assert alarms.check(1, {"x": 1.0}) == alarms.check(2, {"x": 2.0}) == []
