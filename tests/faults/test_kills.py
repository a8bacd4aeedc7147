"""Writers that are killed; `make soak` kills them more often."""

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
from support.faults import FailingDisk, apart, ended, events_shown, forked, killed
from support.figures import figure, seed

from jaxmetrics.record import AppendFile, Media, Record, dumps, read_lines
from jaxmetrics.writers import CSV, JSONL, TensorBoard


def write_rows(writer, folder, first, acknowledge, sizes=(1,), flush=False):
    """Log rows without end; a text makes them as long as a size."""
    warnings.simplefilter("ignore")  # a torn tail of the kill before
    writer.open(Path(folder), None)
    for step in itertools.count(first):
        text = {"train/note": "x" * random.choice(sizes)}
        kind = Media if max(sizes) > 1 else Record
        writer.write(kind(step, "train", text if kind is Media else {"loss": 1.0}, 0.0))
        if flush:
            writer.flush()
        acknowledge(step)


def die_after(size):
    """Have this process kill itself amid a write, once it has written `size` bytes."""
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
    """A control, which leaves lines in a buffer of its process."""

    def open(self, run_dir, resume_step):
        self.lines = open(run_dir / self.file, "a")

    def write(self, record):
        self.lines.write(dumps(record.line()) + "\n")


class Trusting(JSONL):
    """A control, which goes on after whatever it finds."""

    def open(self, run_dir, resume_step):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self.fd = os.open(run_dir / self.file, flags, 0o644)

    def write(self, record):
        os.write(self.fd, dumps(record.line()).encode() + b"\n")


def kill_jsonl(folder, kills, number, kind="JSONL"):
    """Kill the writer of one file again and again: in time, every fourth amid a write.

    Each goes on after the last row of the one before.
    """
    source = random.Random(number)
    path = Path(folder, "metrics.jsonl")
    path.touch()  # the first kill may come before its writer opens it
    following = lost = end = 0
    torn = [0, 0]
    for kill in range(kills):
        amid = kill % 4 == 0

        def work(acknowledge, first=following, kill=kill, amid=amid):
            random.seed(number + kill)
            if amid:
                die_after(random.choice((100, 10_000, 100_000)) * random.random())
            writer = globals()[kind]()
            write_rows(writer, folder, first, acknowledge, (20, 3000, 60_000))

        last = killed(work, source.randint(0, 8), source.randint(0, 30_000))
        acknowledged = following if last is None else last + 1
        with path.open("rb") as file:
            file.seek(end)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        end += whole
        torn[amid] += whole < len(data)
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
        "torn in time": torn[False],
        "torn amid a write": torn[True],
    }


def test_kills_lose_no_row_and_tear_none(tmp_path):
    told = apart(kill_jsonl, tmp_path, figure(200, 2000), seed())
    print(told)
    assert told["rows"] > figure(200, 2000)
    assert told["torn in time"] + told["torn amid a write"] >= 10
    assert (told["lost"], told["bad"], told["contiguous"]) == (0, 0, True)
    assert told["headers"] == [0]


def test_the_same_kills_take_rows_out_of_a_buffer(tmp_path):
    told = apart(kill_jsonl, tmp_path, 20, seed(), "Buffered")
    assert told["lost"] > 0 and not told["contiguous"]


def test_the_same_kills_spoil_a_file_that_is_not_repaired(tmp_path):
    told = apart(kill_jsonl, tmp_path, 20, seed(), "Trusting")
    assert told["bad"] > 0


class Table(CSV):
    """A table that has a new column every twenty rows, for which it is replaced."""

    def write(self, record):
        values = {f"train/k{record.step // 20}": record.step / 3}
        super().write(replace(record, values={**record.values, **values}))


class BufferedTable(CSV):
    """A control, which leaves rows in a buffer of its process."""

    def open(self, run_dir, resume_step):
        self.lines = open(run_dir / self.file, "w")
        self.lines.write("step\n")

    def write(self, record):
        self.lines.write(f"{record.step}\n")

    def flush(self):
        pass


def kill_table(folder, kills, number, kind="Table"):
    """Kill writers of tables after their flushes; the rows that are lost."""
    source = random.Random(number)
    lost = 0
    for kill in range(kills):
        path = Path(folder, str(kill))
        path.mkdir()

        def work(acknowledge, path=path):
            write_rows(globals()[kind](), path, 0, acknowledge, flush=True)

        last = killed(work, source.randint(1, 60), source.randint(0, 20_000))
        lines = (path / "metrics.csv").read_text().split("\n")[:-1]
        rows = list(csv.reader(lines))
        assert len({len(cells) for cells in rows}) <= 1
        lost += max(last + 1 - len(rows[1:]), 0)
    return lost


