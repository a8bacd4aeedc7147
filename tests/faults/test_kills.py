"""Kills of writers; `make soak` kills them more often."""

import csv
import itertools
import os
import random
import re
import signal
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from support.faults import (
    FailingDisk,
    exit_status,
    fork_process,
    kill_after,
    run_in_process,
    tensorboard_steps,
)
from support.figures import figure, seed

from jaxmetrics.record import AppendFile, Media, Record, dumps, read_lines
from jaxmetrics.writers import CSV, JSONL, TensorBoard


def write_rows(writer, folder, first, acknowledge, sizes=(1,), flush=False):
    """Write rows forever; a text makes each as long as one of `sizes`."""
    warnings.simplefilter("ignore")  # about a torn line left by the previous kill
    writer.open(Path(folder), None)
    for step in itertools.count(first):
        text = {"train/note": "x" * random.choice(sizes)}
        kind = Media if max(sizes) > 1 else Record
        writer.write(kind(step, "train", text if kind is Media else {"loss": 1.0}, 0.0))
        if flush:
            writer.flush()
        acknowledge(step)


def die_after(size):
    """Make this process kill itself within a write, after `size` bytes."""
    write = os.write

    def write_or_die(fd, data):
        nonlocal size
        if size < len(data):
            write(fd, bytes(data)[: int(size)])
            os.kill(os.getpid(), signal.SIGKILL)
        size -= len(data)
        return write(fd, data)

    os.write = write_or_die


class Buffered(JSONL):
    """A control that keeps lines in a buffer of its process."""

    def open(self, run_dir, resume_step):
        self.lines = open(run_dir / self.file, "a")

    def write(self, record):
        self.lines.write(dumps(record.line()) + "\n")


class Trusting(JSONL):
    """A control that appends to a torn line as if it were complete."""

    def open(self, run_dir, resume_step):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.fd = os.open(run_dir / self.file, flags, 0o644)

    def write(self, record):
        os.write(self.fd, dumps(record.line()).encode() + b"\n")


def kill_jsonl(folder, kills, number, kind="JSONL"):
    """Kill the writer of one file repeatedly, every fourth time within a write.

    Each writer continues after the last row of the previous one.

    Returns:
      Counts of rows, lost and damaged lines, headers, and kills that tore a line.
    """
    source = random.Random(number)
    path = Path(folder, "metrics.jsonl")
    path.touch()  # the first kill may come before its writer opens it
    following = lost = end = 0
    torn = [0, 0]
    for kill in range(kills):
        within_write = kill % 4 == 0

        def work(acknowledge, first=following, kill=kill, within_write=within_write):
            random.seed(number + kill)
            if within_write:
                die_after(random.choice((100, 10_000, 100_000)) * random.random())
            writer = globals()[kind]()
            write_rows(writer, folder, first, acknowledge, (20, 3000, 60_000))

        last = kill_after(work, source.randint(0, 8), source.randint(0, 30_000))
        acknowledged = following if last is None else last + 1
        with path.open("rb") as file:
            file.seek(end)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        end += whole
        torn[within_write] += whole < len(data)
        steps = re.findall(rb'"step":(\d+)', data[:whole])
        reached = int(steps[-1]) + 1 if steps else following
        lost += max(acknowledged - reached, 0)
        following = max(acknowledged, reached)
    rows, bad = read_lines(path, errors="skip")
    steps = [row["step"] for row in rows if row["kind"] == "text"]
    return {
        "rows": len(steps),
        "lost": lost,
        "bad": len(bad),
        "contiguous": steps == list(range(following)),
        "headers": [n for n, row in enumerate(rows) if row["kind"] == "header"],
        "torn between writes": torn[False],
        "torn within a write": torn[True],
    }


def test_kills_lose_no_row_and_tear_none(tmp_path):
    counts = run_in_process(kill_jsonl, tmp_path, figure(200, 2000), seed())
    print(counts)
    assert counts["rows"] > figure(200, 2000)
    assert counts["torn between writes"] + counts["torn within a write"] >= figure(
        10, 10
    )
    assert (counts["lost"], counts["bad"], counts["contiguous"]) == (0, 0, True)
    assert counts["headers"] == [0]


def test_the_same_kills_lose_rows_in_a_buffer(tmp_path):
    counts = run_in_process(kill_jsonl, tmp_path, 20, seed(), "Buffered")
    assert counts["lost"] > 0 and not counts["contiguous"]


def test_the_same_kills_damage_a_file_that_is_not_repaired(tmp_path):
    counts = run_in_process(kill_jsonl, tmp_path, 20, seed(), "Trusting")
    assert counts["bad"] > 0


class Table(CSV):
    """A table that is rewritten for a new column every twenty rows."""

    def write(self, record):
        values = {f"train/k{record.step // 20}": record.step / 3}
        super().write(replace(record, values={**record.values, **values}))


class BufferedTable(CSV):
    """A control that keeps rows in a buffer of its process."""

    def open(self, run_dir, resume_step):
        self.lines = open(run_dir / self.file, "w")
        self.lines.write("step\n")

    def write(self, record):
        self.lines.write(f"{record.step}\n")

    def flush(self):
        pass


