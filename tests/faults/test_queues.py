"""Queues and threads under forks, signals, failures and hung writers.

`make soak` runs more of each.
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
from support.faults import exit_status, fork_process, run_in_process, tensorboard_steps
from support.figures import figure
from support.sinks import Failing, far_deadline, filled_row

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline import _queue
from jaxmetrics.pipeline._queue import RowQueue
from jaxmetrics.pipeline._sink import Sink
from jaxmetrics.record import read_lines, scan_lines
from jaxmetrics.writers import CSV, JSONL, Console, Memory, TensorBoard


def fork_while_logging(folder, forks):
    """Fork repeatedly while a thread logs; each child logs and closes too.

    Returns:
      Numbers of children that hung for two seconds or failed; whether each file has
      every step of the parent once; whether any file has something of a child.
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
    statuses = [
        exit_status(fork_process(lambda n=n: child(n % 2)), 2) for n in range(forks)
    ]
    stop.set()
    producer.join()
    assert logger.close()
    steps = list(range(1, logged + 1))
    rows = read_lines(logger.run_dir / "metrics.jsonl")[0][1:]
    table = (logger.run_dir / "metrics.csv").read_text().splitlines()[1:]
    shown = tensorboard_steps(logger.run_dir / "tensorboard", "train/loss")
    files = [file.read_bytes() for file in logger.run_dir.rglob("*") if file.is_file()]
    return {
        "hung": statuses.count(None),
        "failed": sum(map(bool, statuses)),
        "jsonl": [row["step"] for row in rows] == steps,
        "csv": [int(line.split(",")[0]) for line in table] == steps,
        "tensorboard": shown == steps,
        "leaked": any(b"leaked" in data for data in files),
    }


def fork_plain_queue(folder):
    """Fork with a plain queue, whose thread the child lacks, and a shared buffer."""
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
        assert exit_status(fork_process(file.close), 60) == 0
    return {
        "hung": exit_status(fork_process(log), 0.5) is None,
        "rows": path.read_text(),
    }


def test_forks_neither_hang_nor_write_nor_take_rows(tmp_path):
    assert run_in_process(fork_while_logging, tmp_path, figure(200, 2000)) == {
        "hung": 0,
        "failed": 0,
        "jsonl": True,
        "csv": True,
        "tensorboard": True,
        "leaked": False,
    }


def test_forks_of_a_plain_queue_and_buffer_hang_and_write_twice(tmp_path):
    result = run_in_process(fork_plain_queue, tmp_path)
    assert result == {"hung": True, "rows": "row\nrow\n"}


class Interrupted(deque):
    """A deque of rows that raises a signal while a row is added."""

    def append(self, row):
        super().append(row)
        if row.split == "train":
            signal.raise_signal(signal.SIGUSR1)


def log_from_handlers(signals, plain=False):
    """Log and flush from a signal handler within each row of a loop.

    Args:
      signals: Number of rows of the loop, and of signals.
      plain: Whether the queue has a plain lock, as a control.

    Returns:
      Numbers of handled signals and of written rows.
    """
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


class InterruptedEntries(deque):
    """Entries of a logger that raise a signal while one is added or handed out."""

    def append(self, entry):
        super().append(entry)
        signal.raise_signal(signal.SIGUSR1)

    def popleft(self):
        signal.raise_signal(signal.SIGUSR1)
        return super().popleft()


def log_from_handlers_of_a_logger(folder, calls):
    """Log and flush from a signal handler within each call of a loop, and each row.

    Returns:
      Whether the handler ran in most calls, the rows of the loop, those of the handler
      that are missing, and whether each split has each of its steps once, in order.
    """
    logger = TrainingLogger("p", "run", root=folder, console=False, writers=[CSV()])
    logger._entries = logger._sinks.intake.entries = InterruptedEntries()
    handled, is_handling = 0, False

    def handle(number, frame):
        nonlocal handled, is_handling
        if not is_handling:
            is_handling, handled = True, handled + 1
            logger.log_step(handled, loss=1.0, split="val")
            assert handled % 10 or logger.flush()
            is_handling = False

    signal.signal(signal.SIGUSR1, handle)
    for step in range(1, calls + 1):
        logger.log_step(step, loss=1.0)
    assert logger.close()
    rows = read_lines(logger.run_dir / "metrics.jsonl")[0][1:]
    steps = [
        [row["step"] for row in rows if row["split"] == split]
        for split in ("train", "val")
    ]
    in_order = [own == list(range(1, len(own) + 1)) for own in steps]
    return [2 * handled > calls, len(steps[0]), handled - len(steps[1]), *in_order]


def log_from_handlers_with_a_plain_lock():
    return exit_status(fork_process(lambda: log_from_handlers(1, plain=True)), 1.0)


