"""Processes with different numbers of batches yield equally many of one size."""

import threading

import jax
import numpy as np
import pytest

from jaxmetrics.loop.evaluation import _batches
from jaxmetrics.loop.evaluation._batches import global_batches, local_batches
from jaxmetrics.record import loads


class Pod:
    """Run a function in one thread per process, with exchanges between them."""

    def __init__(self, monkeypatch, processes):
        self.barrier = threading.Barrier(processes, timeout=60)
        self.local = threading.local()
        self.payloads = [b""] * processes
        self.messages = [[] for _ in range(processes)]
        monkeypatch.setattr(_batches, "exchange", self.exchange)
        monkeypatch.setattr(jax, "process_index", lambda: self.local.rank)

    def exchange(self, tag, payload):
        self.messages[self.local.rank].append(payload)
        self.payloads[self.local.rank] = payload
        self.barrier.wait()
        received = dict(enumerate(self.payloads))
        self.barrier.wait()
        return received

    def run(self, per_process, multiple=1):
        """Return the batches of each process, or the error."""
        results = [None] * len(per_process)

        def work(rank, batches):
            self.local.rank = rank
            try:
                results[rank] = list(global_batches("f()", batches, multiple))
            except Exception as error:
                results[rank] = error

        threads = [
            threading.Thread(target=work, args=(rank, batches))
            for rank, batches in enumerate(per_process)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results


def batch(*values):
    return {"x": np.array(values, np.float32)}


def plain(batches):
    """Return the values, the mask and whether there is padding."""
    return [(b["x"].tolist(), b["mask"].tolist(), padded) for b, padded in batches]


YES, NO = True, False


def test_a_process_without_further_batches_yields_masked_rows(monkeypatch):
    first, second = Pod(monkeypatch, 2).run(
        [[batch(1, 2, 3, 4), batch(5, 6, 7, 8), batch(9)], [batch(20, 21)]], 2
    )
    assert plain(first) == [
        ([1, 2, 3, 4], [YES] * 4, True),
        ([5, 6, 7, 8], [YES] * 4, True),
        ([9, 9, 9, 9], [YES, NO, NO, NO], True),
    ]
    assert plain(second) == [
        ([20, 21, 21, 21], [YES, YES, NO, NO], True),
        ([20, 20, 20, 20], [NO] * 4, True),
        ([20, 20, 20, 20], [NO] * 4, True),
    ]


def test_equal_batches_have_no_padding(monkeypatch):
    first, second = Pod(monkeypatch, 2).run([[batch(1, 2)] * 5, [batch(3, 4)] * 5])
    assert plain(first) == [([1, 2], [YES] * 2, False)] * 5
    assert plain(second) == [([3, 4], [YES] * 2, False)] * 5


def test_a_process_without_batches_receives_a_row(monkeypatch):
    rows = {"n": {"m": np.array([[7, 8]], np.int16)}, "x": np.array([0.5])}
    _, empty, _ = Pod(monkeypatch, 3).run([[rows], [], [rows]])
    ((filled, padded),) = empty
    assert filled["n"]["m"].tolist() == [[7, 8]] and filled["n"]["m"].dtype == np.int16
    assert filled["x"].tolist() == [0.5] and filled["mask"].tolist() == [False]
    assert padded


def test_a_row_is_sent_once(monkeypatch):
    pod = Pod(monkeypatch, 2)
    pod.run([[batch(1)] * 4, []])
    # Rounds of 1, 2 and 4 batches, and one row after the first message.
    assert len(pod.messages[0]) == len(pod.messages[1]) == 4


def test_no_batches_on_any_process_yield_nothing(monkeypatch):
    assert Pod(monkeypatch, 2).run([[], [batch()]]) == [[], []]


def test_rounds_grow_to_eight_batches(monkeypatch):
    pod = Pod(monkeypatch, 2)
    first, _ = pod.run([(batch(i) for i in range(25)), [batch(0)] * 25])
    assert [b["x"][0] for b, _ in first] == list(range(25))
    lengths = [len(loads(message)["rows"]) for message in pod.messages[0]]
    assert lengths == [1, 2, 4, 8, 8, 2]


def test_the_size_grows_with_the_largest_batch_of_any_process_and_stays(monkeypatch):
    first, second = Pod(monkeypatch, 2).run(
        [[batch(1)] * 4, [batch(3), batch(4, 5, 6), batch(7), batch(8)]]
    )
    assert [len(b["x"]) for b, _ in first] == [1, 3, 3, 3]
    assert [len(b["x"]) for b, _ in second] == [1, 3, 3, 3]


def failing():
    yield batch(1)
    raise OSError("no such shard")


def test_an_error_is_raised_on_all_processes(monkeypatch):
    first, second = Pod(monkeypatch, 2).run([[batch(1)] * 9, failing()])
    assert isinstance(second, OSError)
    assert str(first) == (
        "f() stopped because the batches of process 1 failed (OSError: no such "
        "shard). Fix them on that process."
    )


def test_an_error_of_the_own_batches_replaces_one_of_the_exchange(monkeypatch):
    def broken_exchange(tag, payload):
        raise RuntimeError("connection lost")

    monkeypatch.setattr(_batches, "exchange", broken_exchange)
    batches = (1 / 0 for _ in range(1))
    with pytest.raises(ZeroDivisionError) as raised:
        list(global_batches("f()", batches, 1))
    assert str(raised.value.__context__) == "connection lost"
    with pytest.raises(RuntimeError, match="connection lost"):
        list(global_batches("f()", [batch(1)], 1))


def test_batches_of_other_layouts_are_refused_on_all_processes(monkeypatch):
    other = {"x": np.zeros((1, 3), np.float32)}
    for error in Pod(monkeypatch, 2).run([[batch(1)], [other]]):
        assert "process 1 has mask bool[rows], x float32[rows, 3], expected" in str(
            error
        )
    own_error, _ = Pod(monkeypatch, 2).run([[batch(1), other], [batch(1)]])
    assert "process 0 has mask" in str(own_error)


def test_local_batches_without_rows_are_skipped():
    batches = local_batches("f()", [batch(), batch(1, 2, 3), batch(), batch(4)], 2)
    assert plain(batches) == [
        ([1, 2, 3, 3], [YES, YES, YES, NO], True),
        ([4, 4, 4, 4], [YES, NO, NO, NO], True),
    ]
