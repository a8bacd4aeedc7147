"""Files on failing disks and under two writers; `make soak` repeats it more often.

A sweep runs some file operations again and again; each time another call of the
file system fails. What was acknowledged has to be in the file, and nothing half.
"""

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
from support.faults import (
    FailingDisk,
    exit_status,
    fork_process,
    kill_after,
    run_in_process,
)
from support.figures import figure, is_quick, seed

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
from jaxmetrics.writers import CSV, JSONL, TensorBoard
from jaxmetrics.writers._event_file import EventFile


def succeeds(call):
    """Return whether a call succeeds; errors of the file system are expected."""
    try:
        call()
    except OSError:
        return False
    return True


def retried(call):
    """Return the result of a call, repeated after errors of the file system."""
    while True:
        try:
            return call()
        except OSError:
            continue


def row(step, split="train", size=1):
    return dumps({"step": step, "split": split, f"{split}/note": "x" * size})


def flushed(file):
    """Flush until all is written; after a sync that failed, no flush succeeds."""
    while True:
        try:
            return file.flush()
        except OSError as error:
            if "earlier flush" in str(error):
                return None


def lines(path, source):
    """Repair, append to, cut and append to a file of lines.

    Like the other operations, it returns a check that returns the contents of the file
    and what they have to be.
    """
    expected = [row(0)]
    path.write_text(f"{expected[0]}\n{row(1)[:9]}")
    file = retried(lambda: AppendFile(path))
    for step in range(1, 7):
        for line in (row(step, size=source.choice((1, 5000))), row(step - 1, "val")):
            if succeeds(lambda line=line: file.write_line(line)):
                expected.append(line)
        succeeds(file.flush)
    retried(lambda: file.cut_after_step(3, "3"))
    expected = [line for line in expected if int(line[8]) <= 3]
    if succeeds(lambda: file.write_line(row(7))):
        expected.append(row(7))
    succeeds(file.close)
    return lambda: ([*map(dumps, rows_after_repair(path))], expected)


def rows_after_repair(path):
    AppendFile(path).close()
    return read_lines(path)[0]


def table(path, source):
    """Write a table whose columns change, which replaces the file."""
    writer = CSV(path.name)
    retried(lambda: writer.open(path.parent, None))
    expected = []
    for step in range(8):
        names = ["loss", f"{'n' * source.choice((1, 5000))}{step // 3}"]
        record = Record(step, "train", dict.fromkeys(names, step / 3), 0.0)
        if succeeds(lambda record=record: writer.write(record)):
            expected.append([str(step), *map(repr, record.values.values())])
        if step % 4 == 2:
            succeeds(writer.flush)
    retried(lambda: writer.load_state({"step": 6}))
    flushed(writer)
    succeeds(writer.close)
    expected = [line for line in expected if int(line[0]) <= 6]

    def check():
        AppendFile(path).close()
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        assert {len(cells) for cells in rows} <= {len(header)}
        return [[row[0], *filter(None, row[3:])] for row in rows], expected

    return check


def events(path, source):
    """Write a file of events and restore an earlier position."""
    file = retried(lambda: EventFile(path.parent, 1.0, zlib.crc32))
    expected = []
    for number in range(8):
        event = bytes([number]) * source.choice((1, 5000))
        if succeeds(lambda event=event: file.write(event)):
            expected.append(event)
        if number == 3:
            position, count = file.position, len(expected)
        succeeds(file.flush)
    retried(lambda: file.rewind(file.path.name, position, "3"))
    del expected[count:]
    if succeeds(lambda: file.write(b"last")):
        expected.append(b"last")
    flushed(file)
    file.close()
    return lambda: (list(events_of(file.path.read_bytes())), expected)


def events_of(data):
    """Yield the events of a file, which has to be complete."""
    while data:
        (length,) = struct.unpack_from("<Q", data)
        assert len(data) >= length + 16, "half an event"
        yield data[12 : 12 + length]
        data = data[length + 16 :]


def replaced_file(path, source):
    """Replace a file several times."""
    expected = []
    for number in range(5):
        data = bytes([number]) * source.choice((1, 5000))
        if succeeds(lambda data=data: atomic_write(path, data)):
            expected = [data]
        elif path.exists() and path.read_bytes() == data:
            expected = [data]  # renamed, but the folder could not be synced

    return lambda: ([file.read_bytes() for file in path.parent.iterdir()], expected)


def careless(path, source):
    """Append lines without checking results or undoing anything, as a control."""
    expected = []
    fd = retried(lambda: os.open(path, os.O_WRONLY | os.O_CREAT))
    for step in range(8):
        line = row(step, size=source.choice((1, 5000)))
        if succeeds(lambda line=line: os.write(fd, f"{line}\n".encode())):
            expected.append(line)
    os.close(fd)
    return lambda: ([*map(dumps, read_lines(path, "skip")[0])], expected)


