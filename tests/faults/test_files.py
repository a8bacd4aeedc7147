"""Files on failing disks, and under two writers; `make soak` has more of them."""

import csv
import errno
import itertools
import os
import random
import shutil
import signal
import struct
import zlib
from pathlib import Path

import pytest
from support.faults import FailingDisk, apart, ended, forked, killed
from support.figures import figure, seed

from jaxmetrics import TrainingLogger
from jaxmetrics.record import (
    AppendFile,
    Record,
    WriterLockedError,
    _io,
    atomic_write,
    dumps,
    read_lines,
)
from jaxmetrics.writers import CSV, JSONL
from jaxmetrics.writers._event_file import EventFile

# Failing calls


def attempt(call):
    """Whether a call comes through; a file system's errors are expected."""
    try:
        call()
    except OSError:
        return False
    return True


def until_it_holds(call):
    """The result of a call that is tried again after errors of the file system."""
    while True:
        try:
            return call()
        except OSError:
            continue


def row(step, split="train", size=1):
    return dumps({"step": step, "split": split, f"{split}/note": "x" * size})


def lines(path, source):
    """Repair, append, go back in and append to a file of lines; what it must hold."""
    kept = [row(0)]
    path.write_text(f"{kept[0]}\n{row(1)[:9]}")
    file = until_it_holds(lambda: AppendFile(path))
    for step in range(1, 7):
        for line in (row(step, size=source.choice((1, 5000))), row(step - 1, "val")):
            if attempt(lambda line=line: file.write_line(line)):
                kept.append(line)
        attempt(file.flush)
    until_it_holds(lambda: file.cut_after_step(3, "3"))
    kept = [line for line in kept if int(line[8]) <= 3]
    if attempt(lambda: file.write_line(row(7))):
        kept.append(row(7))
    attempt(file.close)
    return lambda: ([*map(dumps, until_repaired(path))], kept)


def until_repaired(path):
    AppendFile(path).close()
    return read_lines(path)[0]


def table(path, source):
    """A table whose columns change, which replaces the file."""
    writer = CSV(path.name)
    until_it_holds(lambda: writer.open(path.parent, None))
    kept = []
    for step in range(8):
        names = ["loss", f"{'n' * source.choice((1, 5000))}{step // 3}"]
        record = Record(step, "train", dict.fromkeys(names, step / 3), 0.0)
        if attempt(lambda record=record: writer.write(record)):
            kept.append([str(step), *map(repr, record.values.values())])
        if step % 4 == 2:
            attempt(writer.flush)
    until_it_holds(lambda: writer.load_state({"step": 6}))
    until_it_holds(writer.flush)
    attempt(writer.close)
    kept = [line for line in kept if int(line[0]) <= 6]

    def found():
        AppendFile(path).close()
        with path.open(newline="") as file:
            header, *found = csv.reader(file)
        assert {len(cells) for cells in found} <= {len(header)}
        return [[c[0], *filter(None, c[3:])] for c in found], kept

    return found


def events(path, source):
    """A file of events, to which an earlier position is restored."""
    made = until_it_holds(lambda: EventFile(path.parent, 1.0, zlib.crc32))
    kept = []
    for number in range(8):
        event = bytes([number]) * source.choice((1, 5000))
        if attempt(lambda event=event: made.write(event)):
            kept.append(event)
        if number == 3:
            position, until = made.position, len(kept)
        attempt(made.flush)
    until_it_holds(lambda: made.rewind(made.path.name, position, "3"))
    del kept[until:]
    if attempt(lambda: made.write(b"last")):
        kept.append(b"last")
    until_it_holds(made.flush)
    made.close()
    return lambda: (list(framed(made.path.read_bytes())), kept)


def framed(data):
    """The events of a file, which is whole."""
    while data:
        (length,) = struct.unpack_from("<Q", data)
        assert len(data) >= length + 16, "half an event"
        yield data[12 : 12 + length]
        data = data[length + 16 :]


def description(path, source):
    """A file that is replaced."""
    kept = []
    for number in range(5):
        data = bytes([number]) * source.choice((1, 5000))
        if attempt(lambda data=data: atomic_write(path, data)):
            kept = [data]
        elif path.exists() and path.read_bytes() == data:
            kept = [data]  # its name may not be on the disk yet

    return lambda: ([file.read_bytes() for file in path.parent.iterdir()], kept)