def kill_table(folder, kills, number, kind="Table"):
    """Kill writers of tables after flushes; return the number of lost rows."""
    source = random.Random(number)
    lost = 0
    for kill in range(kills):
        path = Path(folder, str(kill))
        path.mkdir()

        def work(acknowledge, path=path):
            write_rows(globals()[kind](), path, 0, acknowledge, flush=True)

        last = kill_after(work, source.randint(1, 60), source.randint(0, 20_000))
        lines = (path / "metrics.csv").read_text().split("\n")[:-1]
        rows = list(csv.reader(lines))
        assert len({len(cells) for cells in rows}) <= 1
        lost += max(last + 1 - len(rows[1:]), 0)
    return lost


def test_kills_lose_no_flushed_row_of_a_table(tmp_path):
    assert run_in_process(kill_table, tmp_path, figure(40, 400), seed()) == 0


def test_the_same_kills_lose_rows_of_a_table_in_a_buffer(tmp_path):
    assert run_in_process(kill_table, tmp_path, 5, seed(), "BufferedTable") > 0


def kill_tensorboard(folder, kills, number):
    """Kill writers of one folder that start in the same second, after flushes.

    Returns:
      Numbers of flushed and lost events, and whether any are out of order.
    """
    source = random.Random(number)
    flushed = []
    for first in range(0, kills * 10**6, 10**6):

        def work(acknowledge, first=first):
            writer = TensorBoard(clock=lambda: 1000.0)
            write_rows(writer, folder, first, acknowledge, flush=True)

        last = kill_after(work, source.randint(1, 60), source.randint(0, 20_000))
        flushed += range(first, last + 1)
    shown = tensorboard_steps(Path(folder, "tensorboard"))
    return [len(flushed), len({*flushed} - {*shown}), shown != sorted({*shown})]


def kill_tensorboardx(folder, kills, number):
    """Kill writers of tensorboardX, as a control; return the number of lost events."""
    from tensorboardX import SummaryWriter

    source = random.Random(number)
    lost = 0
    for kill in range(kills):

        def work(acknowledge, kill=kill):
            writer = SummaryWriter(str(Path(folder, str(kill))))
            for step in itertools.count():
                writer.add_scalar("loss", 1.0, step)
                writer.flush()
                acknowledge(step)

        last = kill_after(work, source.randint(1, 60), source.randint(0, 20_000))
        lost += max(last + 1 - len(tensorboard_steps(Path(folder, str(kill)))), 0)
    return lost


def test_kills_lose_no_flushed_event(tmp_path):
    kills = figure(40, 400)
    flushed, lost, disorder = run_in_process(kill_tensorboard, tmp_path, kills, seed())
    print(flushed)
    assert flushed > 20 * kills
    assert (lost, disorder) == (0, False)


def test_the_same_kills_lose_events_of_a_writer_that_does_not_flush(tmp_path):
    assert run_in_process(kill_tensorboardx, tmp_path, 5, seed()) > 0


def write_events_at_once(folder, starts):
    """Write from two processes into one folder; return what TensorBoard shows."""
    for start in range(starts):

        def work(tag, start=start):
            writer = TensorBoard(clock=lambda: 1000.0)
            writer.open(Path(folder), None)
            for step in range(5 * start, 5 * start + 5):
                writer.write(Record(step, "train", {tag: 1.0}, 0.0))

        both = [fork_process(lambda tag=tag: work(tag)) for tag in ("one", "two")]
        assert [exit_status(child, 60) for child in both] == [0, 0]
    return [
        tensorboard_steps(Path(folder, "tensorboard"), tag) for tag in ("one", "two")
    ]


def start_tensorboardx_twice(folder):
    """Start two writers of tensorboardX in the same second, as a control."""
    from tensorboardX import SummaryWriter

    time.time = lambda: 1000.0
    for tag in ("one", "two"):
        with SummaryWriter(folder) as writer:
            writer.add_scalar(tag, 1.0, 0)
    return [tensorboard_steps(folder, tag) for tag in ("one", "two")]


def test_writers_that_start_in_the_same_second_lose_nothing(tmp_path):
    starts = figure(10, 100)
    expected = list(range(5 * starts))
    assert run_in_process(write_events_at_once, tmp_path, starts) == [
        expected,
        expected,
    ]


def test_a_file_named_only_by_its_second_is_lost(tmp_path):
    assert run_in_process(start_tensorboardx_twice, tmp_path) == [[], [0]]


def kill_while_rewinding(folder):
    """Kill a process at each system call of a rewind, then rewind again.

    Returns:
      The calls after which rows are lost, and the number of calls.
    """
    warnings.simplefilter("ignore")
    steps = [0, 1, 2, 2, 3, 1, 4, 2, 5]  # not in order
    written = [dumps({"step": step, "number": n}) for n, step in enumerate(steps)]
    kept = [line for line, step in zip(written, steps) if step <= 2]
    wrong = []
    for first in itertools.count(1):
        path = Path(folder, f"{first}")
        path.write_text("".join(f"{line}\n" for line in written))

        def work(path=path, first=first):
            FailingDisk(pytest.MonkeyPatch(), first, 1, error=None)
            with AppendFile(path) as file:
                file.cut_after_step(2, "2")

        if exit_status(fork_process(work), 60) == 0:
            return wrong, first - 1
        with AppendFile(path) as file:
            file.cut_after_step(2, "2")
        if [dumps(row) for row in read_lines(path)[0]] != kept:
            wrong.append(first)


def test_a_kill_in_a_rewind_loses_no_row_that_is_kept(tmp_path):
    wrong, calls = run_in_process(kill_while_rewinding, tmp_path)
    assert wrong == []
    assert calls > 10
