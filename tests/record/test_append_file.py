"""Append-only files under kills, forks, second writers and failing disks."""

import errno
import fcntl
import os
import signal

import numpy as np
import pytest
from support.faults import FailingDisk
from support.processes import run_python, start_python

from jaxmetrics.record import (
    AppendFile,
    CorruptLineError,
    OtherWriterError,
    WriterLockedError,
    _io,
    atomic_write,
    dumps,
)


def write(path, *lines):
    with AppendFile(path) as file:
        for line in lines:
            file.write_line(line)


def names(path):
    return sorted(p.name for p in path.parent.iterdir())


def row(step, split="train"):
    return dumps({"step": step, "split": split, f"{split}/loss": step / 2})


def test_lines_are_written_without_a_flush_and_continue_after_reopening(path):
    with AppendFile(path) as file:
        assert file.position == 0
        file.write_line("a")
        file.write_line("é")
        assert path.read_bytes() == b"a\n\xc3\xa9\n"
        assert file.position == 5
    with AppendFile(path) as file:
        assert file.position == 5
        file.write_line("b")
        file.flush()
    assert path.read_bytes() == b"a\n\xc3\xa9\nb\n"


@pytest.mark.parametrize("text", ["a\nb", "\n", "x" * 2**24])
def test_text_that_is_not_one_readable_line_is_refused(path, text):
    with AppendFile(path) as file, pytest.raises(ValueError, match="one line"):
        file.write_line(text)
    assert path.read_bytes() == b""


def test_using_a_closed_file_is_an_error(path):
    file = AppendFile(path)
    file.close()
    file.close()
    for call in (lambda: file.write_line("a"), file.flush, lambda: file.cut(0, "x")):
        with pytest.raises(ValueError, match="is closed"):
            call()


def test_a_new_file_is_readable_by_others_and_writable_by_the_owner(path):
    mask = os.umask(0o022)
    try:
        write(path, "a")
        atomic_write(path.with_name("b"), b"")
    finally:
        os.umask(mask)
    for file in (path, path.with_name("b")):
        assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "tail", [b'{"step": 3, "lo', b"\x00" * 100, b"x" * (2**20 + 7)]
)
def test_a_torn_tail_is_moved_aside_with_one_warning(path, tail):
    path.write_bytes(b"a\nb\n" + tail)
    with pytest.warns(UserWarning) as caught:
        file = AppendFile(path)
    assert len(caught) == 1
    assert f"{len(tail)} bytes at byte 4" in str(caught[0].message)
    file.write_line("c")
    file.close()
    assert path.read_bytes() == b"a\nb\nc\n"
    assert path.with_name("metrics.jsonl.torn").read_bytes() == tail


def test_a_second_torn_tail_is_appended_to_the_first(path):
    for tail in (b"one", b"two"):
        with path.open("ab") as file:
            file.write(b"a\n" + tail)
        with pytest.warns(UserWarning, match="was cut off"):
            AppendFile(path).close()
    assert path.with_name("metrics.jsonl.torn").read_bytes() == b"one\ntwo"
    assert path.read_bytes() == b"a\na\n"


def test_a_file_that_is_one_torn_line_becomes_empty(path):
    path.write_bytes(b"torn")
    with pytest.warns(UserWarning, match="4 bytes at byte 0"):
        AppendFile(path).close()
    assert path.read_bytes() == b""


def test_a_second_opener_in_the_same_process_is_refused(path):
    with AppendFile(path) as file:
        with pytest.raises(WriterLockedError, match=f"{path}.*this process.*run_name"):
            AppendFile(path)
        file.write_line("still held")
    AppendFile(path).close()


