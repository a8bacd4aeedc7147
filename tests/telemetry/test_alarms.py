"""Alarms are reported once, when a problem begins."""

import jax.numpy as jnp
import numpy as np
import pytest
from support.broken_model import BROKEN, scanned

import jaxmetrics as jm
from jaxmetrics import runs
from jaxmetrics.record import Ledger, dumps, loads
from jaxmetrics.runs.pages._events import unready_note
from jaxmetrics.telemetry import Alarms, PlateauDetector, first_nonfinite, name_of


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
    values = [None, 0.2, 0.3, np.nan, jnp.full((1,), 0.01), 1e-7]
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


def evaluations(alarms, values):
    """Check a value at every fifth of 5 times as many steps; return the alarms."""
    raised = []
    for step in range(5 * len(values)):
        value = values[step // 5]  # as `logger.latest()`, which repeats it
        raised += alarms.check(step, {"val/loss": value, "train/loss": -float(step)})
    return [(alarm.step, alarm.kind, alarm.message) for alarm in raised]


def test_a_plateau_counts_evaluations_not_checks():
    values = [3.0 - 0.01 * (i % 2) for i in range(30)]
    assert evaluations(Alarms(plateaus=["val/loss"]), values) == [
        (
            95,
            "plateau",
            "val/loss has not improved over 10 evaluations, at 2.99",
        )
    ]
    detectors = {"val/loss": PlateauDetector(window=4)}
    ((step, *_),) = evaluations(Alarms(plateaus=detectors), values)
    assert step == 35


def test_overfitting_names_both_keys():
    values = [2.0 + 0.1 * i for i in range(25)]
    alarms = Alarms(overfitting=[("train/loss", "val/loss")])
    assert evaluations(alarms, values) == [
        (
            35,
            "overfitting",
            "val/loss gets worse over 4 evaluations, at 2.7, while train/loss improves",
        )
    ]


def test_without_the_training_value_an_evaluation_is_not_compared():
    alarms = Alarms(overfitting=[("train/loss", "val/loss")])
    for i in range(40):
        assert alarms.check(i, {"val/loss": 2.0 + i}) == []


def test_the_direction_is_that_of_the_key_or_has_to_be_given():
    rising = [0.5 + 0.01 * i for i in range(40)]
    alarms = Alarms(plateaus=["val/accuracy"])
    for step, value in enumerate(rising):
        assert alarms.check(step, {"val/accuracy": value}) == []
    with pytest.raises(ValueError, match="'grad/norm', of which it is not known"):
        Alarms(plateaus=["grad/norm"])
    with pytest.raises(ValueError, match='better="min" or "max"'):
        Alarms(overfitting=[("train/x", "val/x")])


def test_alarms_of_evaluations_can_be_restored_within_one():
    options = dict(plateaus=["val/loss"], overfitting=[("train/loss", "val/loss")])
    old, new = (Alarms(**options) for _ in range(2))
    values = [2.0 + 0.01 * (i % 3) for i in range(40)]
    assert len(evaluations(old, values)) == 1
    new.load_state(loads(dumps(old.state())))
    assert new.check(201, {"val/loss": values[-1], "train/loss": -1.0}) == []
    assert new.state() == old.state()
    new.reset()
    assert new.state() == Alarms(**options).state()


def test_a_key_without_its_split_is_named_with_what_was_meant():
    alarms = Alarms(spikes="loss", limits={"grad/norm": (None, 1.0)})
    values = {"train/loss": 1.0, "grad/norm": 0.5}
    with pytest.warns(
        UserWarning, match="'loss', which is not logged. Did you mean 't"
    ):
        alarms.check(1, values)
    alarms.check(2, values)  # warnings are errors: it is not said again


def test_a_key_that_is_never_logged_is_named_after_a_thousand_checks():
    watched = {"spikes": ["train/los", "val/loss"], "plateaus": "val/loss"}
    alarms = Alarms(**watched, limits={"update/*": (0, 1)})
    values = {"train/loss": 1.0, "update/ratio": 0.5}
    for step in range(998):
        alarms.check(step, values)
    alarms.check(998, values | {"val/loss": 2.0})
    with pytest.warns(UserWarning, match="'train/los'.* Did you mean 'train/loss'"):
        alarms.check(999, values)
    for step in range(1000, 1100):
        alarms.check(step, values)


def test_overfitting_takes_pairs():
    with pytest.raises(TypeError, match=r"got 'train/loss' in overfitting=; .* pairs"):
        Alarms(overfitting=("train/loss", "val/loss"))


def test_what_too_few_values_were_checked_for_is_noted_as_the_run_closes(tmp_path):
    with jm.TrainingLogger("p", "r", tmp_path, console=False) as logger:
        alarms = Alarms(
            spikes=["train/loss", "train/aux"],
            limits={"train/*": (0, 9), "grad/*": (0, 9)},
            plateaus=["val/loss"],
            overfitting=[("train/loss", "val/loss"), ("train/aux", "val/loss")],
            ledger=logger.ledger,
        )
        for step in range(33):
            losses = {"train/loss": 1.0, "val/loss": 1 + 0.1 * step}
            alarms.check(step, losses if step < 7 else {"train/loss": 1.0})
        run_dir = logger.run_dir
    *_, spike, limit, plateau, pair, other, close = runs.Run.load(run_dir).events
    assert close["event"] == "close"
    noted = [
        ("spike", "train/aux", 0, 33),
        ("limit", "grad/*", 0, 1),
        ("plateau", "val/loss", 7, 20),
        ("overfitting", "val/loss", 7, 8),
        ("overfitting", "val/loss", 0, 8),
    ]
    events = [spike, limit, plateau, pair, other]
    assert [(x["kind"], x["key"], x["had"], x["needs"]) for x in events] == noted
    text = "overfitting of val/loss: 7 of the 8 evaluations with train/loss it needs"
    assert pair["message"] == text
    section = runs.generate_report(run_dir).read_text().split("## Alarms")[1]
    assert text in section and "the 20 evaluations it needs;" in section
    jm.TrainingLogger("p", "r", tmp_path, console=False, resume_step=0).close()
    assert unready_note(runs.Run.load(run_dir).events) == ""