def careless(path, source):
    """A control, which looks at no result and undoes nothing."""
    kept = []
    fd = until_it_holds(lambda: os.open(path, os.O_WRONLY | os.O_CREAT))
    for step in range(8):
        line = row(step, size=source.choice((1, 5000)))
        if attempt(lambda line=line: os.write(fd, f"{line}\n".encode())):
            kept.append(line)
    os.close(fd)
    return lambda: ([*map(dumps, read_lines(path, "skip")[0])], kept)


def sweep(work, folder, number, files):
    """Fail each call of some work with each error, until so many files were made.

    Returns the files in which something is wrong, and how many sweeps were ended.
    """
    source = random.Random(number)
    made, wrong = 0, []
    for sweeps in itertools.count():
        for calls, short in itertools.product((1, 2, 3, 6), (False, True)):
            for first in itertools.count(1):
                if made == files:
                    return wrong, sweeps
                made += 1
                path = Path(folder, f"{made}", "file")
                path.parent.mkdir()
                error = source.choice((errno.ENOSPC, errno.EIO))
                written = source.choice((1, 3000)) if short else 0
                with pytest.MonkeyPatch.context() as patch:
                    disk = FailingDisk(patch, first, calls, error, written)
                    check = work(path, source)
                found, kept = check()
                if found != kept:
                    wrong.append((first, calls, error, written))
                shutil.rmtree(path.parent)
                if disk.calls < first:
                    break


@pytest.mark.filterwarnings("ignore:.*was cut off by a kill")
@pytest.mark.parametrize(
    ("work", "files"), [(lines, 700), (table, 600), (events, 400), (description, 300)]
)
def test_whichever_call_fails_what_was_written_is_there_and_nothing_half(
    tmp_path, work, files
):
    wrong, sweeps = sweep(work, tmp_path, seed(), figure(files, 10 * files))
    assert not wrong
    print(sweeps)
    assert sweeps >= 1


def test_the_same_failures_leave_halves_of_a_careless_writer(tmp_path):
    wrong, _ = sweep(careless, tmp_path, seed(), 100)
    assert wrong


# Two writers


def hold(folder, kind):
    """Open what has one writer."""
    if kind == "lines":
        return AppendFile(Path(folder, "events.jsonl"))
    if kind == "logger":
        return TrainingLogger("p", "run", root=folder, writers=[])
    writer = {"jsonl": JSONL, "csv": CSV}[kind]()
    writer.open(Path(folder), None)
    return writer


def open_while_held(folder, rounds, locks=True):
    """How often a second process was refused while a first one had a file."""
    refused = 0
    if not locks:
        _io.lock = lambda fd, path: None
    for number in range(rounds):
        kind = ("lines", "jsonl", "csv", "logger")[number % 4]

        def work(acknowledge, kind=kind):
            held = hold(folder, kind)
            acknowledge(0)
            signal.pause()
            held.close()

        def second(kind=kind):
            nonlocal refused
            try:
                hold(folder, kind).close()
            except WriterLockedError:
                refused += 1

        killed(work, 1, second)
        hold(folder, kind).close()  # as the killed one holds nothing
    return refused


def open_at_once(folder, rounds):
    """How many of three processes had a table, which they replace, in each round."""
    had = []
    for number in range(rounds):
        (ready, go), (told, tell), (end, ending) = (os.pipe() for _ in range(3))

        def work(number=number, closed=(go, ending), ready=ready, tell=tell, end=end):
            for fd in closed:
                os.close(fd)
            os.read(ready, 1)
            said = b"9"
            try:
                writer = hold(folder, "csv")
                for step in range(3):
                    values = {f"k{number}-{step}": 1.0}
                    writer.write(Record(step, "train", values, 0.0))
                    writer.flush()
                said = b"1"
            except WriterLockedError:
                said = b"0"
            finally:
                os.write(tell, said)
            os.read(end, 1)

        children = [forked(work) for _ in range(3)]
        os.close(go)
        had.append(sum(int(os.read(told, 1)) for _ in children))
        os.close(ending)
        assert [ended(child, 60) for child in children] == [0, 0, 0]
        for fd in (ready, told, tell, end):
            os.close(fd)
    return had


def test_a_second_process_is_refused(tmp_path):
    rounds = figure(20, 200)
    assert apart(open_while_held, tmp_path, rounds) == rounds


def test_of_processes_that_open_at_once_one_has_the_file(tmp_path):
    rounds = figure(20, 200)
    assert apart(open_at_once, tmp_path, rounds) == [1] * rounds


def test_without_locks_it_would_not_be(tmp_path):
    assert apart(open_while_held, tmp_path, 3, False) == 0