def test_a_second_opener_in_another_process_is_refused(path):
    holder = start_python(
        """
        import sys
        from jaxmetrics.record import AppendFile
        file = AppendFile(sys.argv[1])
        print("open", flush=True)
        sys.stdin.read()
        """,
        path,
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(
            WriterLockedError, match=f"written by process {holder.pid};"
        ):
            AppendFile(path)
        holder.kill()
    AppendFile(path).close()  # a killed writer holds nothing


def test_a_fork_can_neither_write_nor_take_the_lock_away(path):
    result = run_python(
        """
        import os, sys
        from jaxmetrics.record import AppendFile, WriterLockedError
        file = AppendFile(sys.argv[1])
        if os.fork() == 0:
            try:
                file.write_line("from the fork")
            except RuntimeError as error:
                refused = "its fork" in str(error)
            file.close()
            os._exit(0 if refused else 1)
        assert os.wait()[1] == 0
        try:
            AppendFile(sys.argv[1])
        except WriterLockedError:
            print("held")
        file.write_line("from the parent")
        """,
        path,
    )
    assert result.stdout == "held\n", result.stderr
    assert path.read_text() == "from the parent\n"


def test_closing_releases_the_lock_while_a_fork_still_lives(path):
    result = run_python(
        """
        import os, signal, sys
        from jaxmetrics.record import AppendFile
        file = AppendFile(sys.argv[1])
        child = os.fork()
        if child == 0:
            signal.pause()
        file.close()
        try:
            AppendFile(sys.argv[1]).close()
            print("free")
        finally:
            os.kill(child, signal.SIGKILL)
        """,
        path,
    )
    assert result.stdout == "free\n", result.stderr


def test_a_killed_writer_holds_nothing_though_its_forks_live(path):
    writer = start_python(
        """
        import os, signal, sys
        from jaxmetrics.record import AppendFile
        file = AppendFile(sys.argv[1])
        file.write_line("old")
        file.replace([b"new\\n"])
        if os.fork() == 0:
            print(os.getpid(), flush=True)
        signal.pause()
        """,
        path,
    )
    with writer:
        child = int(writer.stdout.readline())
        writer.kill()
        writer.wait(60)
        try:
            AppendFile(path).close()
        finally:
            os.kill(child, signal.SIGKILL)
    assert path.read_text() == "new\n"


def test_a_fork_closes_no_descriptor_of_a_file_that_could_not_be_opened(path):
    path.write_bytes(b"torn")
    path.with_name("metrics.jsonl.torn").mkdir()
    result = run_python(
        """
        import os, sys
        from jaxmetrics.record import AppendFile
        try:
            AppendFile(sys.argv[1])
        except OSError as error:
            kept = error  # with the frame of the file
        other = os.open(sys.argv[1], os.O_RDONLY)
        child = os.fork()
        if child == 0:
            os._exit(os.read(other, 4) != b"torn")
        print(os.waitpid(child, 0)[1], type(kept).__name__)
        """,
        path,
    )
    assert result.stdout.startswith("0 "), result.stderr


def test_new_contents_keep_the_lock(path):
    with AppendFile(path) as file:
        file.write_line("old")
        file.replace([b"ne", b"w\n"])
        with pytest.raises(WriterLockedError, match="this process"):
            AppendFile(path)
        file.write_line("more")
        assert file.position == 9
    assert path.read_bytes() == b"new\nmore\n"
    assert names(path) == ["metrics.jsonl"]
    AppendFile(path).close()


def test_an_opener_between_old_and_new_contents_is_refused(path, monkeypatch):
    first = AppendFile(path)

    def lock(fd, path):  # between the opening and the lock of the second opener
        monkeypatch.undo()
        first.replace([b"new\n"])
        _io.lock(fd, path)

    monkeypatch.setattr(_io, "lock", lock)
    with pytest.raises(WriterLockedError, match="this process"):
        AppendFile(path)
    first.write_line("more")
    first.close()
    assert path.read_bytes() == b"new\nmore\n"


def test_a_symbolic_link_is_refused_and_its_target_untouched(path):
    target = path.with_name("target")
    target.write_text("victim")
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link.*Remove it") as caught:
        AppendFile(path)
    assert caught.value.errno == errno.ELOOP
    assert target.read_text() == "victim"


def test_a_symbolic_link_in_place_of_the_torn_file_is_refused(path):
    target = path.with_name("target")
    path.with_name("metrics.jsonl.torn").symlink_to(target)
    path.write_bytes(b"a\ntorn")
    with pytest.raises(OSError, match="symbolic link"):
        AppendFile(path)
    assert not target.exists()
    assert path.read_bytes() == b"a\ntorn"


def test_a_pipe_is_refused_without_hanging(path):
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file.*Remove it"):
        AppendFile(path)


def test_a_device_is_refused():
    with pytest.raises(OSError, match="not a regular file"):
        AppendFile("/dev/null")


def test_a_folder_is_refused(path):
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="a file was expected"):
        AppendFile(path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Make the folder first.*no/x"):
        AppendFile(tmp_path / "no" / "x")


@pytest.mark.parametrize("path", ["gs://bucket/metrics.jsonl", "s3://b/m"])
def test_an_object_store_is_refused(path):
    with pytest.raises(ValueError, match="no append"):
        AppendFile(path)


UNPRIVILEGED = """
import os
import signal
from jaxmetrics.record import AppendFile, atomic_write
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for name, write in (("a", AppendFile), ("b", lambda name: atomic_write(name, b""))):
    try:
        write(name)
        print("written")
    except PermissionError as error:
        print("choose" if "Choose another folder" in str(error) else error)
"""


@pytest.mark.parametrize(("mode", "result"), [(0o555, "choose"), (0o777, "written")])
def test_a_folder_without_write_permission_fails_at_opening(tmp_path, mode, result):
    tmp_path.chmod(mode)
    try:
        finished = run_python(UNPRIVILEGED, cwd=tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert finished.stdout == f"{result}\n{result}\n", finished.stderr


def test_a_line_that_does_not_fit_leaves_nothing_and_the_next_one_does(path):
    result = run_python(
        """
        import os, resource, sys
        from jaxmetrics.record import AppendFile
        _, maximum = resource.getrlimit(resource.RLIMIT_FSIZE)
        with AppendFile(sys.argv[1]) as file:
            file.write_line("a" * 99)
            resource.setrlimit(resource.RLIMIT_FSIZE, (150, maximum))
            for _ in range(2):
                try:
                    file.write_line("b" * 99)
                except OSError as error:
                    print(error.errno, os.path.getsize(sys.argv[1]), file.position)
            file.write_line("c" * 49)
            resource.setrlimit(resource.RLIMIT_FSIZE, (maximum, maximum))
            file.write_line("d")
        """,
        path,
    )
    assert result.stdout == f"{errno.EFBIG} 100 100\n" * 2, result.stderr
    assert path.read_bytes() == b"a" * 99 + b"\n" + b"c" * 49 + b"\nd\n"


def test_a_cut_saves_the_rest_and_writing_continues(path):
    with AppendFile(path) as file:
        file.write_line("a")
        position = file.position
        file.write_line("b")
        file.write_line("c")
        saved = file.cut(position, "step-1")
        assert file.position == position
        file.write_line("d")
    assert path.read_bytes() == b"a\nd\n"
    assert saved == path.with_name("metrics.jsonl.after-step-1")
    assert saved.read_bytes() == b"b\nc\n"


def test_a_position_that_orbax_restored_as_an_array_is_not_changed(path):
    write(path, "a")
    position = np.array(path.stat().st_size)
    write(path, "b", "c")
    with AppendFile(path) as file:
        saved = file.cut(position, "restore")
    assert (position, path.read_bytes()) == (2, b"a\n")
    assert saved.read_bytes() == b"b\nc\n"


def test_a_second_cut_saves_under_another_name(path):
    saved = []
    with AppendFile(path) as file:
        for text in "abc":
            file.write_line(text)
            saved.append(file.cut(0, "0"))
    assert [file.read_text() for file in saved] == ["a\n", "b\n", "c\n"]
    assert names(path) == [
        "metrics.jsonl",
        "metrics.jsonl.after-0",
        "metrics.jsonl.after-0-2",
        "metrics.jsonl.after-0-3",
    ]


def test_a_cut_at_the_end_saves_nothing(path):
    with AppendFile(path) as file:
        file.write_line("a")
        assert file.cut(file.position, "1") is None
    assert names(path) == ["metrics.jsonl"]


def test_a_file_shorter_than_its_checkpoint_warns_how_much_is_missing(path):
    with AppendFile(path) as file:
        file.write_line("a")
        with pytest.warns(
            UserWarning, match="98 bytes too short to be cut back to byte 100"
        ):
            assert file.cut(100, "1") is None
        file.write_line("b")
    assert path.read_bytes() == b"a\nb\n"


@pytest.mark.parametrize("position", [-1, 1, 3])
def test_a_position_of_another_file_is_refused(path, position):
    with AppendFile(path) as file:
        file.write_line("abc")
        with pytest.raises(ValueError, match="not the end of a line"):
            file.cut(position, "1")
    assert path.read_bytes() == b"abc\n"


def test_a_cut_cannot_leave_its_folder(path):
    with AppendFile(path) as file, pytest.raises(ValueError, match="label"):
        file.cut(0, "../x")


def test_a_cut_that_cannot_save_the_rest_cuts_nothing(path, monkeypatch):
    with AppendFile(path) as file:
        file.write_line("a")
        file.write_line("b")
        with monkeypatch.context() as patch:
            FailingDisk(patch, 2)
            with pytest.raises(OSError, match="No space"):
                file.cut(2, "1")
        assert path.read_bytes() == b"a\nb\n"
        assert file.position == 4


HEADER = '{"kind":"header","schema":1}'


def test_a_cut_after_a_step_keeps_rows_up_to_it(path):
    write(path, HEADER, row(1), row(2), row(2, "val"), row(3), row(4))
    with AppendFile(path) as file:
        saved = file.cut_after_step(2, "2")
    kept = [HEADER, row(1), row(2), row(2, "val")]
    assert path.read_text().splitlines() == kept
    assert saved.read_text().splitlines() == [row(3), row(4)]


def test_a_cut_after_a_step_keeps_a_late_evaluation_of_an_early_step(path):
    write(path, HEADER, row(1), row(2), row(3), row(1, "val"), row(4), row(2, "val"))
    with AppendFile(path) as file:
        saved = file.cut_after_step(2, "2")
        file.write_line(row(3))
    kept = [HEADER, row(1), row(2), row(1, "val"), row(2, "val"), row(3)]
    assert path.read_text().splitlines() == kept
    assert saved.read_text().splitlines() == [
        row(3),
        row(1, "val"),
        row(4),
        row(2, "val"),
    ]


@pytest.mark.parametrize(("step", "kept"), [(0, [HEADER]), (9, [HEADER, row(1)])])
def test_a_cut_before_the_first_or_after_the_last_row(path, step, kept):
    write(path, HEADER, row(1))
    with AppendFile(path) as file:
        file.cut_after_step(step, "x")
    assert path.read_text().splitlines() == kept


def test_a_cut_in_a_damaged_file_names_the_line_and_changes_nothing(path):
    write(path, HEADER, row(1), "damage", row(2))
    before = path.read_bytes()
    with AppendFile(path) as file, pytest.raises(CorruptLineError, match="line 3"):
        file.cut_after_step(1, "x")
    assert path.read_bytes() == before


def test_a_flush_syncs_the_file_and_opening_syncs_a_new_name(path, calls):
    with AppendFile(path) as file:
        assert calls == [("fsync", path.parent.name)]
        file.write_line("a")
        assert len(calls) == 1
        file.flush()
    assert calls[1:] == [("fsync", "metrics.jsonl")]


def test_removed_lines_are_synced_before_the_file_is_truncated(path, calls):
    path.write_bytes(b"a\nb\ntorn")
    with pytest.warns(UserWarning), AppendFile(path) as file:
        file.cut(2, "1")
    folder = ("fsync", path.parent.name)
    assert calls == [
        ("fsync", "metrics.jsonl.torn"),
        folder,
        ("ftruncate", "metrics.jsonl"),
        ("fsync", "metrics.jsonl.after-1"),
        folder,
        ("ftruncate", "metrics.jsonl"),
        ("fsync", "metrics.jsonl"),
    ]


def test_new_contents_are_synced_before_they_are_renamed(path, calls):
    with AppendFile(path) as file:
        del calls[:]
        file.replace([b"new\n"])
        (first, temporary), replaced = calls
        assert first == "fsync" and temporary.startswith(".metrics.jsonl.")
        assert replaced == ("replace", "metrics.jsonl")
        file.flush()
        file.flush()
    synced, folder = ("fsync", "metrics.jsonl"), ("fsync", path.parent.name)
    assert calls[2:] == [synced, folder, synced]


def failing_fsync(monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    context = monkeypatch.context()
    context.__enter__().setattr(os, "fsync", fail)
    return context


def test_after_a_failed_flush_none_is_acknowledged_until_a_cut_to_before_it(
    path, monkeypatch
):
    with AppendFile(path) as file:
        file.write_line("1")
        file.flush()
        synced = file.position
        file.write_line("2")
        after = file.position
        broken = failing_fsync(monkeypatch)
        with pytest.raises(OSError, match="Input/output"):
            file.flush()
        broken.__exit__(None, None, None)
        for _ in range(2):  # reading the lines back would prove nothing
            file.write_line("3")
            with pytest.raises(OSError, match=rf"earlier flush.*after byte {synced}"):
                file.flush()
        file.cut(after, "2")
        with pytest.raises(OSError, match="earlier flush"):
            file.flush()
        file.cut(synced, "1")
        file.write_line("4")
        file.flush()
    assert path.read_text() == "1\n4\n"


def test_lines_are_written_to_a_fresh_file_after_a_failed_flush(path, monkeypatch):
    with AppendFile(path) as file:
        file.write_line("1")
        file.renew()  # does nothing
        inode = path.stat().st_ino
        broken = failing_fsync(monkeypatch)
        with pytest.raises(OSError, match="Input/output"):
            file.flush()
        broken.__exit__(None, None, None)
        file.renew()
        file.flush()
    assert path.read_text() == "1\n"
    assert path.stat().st_ino != inode


def test_another_writer_on_a_disk_without_locks_is_an_error_at_the_next_flush(
    path, monkeypatch
):
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)
    with AppendFile(path) as first, AppendFile(path) as second:
        first.write_line("1")
        first.flush()
        with pytest.raises(OtherWriterError, match="has 2 bytes.*left 0: another"):
            second.flush()
        with pytest.raises(OtherWriterError):
            second.write_line("2")
        with pytest.raises(OtherWriterError):
            second.cut(0, "0")
        first.flush()
    assert path.read_text() == "1\n"


def test_a_file_that_another_writer_replaced_is_an_error(path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)
    with AppendFile(path) as first, AppendFile(path) as second:
        first.replace([b"1\n"])
        with pytest.raises(OtherWriterError, match="was replaced where"):
            second.flush()
        with pytest.raises(OtherWriterError):
            second.replace([b"2\n"])
    assert path.read_text() == "1\n"


def test_a_file_that_is_moved_away_is_named_as_moved_and_continues_when_it_is_back(
    tmp_path,
):
    folder, moved = tmp_path / "run", tmp_path / "moved"
    folder.mkdir()
    with AppendFile(folder / "lines") as file:
        file.write_line("1")
        folder.rename(moved)
        for call in (file.flush, lambda: file.write_line("2")):
            with pytest.raises(OSError, match="was moved or removed") as error:
                call()
            assert not isinstance(error.value, OtherWriterError)
        moved.rename(folder)
        file.write_line("3")
        file.flush()
    assert (folder / "lines").read_text() == "1\n3\n"
