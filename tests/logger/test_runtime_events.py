"""Compilations, checkpoints and restores become events of the ledger."""

import pytest

from jaxmetrics.core import RuntimeEvent
from jaxmetrics.logger import _runtime_events
from jaxmetrics.record import Ledger, read_lines


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "events.jsonl")
    yield ledger
    ledger.close()


@pytest.fixture
def listener(ledger):
    return _runtime_events._listener(lambda: ledger)


@pytest.fixture
def written(tmp_path):
    """Return a function that reads the events written so far."""

    def read():
        lines, _ = read_lines(tmp_path / "events.jsonl")
        return [
            (line["event"], round(line["seconds"], 6), line.get("function"))
            for line in lines
        ]

    return read


def test_short_durations_of_a_kind_are_added_up_to_one_event(listener, written):
    for seconds in (0.02, 0.02):
        listener(RuntimeEvent("compile", seconds, "f"))
    assert written() == []
    listener(RuntimeEvent("checkpoint", 0.04, None))
    listener(RuntimeEvent("compile", 0.02, "g"))
    assert written() == [("compile", 0.06, "g")]
    listener(RuntimeEvent("checkpoint", 0.01, None))
    listener(RuntimeEvent("compile", 0.04, "h"))
    assert written() == [("compile", 0.06, "g"), ("checkpoint", 0.05, None)]


@pytest.mark.parametrize("kind", ["trace", "lower", "compile"])
def test_all_steps_of_compiling_are_compile_events(listener, written, kind):
    listener(RuntimeEvent(kind, 1.5, "f"))
    listener(RuntimeEvent("restore", 0.25, None))
    assert written() == [("compile", 1.5, "f"), ("restore", 0.25, None)]


def test_a_listener_without_a_ledger_does_nothing():
    listener = _runtime_events._listener(lambda: None)
    listener(RuntimeEvent("compile", 1.0, "f"))
