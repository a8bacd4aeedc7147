"""Queues and threads under forks, signals, failures and hung writers.

`make soak` has more of them.
"""

import atexit
import gc
import os
import queue
import signal
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.faults import apart, ended, events_shown, forked
from support.figures import figure
from support.sinks import Failing, far_deadline, filled_row

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline import _queue
from jaxmetrics.pipeline._queue import RowQueue
from jaxmetrics.pipeline._sink import Sink
from jaxmetrics.record import read_lines, scan_lines
from jaxmetrics.writers import CSV, JSONL, Console, Memory, TensorBoard

# Forks


def fork_while_logging(folder, forks):
    """Fork a process one of whose threads logs; each child logs and closes too.

    Returns how many children hung for two seconds, how many failed, whether each file
    has the parent's steps, each once, and whether it has anything of a child.
    """
    writers = [JSONL(), CSV(), TensorBoard()]
    logger = TrainingLogger("p", "run", root=folder, writers=writers)
    stop = threading.Event()
    logged = 0

    def produce():
        nonlocal logged
        while not stop.is_set():
            logged += 1
            logger.log_step(logged, loss=1.0)
            if logged % 50 == 0:
                logger.flush()

    def child(exits):
        logger.log_step(10**6, leaked=1.0)
        assert not logger.flush()
        logger.ledger.event("leaked")
        logger._sinks.offer([filled_row(10**6, leaked=1.0)])
        assert not logger._sinks.flush(far_deadline())
        if exits:
            atexit._run_exitfuncs()
        assert not logger.close()

    producer = threading.Thread(target=produce)
    producer.start()
    statuses = [ended(forked(lambda n=n: child(n % 2)), 2) for n in range(forks)]
    stop.set()
    producer.join()
    assert logger.close()
    steps = list(range(1, logged + 1))
    rows = read_lines(logger.run_dir / "metrics.jsonl")[0][1:]
    table = (logger.run_dir / "metrics.csv").read_text().splitlines()[1:]
    shown = events_shown(logger.run_dir / "tensorboard", "train/loss")
    files = [file.read_bytes() for file in logger.run_dir.rglob("*") if file.is_file()]
    return {
        "hung": statuses.count(None),
        "failed": sum(map(bool, statuses)),
        "jsonl": [found["step"] for found in rows] == steps,
        "csv": [int(line.split(",")[0]) for line in table] == steps,
        "tensorboard": shown == steps,
        "leaked": any(b"leaked" in data for data in files),
    }


def fork_careless(folder):
    """Controls: a queue whose thread the child lacks, a buffer that it has too."""
    rows = queue.Queue()

    def work():
        while True:
            rows.get()
            rows.task_done()

    threading.Thread(target=work, daemon=True).start()

    def log():
        rows.put(1)
        rows.join()

    path = Path(folder, "rows")
    with path.open("w") as file:
        file.write("row\n")
        assert ended(forked(file.close), 60) == 0
    return {"hung": ended(forked(log), 0.5) is None, "rows": path.read_text()}


def test_forks_neither_hang_nor_write_nor_take_rows_away(tmp_path):
    assert apart(fork_while_logging, tmp_path, figure(200, 2000)) == {
        "hung": 0,
        "failed": 0,
        "jsonl": True,
        "csv": True,
        "tensorboard": True,
        "leaked": False,
    }


def test_forks_of_a_careless_writer_hang_and_write_twice(tmp_path):
    told = apart(fork_careless, tmp_path)
    assert told == {"hung": True, "rows": "row\nrow\n"}


# Signals


class Interrupted(deque):
    """Rows that are interrupted by a signal while they are added."""

    def append(self, row):
        super().append(row)
        if row.split == "train":
            signal.raise_signal(signal.SIGUSR1)


def log_from_handlers(signals, plain=False):
    """The rows there are when a handler logs and flushes within each row of a loop."""
    if plain:
        _queue.threading = SimpleNamespace(
            RLock=threading.Lock, Condition=threading.Condition
        )
    sink = Sink(Memory())
    sink._queue._rows = Interrupted()
    handled = 0

    def handle(number, frame):
        nonlocal handled
        handled += 1
        sink.offer(filled_row(handled, "signal"))
        assert sink.flush(far_deadline())

    signal.signal(signal.SIGUSR1, handle)
    for step in range(signals):
        sink.offer(filled_row(step))
    assert sink.flush(far_deadline())
    return [handled, len(sink.writer.records)]


def log_from_handlers_of_a_plain_lock():
    return ended(forked(lambda: log_from_handlers(1, plain=True)), 1.0)


def test_a_handler_logs_amid_the_row_that_it_interrupts():
    signals = figure(400, 4000)
    assert apart(log_from_handlers, signals) == [signals, 2 * signals]


def test_with_a_plain_lock_the_handler_would_wait_for_ever():
    assert apart(log_from_handlers_of_a_plain_lock) is None


# Counters