def sweep(work, folder, number, files):
    """Let each call of an operation fail in turn, until a number of files was written.

    Args:
      work: One of the operations above.
      folder: Folder of the files.
      number: Seed of the random choices.
      files: Number of files.

    Returns:
      The parameters of each failure after which a file had wrong contents, and the
      number of complete sweeps.
    """
    source = random.Random(number)
    written_files, wrong = 0, []
    for sweeps in itertools.count():
        for calls, short in itertools.product((1, 2, 3, 6), (False, True)):
            for first in itertools.count(1):
                if written_files == files:
                    return wrong, sweeps
                written_files += 1
                path = Path(folder, f"{written_files}", "file")
                path.parent.mkdir()
                error = source.choice((errno.ENOSPC, errno.EIO))
                written = source.choice((1, 3000)) if short else 0
                with pytest.MonkeyPatch.context() as patch:
                    disk = FailingDisk(patch, first, calls, error, written)
                    check = work(path, source)
                contents, expected = check()
                if contents != expected:
                    wrong.append((first, calls, error, written))
                shutil.rmtree(path.parent)
                if disk.calls < first:
                    break


@pytest.mark.filterwarnings("ignore:.*was cut off by a kill")
@pytest.mark.parametrize(
    ("work", "files"), [(lines, 700), (table, 600), (events, 400), (replaced_file, 300)]
)
def test_whichever_call_fails_acknowledged_data_is_complete_and_nothing_is_half_written(
    tmp_path, work, files
):
    wrong, sweeps = sweep(work, tmp_path, seed(), figure(files, 10 * files))
    assert not wrong
    print(sweeps)
    assert sweeps >= 1 or is_quick()


def test_the_same_failures_damage_the_file_of_a_careless_writer(tmp_path):
    wrong, _ = sweep(careless, tmp_path, seed(), 100)
    assert wrong


def open_exclusive(folder, kind):
    """Open something that admits one writer."""
    if kind == "lines":
        return AppendFile(Path(folder, "events.jsonl"))
    if kind == "logger":
        return TrainingLogger("p", "run", root=folder, writers=[])
    writer = {"jsonl": JSONL, "csv": CSV}[kind]()
    writer.open(Path(folder), None)
    return writer


def open_while_held(folder, rounds, locks=True):
    """Return how often a second process was refused while a first had the file open."""
    refused = 0
    if not locks:
        _io.lock = lambda fd, path: None
    for number in range(rounds):
        kind = ("lines", "jsonl", "csv", "logger")[number % 4]

        def work(acknowledge, kind=kind):
            first = open_exclusive(folder, kind)
            acknowledge(0)
            signal.pause()
            first.close()

        def second(kind=kind):
            nonlocal refused
            try:
                open_exclusive(folder, kind).close()
            except WriterLockedError:
                refused += 1

        kill_after(work, 1, second)
        open_exclusive(folder, kind).close()  # a killed process holds no lock
    return refused


def open_at_once(folder, rounds):
    """Return how many of three processes could open a table, for each round."""
    opened = []
    for number in range(rounds):
        (ready, go), (results, result), (end, ending) = (os.pipe() for _ in range(3))

        def work(
            number=number, unused=(go, ending), ready=ready, result=result, end=end
        ):
            for fd in unused:
                os.close(fd)
            os.read(ready, 1)
            outcome = b"9"
            try:
                writer = open_exclusive(folder, "csv")
                for step in range(3):
                    values = {f"k{number}-{step}": 1.0}
                    writer.write(Record(step, "train", values, 0.0))
                    writer.flush()
                outcome = b"1"
            except WriterLockedError:
                outcome = b"0"
            finally:
                os.write(result, outcome)
            os.read(end, 1)

        children = [fork_process(work) for _ in range(3)]
        os.close(go)
        opened.append(sum(int(os.read(results, 1)) for _ in children))
        os.close(ending)
        assert [exit_status(child, 60) for child in children] == [0, 0, 0]
        for fd in (ready, results, result, end):
            os.close(fd)
    return opened


def test_a_second_process_is_refused(tmp_path):
    rounds = figure(20, 200)
    assert run_in_process(open_while_held, tmp_path, rounds) == rounds


def test_one_of_several_processes_that_open_at_once_gets_the_file(tmp_path):
    rounds = figure(20, 200)
    assert run_in_process(open_at_once, tmp_path, rounds) == [1] * rounds


def test_without_locks_a_second_process_is_not_refused(tmp_path):
    assert run_in_process(open_while_held, tmp_path, 3, False) == 0


def opened(writer, folder):
    writer.open(folder, 1)
    return writer


OPENS = {
    "lines": lambda folder: AppendFile(folder / "metrics.jsonl"),
    "events": lambda folder: EventFile(folder, 1.0, zlib.crc32),
    "csv": lambda folder: opened(CSV(), folder),
    "jsonl": lambda folder: opened(JSONL(), folder),
    "tensorboard": lambda folder: opened(TensorBoard(), folder),
}


@pytest.mark.parametrize("kind", OPENS)
def test_an_open_that_fails_holds_no_descriptor_and_can_be_repeated(
    kind, tmp_path, monkeypatch
):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    OPENS[kind](tmp_path).close()  # imports what it needs
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        before = descriptors()
        with monkeypatch.context() as patch:
            disk = FailingDisk(patch, number)
            try:
                OPENS[kind](folder).close()
            except OSError:
                assert descriptors() == before, number
        if disk.calls < number:
            break
        OPENS[kind](folder).close()
        assert descriptors() == before, number
    assert number > 2
