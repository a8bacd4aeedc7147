"""The identity of a process is known once jax has started, and not before."""

import jax
import pytest
from support.processes import run_python

from jaxmetrics import processes
from jaxmetrics.core import CoordinationService
from jaxmetrics.record import dumps


def test_without_jax_a_process_is_the_only_one():
    script = """
        import sys
        from jaxmetrics import processes
        assert not processes.identity_is_known()
        print(processes.process_index(), processes.process_count())
        print(processes.device_summary(), "jax" in sys.modules)
    """
    assert run_python(script).stdout.split() == ["0", "1", "None", "False"]


def test_the_question_does_not_start_a_backend():
    script = """
        import jax
        from jaxmetrics import processes
        print(processes.identity_is_known(), processes.device_summary())
        jax.devices()
        print(processes.identity_is_known(), processes.device_summary()["processes"])
    """
    assert run_python(script).stdout.split() == ["False", "None", "True", "1"]


def test_the_devices_of_all_processes_are_counted():
    jax.devices()
    assert processes.device_summary() == {"kind": "cpu", "count": 8, "processes": 1}


def test_a_single_process_runs_the_function_itself():
    result = object()
    assert processes.run_on_first(lambda: (result, {"a": 1})) == (result, {"a": 1})


@pytest.fixture
def second(monkeypatch):
    """Return a function that sets the message of process 0; this is process 1."""

    def receive(message):
        payloads = {0: dumps(message).encode(), 1: b""}
        monkeypatch.setattr(processes._exchange, "exchange", lambda *a: payloads)

    jax.devices()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(CoordinationService, "connected", None)
    return receive


def test_other_processes_receive_the_plain_values(second):
    second({"values": {"a": 1}})
    assert processes.run_on_first(None) == (None, {"a": 1})


def test_an_error_on_process_0_is_raised_on_the_others(second):
    second({"error": "OSError: no space"})
    with pytest.raises(RuntimeError, match="Process 0 failed in .run.: OSErr"):
        processes.run_on_first(None)