def test_kills_lose_no_row_of_a_table_that_was_flushed(tmp_path):
    assert apart(kill_table, tmp_path, figure(40, 400), seed()) == 0


def test_the_same_kills_take_rows_of_a_table_out_of_a_buffer(tmp_path):
    assert apart(kill_table, tmp_path, 5, seed(), "BufferedTable") > 0


def kill_tensorboard(folder, kills, number):
    """Kill writers of one folder, which all begin in one second, after their flushes.

    Returns the events that were flushed, are lost, and are shown in disorder.
    """
    source = random.Random(number)
    flushed = []
    for first in range(0, kills * 10**6, 10**6):

        def work(acknowledge, first=first):
            writer = TensorBoard(clock=lambda: 1000.0)
            write_rows(writer, folder, first, acknowledge, flush=True)

        last = killed(work, source.randint(1, 60), source.randint(0, 20_000))
        flushed += range(first, last + 1)
    shown = events_shown(Path(folder, "tensorboard"))
    return [len(flushed), len({*flushed} - {*shown}), shown != sorted({*shown})]


def kill_tensorboardx(folder, kills, number):
    """The same, as a control, to the writer of tensorboardX; the events lost."""
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

        last = killed(work, source.randint(1, 60), source.randint(0, 20_000))
        lost += max(last + 1 - len(events_shown(Path(folder, str(kill)))), 0)
    return lost


def test_kills_lose_no_event_that_was_flushed(tmp_path):
    kills = figure(40, 400)
    flushed, lost, disorder = apart(kill_tensorboard, tmp_path, kills, seed())
    print(flushed)
    assert flushed > 20 * kills
    assert (lost, disorder) == (0, False)


def test_the_same_kills_lose_events_of_a_writer_whose_flush_is_none(tmp_path):
    assert apart(kill_tensorboardx, tmp_path, 5, seed()) > 0


def write_events_at_once(folder, starts):
    """Two processes at a time in one folder and one second; what TensorBoard shows."""
    for start in range(starts):

        def work(tag, start=start):
            writer = TensorBoard(clock=lambda: 1000.0)
            writer.open(Path(folder), None)
            for step in range(5 * start, 5 * start + 5):
                writer.write(Record(step, "train", {tag: 1.0}, 0.0))

        both = [forked(lambda tag=tag: work(tag)) for tag in ("one", "two")]
        assert [ended(child, 60) for child in both] == [0, 0]
    return [events_shown(Path(folder, "tensorboard"), tag) for tag in ("one", "two")]


def start_tensorboardx_twice(folder):
    """A control: two writers of tensorboardX, one after the other, in one second."""
    from tensorboardX import SummaryWriter

    time.time = lambda: 1000.0
    for tag in ("one", "two"):
        with SummaryWriter(folder) as writer:
            writer.add_scalar(tag, 1.0, 0)
    return [events_shown(folder, tag) for tag in ("one", "two")]


def test_writers_that_start_in_one_second_lose_nothing(tmp_path):
    starts = figure(10, 100)
    expected = list(range(5 * starts))
    assert apart(write_events_at_once, tmp_path, starts) == [expected, expected]


def test_a_file_that_is_named_by_its_second_only_is_lost(tmp_path):
    assert apart(start_tensorboardx_twice, tmp_path) == [[], [0]]


def die_going_back(folder):
    """Kill a process at each call of going back to a step, and then go back again.

    Returns the calls after which rows are lost, and how many there are.
    """
    warnings.simplefilter("ignore")
    steps = [0, 1, 2, 2, 3, 1, 4, 2, 5]  # some of them late
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

        if ended(forked(work), 60) == 0:
            return wrong, first - 1
        with AppendFile(path) as file:
            file.cut_after_step(2, "2")
        if [dumps(found) for found in read_lines(path)[0]] != kept:
            wrong.append(first)


def test_a_kill_on_the_way_back_loses_no_row_that_stays(tmp_path):
    wrong, calls = apart(die_going_back, tmp_path)
    assert wrong == []
    assert calls > 10