def test_a_signal_handler_can_log_within_the_row_it_interrupts():
    signals = figure(400, 4000)
    assert run_in_process(log_from_handlers, signals) == [signals, 2 * signals]


def test_a_signal_handler_can_log_within_the_call_it_interrupts(tmp_path):
    calls = figure(400, 4000)
    outcome = run_in_process(log_from_handlers_of_a_logger, tmp_path, calls)
    assert outcome == [True, calls, 0, True, True]


def test_with_a_plain_lock_the_handler_hangs():
    assert run_in_process(log_from_handlers_with_a_plain_lock) is None


def produce(sink, rows):
    """Offer rows from four threads, a tenth of which fail, and wait for them."""

    def offer(number):
        for step in range(rows // 4):
            sink.offer(filled_row(step, f"p{number}"))
            if step % 10 == 0:
                sink.flush(far_deadline())  # without it nearly all would be dropped

    threads = [threading.Thread(target=offer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.flush(far_deadline())


def failing_sink(when_full, put_timeout=60.0):
    """Create a sink whose clock leaps, so that its pauses are short."""
    writer = Failing(lambda step: step % 10 == 0)
    writer.when_full = when_full
    now = iter(range(0, 10**9, 10))
    return Sink(writer, capacity=8, put_timeout=put_timeout, clock=lambda: next(now))


def counters_add_up(sink, rows):
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
    ("when_full", "put_timeout", "dropped"),
    [("block", 60.0, False), ("block", 0.0, True), ("drop_oldest", 0.0, True)],
)
def test_counters_add_up_and_each_producer_keeps_its_order(
    when_full, put_timeout, dropped
):
    rows = figure(2000, 100_000)
    sink = failing_sink(when_full, put_timeout)
    produce(sink, rows)
    assert counters_add_up(sink, rows) and in_order(sink)
    assert sink.counters["failed"] > 0 and sink.counters["written"] > 0
    assert (sink.counters["dropped"] > 0) == dropped
    sink.close(far_deadline())


def test_a_drop_that_is_not_counted_shows_in_the_counters(monkeypatch):
    put = RowQueue.put
    monkeypatch.setattr(RowQueue, "put", lambda queue, row: put(queue, row) and None)
    sink = failing_sink("drop_oldest")
    produce(sink, 2000)
    assert not counters_add_up(sink, 2000)
    sink.close(far_deadline())


def test_a_queue_out_of_order_shows_in_the_records():
    class Stack(deque):
        popleft = deque.pop

    sink = failing_sink("block")
    sink._queue._rows = Stack()
    produce(sink, 2000)
    assert counters_add_up(sink, 2000) and not in_order(sink)
    sink.close(far_deadline())


class Hung(Memory):
    """A writer of which one method hangs until its gate opens."""

    def __init__(self, call):
        super().__init__()
        self.gate = threading.Event()
        setattr(self, call, lambda *_: self.gate.wait())


@pytest.fixture
def make_hung():
    """Create writers that hang until the end of the test."""
    writers = []

    def make(call):
        writers.append(Hung(call))
        return writers[-1]

    yield make
    for writer in writers:
        writer.gate.set()


def test_a_hung_writer_delays_closing_up_to_its_timeout_and_no_other_writer(
    tmp_path, make_hung, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for number in range(figure(10, 100)):
        call = ("write", "flush", "close")[number % 3]
        writers = [JSONL(), make_hung(call), memory := Memory()]
        logger = TrainingLogger("p", f"{number}", root=tmp_path, writers=writers)
        for step in range(20):
            logger.log_step(step, loss=1.0)
        before = time.monotonic()
        assert not logger.close(timeout=0.5)
        assert time.monotonic() - before < 20
        assert len(memory.records) == 20
        assert len(read_lines(logger.run_dir / "metrics.jsonl")[0]) == 21


def test_a_hung_writer_that_is_called_directly_hangs_its_caller(tmp_path, make_hung):
    writers = [make_hung("close"), Memory()]
    closing = threading.Thread(target=lambda: [w.close() for w in writers], daemon=True)
    closing.start()
    closing.join(0.1 + 0.5)
    assert closing.is_alive()


def log_for_long(folder, rows, leaking=False):
    """Log many rows; return the growth of megabytes, descriptors and threads.

    The first fifth of the rows is not counted.
    """
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


def test_a_long_run_needs_no_more_memory_descriptors_or_threads(tmp_path):
    megabytes, *others = run_in_process(
        log_for_long, tmp_path, figure(20_000, 1_440_000)
    )
    print(megabytes)
    assert megabytes < 5.0
    assert others == [0, 0]


def test_a_run_that_keeps_its_rows_needs_more_memory(tmp_path):
    assert run_in_process(log_for_long, tmp_path, 20_000, True)[0] > 5.0