def produce(sink, rows):
    """Offer rows from four threads, of which a tenth fail, and wait for them."""

    def offer(number):
        for step in range(rows // 4):
            sink.offer(filled_row(step, f"p{number}"))
            if step % 10 == 0:
                sink.flush(far_deadline())  # or nearly all would be dropped

    threads = [threading.Thread(target=offer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.flush(far_deadline())


def failing(when_full, patience=60.0):
    """A sink whose clock leaps, so that its pauses are short."""
    writer = Failing(lambda step: step % 10 == 0)
    writer.when_full = when_full
    now = iter(range(0, 10**9, 10))
    return Sink(writer, capacity=8, put_timeout=patience, clock=lambda: next(now))


def conserved(sink, rows):
    counts = sink.counters
    assert counts.pop("offered") == rows
    return sum(counts.values()) == rows and counts["written"] == len(
        sink.writer.records
    )


def in_order(sink):
    written = sink.writer.records
    steps = [[r.step for r in written if r.split == f"p{n}"] for n in range(4)]
    return all(of == sorted(set(of)) for of in steps)


@pytest.mark.parametrize(
    ("when_full", "patience", "dropped"),
    [("block", 60.0, False), ("block", 0.0, True), ("drop_oldest", 0.0, True)],
)
def test_counters_conserve_and_the_order_of_each_producer_stays(
    when_full, patience, dropped
):
    rows = figure(2000, 100_000)
    sink = failing(when_full, patience)
    produce(sink, rows)
    assert conserved(sink, rows) and in_order(sink)
    assert sink.counters["failed"] > 0 and sink.counters["written"] > 0
    assert (sink.counters["dropped"] > 0) == dropped
    sink.close(far_deadline())


def test_a_drop_that_is_not_counted_is_seen(monkeypatch):
    put = RowQueue.put
    monkeypatch.setattr(RowQueue, "put", lambda queue, row: 0 * put(queue, row))
    sink = failing("drop_oldest")
    produce(sink, 2000)
    assert not conserved(sink, 2000)
    sink.close(far_deadline())


def test_a_queue_out_of_order_is_seen():
    class Stack(deque):
        popleft = deque.pop

    sink = failing("block")
    sink._queue._rows = Stack()
    produce(sink, 2000)
    assert conserved(sink, 2000) and not in_order(sink)
    sink.close(far_deadline())


# Writers that hang


class Hung(Memory):
    """A writer that does not come back from one of its calls until it is let go."""

    def __init__(self, call):
        super().__init__()
        self.gate = threading.Event()
        setattr(self, call, lambda *_: self.gate.wait())


@pytest.fixture
def hung():
    """Makes writers that hang until the end of the test."""
    made = []

    def make(call):
        made.append(Hung(call))
        return made[-1]

    yield make
    for writer in made:
        writer.gate.set()


def test_a_hung_writer_costs_closing_its_time_limit_and_others_nothing(
    tmp_path, hung, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for number in range(figure(10, 100)):
        call = ("write", "flush", "close")[number % 3]
        writers = [JSONL(), hung(call), memory := Memory()]
        logger = TrainingLogger("p", f"{number}", root=tmp_path, writers=writers)
        for step in range(20):
            logger.log_step(step, loss=1.0)
        before = time.monotonic()
        assert not logger.close(timeout=0.1)
        assert time.monotonic() - before < 0.1 + 0.5
        assert len(memory.records) == 20
        assert len(read_lines(logger.run_dir / "metrics.jsonl")[0]) == 21


def test_a_hung_writer_that_is_called_directly_costs_more(tmp_path, hung):
    writers = [hung("close"), Memory()]
    closing = threading.Thread(target=lambda: [w.close() for w in writers], daemon=True)
    closing.start()
    closing.join(0.1 + 0.5)
    assert closing.is_alive()


# Weeks


def log_for_long(folder, rows, leaking=False):
    """Log many rows; by how much memory, descriptors and threads grew in most of it."""
    writers = [JSONL(), CSV(), TensorBoard(), Console(every=1000)]
    kept = [Memory()] if leaking else []
    logger = TrainingLogger("p", "run", root=folder, writers=writers + kept)

    def used():
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(os.listdir("/proc/self/fd"))
        bytes_ = pages * os.sysconf("SC_PAGESIZE")
        return bytes_ / 1e6, descriptors, threading.active_count()

    for step in range(1, rows + 1):
        logger.log_step(step, loss=1 / step, lr=1e-3, tokens=1000 * step)
        if step % 100 == 0:
            logger.log_step(step, split="val", loss=1 / step)
            assert logger.flush()
        if step == rows // 5:
            before = used()
    grown = [now - then for now, then in zip(used(), before)]
    assert logger.close()
    assert sum(1 for _ in scan_lines(logger.run_dir / "metrics.jsonl")) > rows
    return grown


def test_a_long_run_takes_no_more_memory_descriptors_or_threads(tmp_path):
    megabytes, *others = apart(log_for_long, tmp_path, figure(20_000, 1_440_000))
    print(megabytes)
    assert megabytes < 5.0
    assert others == [0, 0]


def test_a_run_that_keeps_its_rows_takes_more_memory(tmp_path):
    assert apart(log_for_long, tmp_path, 20_000, True)[0] > 5.0
