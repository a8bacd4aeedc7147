"""Exchanges of three processes in threads, through a key-value store in memory."""

import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from jaxmetrics.core import CoordinationService
from jaxmetrics.processes import MissingHostError, _exchange, exchange

COUNT = 3


class Client:
    """Key-value store with the methods and errors of jax's coordination service."""

    def __init__(self):
        self.values = {}
        self.changed = threading.Condition()

    def key_value_set_bytes(self, key, value, overwrite=False):
        with self.changed:
            if key in self.values and not overwrite:
                raise jax.errors.JaxRuntimeError(f"ALREADY_EXISTS: key {key}")
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get_bytes(self, key, milliseconds):
        with self.changed:
            if not self.changed.wait_for(
                lambda: key in self.values, milliseconds / 1e3
            ):
                raise jax.errors.JaxRuntimeError(f"DEADLINE_EXCEEDED: key {key}")
            return self.values[key]

    def key_value_dir_get_bytes(self, directory):
        with self.changed:
            return [(k, v) for k, v in self.values.items() if k.startswith(directory)]

    def key_value_increment(self, key, amount):
        with self.changed:
            self.values[key] = self.values.get(key, 0) + amount
            return self.values[key]

    def key_value_delete(self, key):
        with self.changed:
            for name in [n for n in self.values if n == key or n.startswith(f"{key}/")]:
                del self.values[name]


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def run(monkeypatch, client):
    """Return a function that calls another in a thread of each process."""
    process = threading.local()
    service = CoordinationService(client)
    monkeypatch.setattr(CoordinationService, "connected", lambda: service)
    monkeypatch.setattr(jax, "process_count", lambda: COUNT)
    monkeypatch.setattr(jax, "process_index", lambda: process.index)
    monkeypatch.setattr(_exchange, "_GRACE", 0.05)

    def call(index, function):
        process.index = index
        try:
            return function(index)
        except Exception as error:
            return error

    def run(function, processes=range(COUNT)):
        with ThreadPoolExecutor(COUNT) as pool:
            return list(pool.map(lambda i: call(i, function), processes))

    return run


def test_every_process_gets_the_payloads_of_all(run):
    payloads = {0: b"", 1: b"1", 2: b"22"}
    assert run(lambda i: exchange("tag", payloads[i])) == [payloads] * COUNT


def test_calls_of_one_tag_meet_in_their_order(run):
    def twice(i):
        return exchange("tag", b"first")[i], exchange("tag", b"second")[i]

    assert run(twice) == [(b"first", b"second")] * COUNT


def test_the_keys_of_a_call_are_deleted_after_the_next(run, client):
    def thrice(i):
        for _ in range(3):
            exchange("tag", b"x")

    run(thrice)
    calls = {key.split("/")[2] for key in client.values if "/tag/" in key}
    assert calls == {"calls", "3"}


@pytest.mark.parametrize("missing", range(COUNT))
def test_a_missing_process_is_named_by_the_others_and_by_itself(run, missing):
    def call(i):
        return exchange("tag", b"x", timeout=0.05)

    present = [i for i in range(COUNT) if i != missing]
    for errors in (run(call, present), run(call, [missing])):
        for error in errors:
            assert isinstance(error, MissingHostError)
            assert error.missing == (missing,)
            assert f"for process {missing}" in str(error)


def test_hosts_are_named_once_they_have_taken_part(run, monkeypatch):
    monkeypatch.setattr(_exchange.socket, "gethostname", lambda: "node")
    run(lambda i: exchange("first", b""))
    errors = run(lambda i: exchange("tag", b"", timeout=0.05), [0, 1])
    assert all("process 2 (node)" in str(error) for error in errors)


def test_process_0_takes_the_outcome_that_another_process_published(run, client):
    outcome = {0: b"0", 1: None, 2: b"2"}
    client.key_value_set_bytes("jaxmetrics/tag/1/all", _exchange._pack(outcome))
    for i in range(1, COUNT):  # their payloads, which are too late
        client.key_value_set_bytes(f"jaxmetrics/tag/1/payloads/{i}", b"late")
    (error,) = run(lambda i: exchange("tag", b"0"), [0])
    assert isinstance(error, MissingHostError) and error.missing == (1,)


def test_a_single_process_needs_no_service(monkeypatch):
    monkeypatch.setattr(CoordinationService, "connected", None)
    assert exchange("tag", b"x") == {0: b"x"}


def test_payloads_are_packed_with_their_sizes():
    outcome = {0: b"", 1: None, 2: b"22"}
    assert _exchange._unpack(_exchange._pack(outcome), 3) == outcome
