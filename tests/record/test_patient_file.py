"""Lines that wait in memory while the disk refuses them."""

import os

import pytest
from support.faults import FullDisk

from jaxmetrics.record import DiskErrors, PatientFile, WriterLockedError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines.jsonl"


@pytest.fixture
def disk(monkeypatch):
    return FullDisk(monkeypatch)


def test_lines_wait_in_order_and_are_written_whole(path, disk, caplog):
    file = PatientFile(path, "The file")
    disk.room = 4
    assert not file.write_lines("one", "two")  # room for the first line
    assert not file.write_lines("three")
    assert path.read_text() == "one\n" and file.position == 4
    assert not file.flush()
    disk.room = None
    assert file.write_lines("four") and file.flush()
    assert path.read_text() == "one\ntwo\nthree\nfour\n"
    (message,) = caplog.messages
    assert message.startswith(f"The file {path} cannot be written ([Errno 28]")
    file.close()


@pytest.mark.parametrize(("size", "count"), [(1, 1001), (2**22, 17)])
def test_beyond_a_limit_the_oldest_are_lost_and_no_flush_says_otherwise(
    path, disk, size, count
):
    file = PatientFile(path, "The file")
    file.write_lines("kept")
    disk.room = 0
    lines = [str(number).ljust(size, ".") for number in range(count)]
    for line in lines:
        file.write_lines(line)
    disk.room = None
    assert not file.flush() and not file.flush()
    assert path.read_text().splitlines() == ["kept", *lines[1:]]
    file.cut(len("kept\n"), "restore")  # the loss came after it
    assert file.flush()
    file.close()


def test_a_cut_above_a_loss_does_not_make_up_for_it(path, disk):
    file = PatientFile(path, "The file")
    disk.room = 0
    for _ in range(1001):
        file.write_lines("x")
    disk.room = None
    file.flush()
    end = file.position
    file.write_lines("y")
    file.cut(end, "restore")
    assert not file.flush()
    file.close()


def test_a_cut_waits_too_and_drops_what_waits(path, disk):
    file = PatientFile(path, "The file")
    file.write_lines("one", "two")
    disk.room = 0
    file.write_lines("never")
    assert not file.cut(4, "restore")
    assert file.position == 4 and path.read_text() == "one\ntwo\n"
    with pytest.raises(ValueError, match="not the end of a line"):
        file.cut(2, "restore")
    disk.room = None
    assert file.write_lines("three") and file.flush()
    assert path.read_text() == "one\nthree\n"
    file.close()


def test_a_text_that_is_not_a_line_is_refused_and_blocks_nothing(path):
    file = PatientFile(path, "The file")
    with pytest.raises(ValueError, match="expected one line"):
        file.write_lines("a\nb")
    assert file.write_lines("c")
    file.close()
    assert path.read_text() == "c\n"


def test_what_waits_is_tried_again_at_the_close(path, disk):
    file = PatientFile(path, "The file")
    with pytest.raises(WriterLockedError):
        PatientFile(path, "Another")
    disk.room = 0
    file.write_lines("last")
    disk.room = None
    file.close()
    assert path.read_text() == "last\n"


def test_the_first_error_is_logged_and_other_kinds_are_raised(caplog):
    errors = DiskErrors("The file", "it waits")
    done = []
    assert errors.attempt(lambda: done.append(1), lambda: done.append(2))
    for _ in range(2):
        assert not errors.attempt(lambda: os.stat("/nowhere"), lambda: done.append(3))
    assert done == [1, 2]
    assert len(caplog.messages) == 1 and "Training goes on; it waits." in caplog.text
    with pytest.raises(ZeroDivisionError):
        errors.attempt(lambda: 1 / 0)
