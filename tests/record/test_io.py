"""Files that are replaced atomically, and new files under unused names."""

import os

import pytest
from support.faults import FailingDisk

from jaxmetrics.record import atomic_write, make_folder, open_unused, read_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_replacement_is_synced_before_it_is_renamed(path, calls):
    atomic_write(path, b"new")
    (first, temporary), *rest = calls
    assert first == "fsync"
    assert temporary.startswith(".metrics.jsonl.")
    assert rest == [("replace", "metrics.jsonl"), ("fsync", path.parent.name)]


def test_a_replacement_is_complete_and_leaves_no_temporary_file(path):
    for data in (b"one", b"two" * 10**6):
        atomic_write(path, data)
        assert path.read_bytes() == data
    assert names(path.parent) == ["metrics.jsonl"]


def test_a_replacement_that_fails_leaves_the_old_file(path, monkeypatch):
    atomic_write(path, b"old")
    with monkeypatch.context() as patch:
        FailingDisk(patch, 2, calls=2, written=2)
        with pytest.raises(OSError, match="No space"):
            atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["metrics.jsonl"]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder", "none/file"):  # that cannot be renamed to, or not be opened
        with pytest.raises(OSError) as caught:
            atomic_write(tmp_path / name, b"new")
        assert caught.value.filename == str(tmp_path / name)
        assert ".tmp" not in str(caught.value)


def test_a_replacement_replaces_a_link_and_not_its_target(path):
    target = path.with_name("target")
    target.write_text("victim")
    path.symlink_to(target)
    atomic_write(path, b"new")
    assert target.read_text() == "victim"
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"


def test_an_unused_name_gets_the_next_number(tmp_path):
    for expected in ("file", "file-2", "file-3"):
        path, fd = open_unused(tmp_path / "file")
        os.write(fd, expected.encode())
        os.close(fd)
        assert path.name == expected
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == names(tmp_path)


@pytest.mark.parametrize(("limit", "accepted"), [(3, True), (2, False)])
def test_a_file_is_read_up_to_its_limit(path, limit, accepted):
    path.write_bytes(b"abc")
    if accepted:
        assert read_whole(path, limit) == b"abc"
    else:
        with pytest.raises(ValueError, match="more than 2 bytes"):
            read_whole(path, limit)


def test_a_new_folder_must_not_exist(tmp_path):
    make_folder(tmp_path / "a" / "b", new=True)
    make_folder(tmp_path / "a" / "b")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a" / "b", new=True)


def test_few_of_many_taken_names_are_looked_at(tmp_path, monkeypatch):
    for number in range(1, 1001):
        (tmp_path / (f"file-{number}" if number > 1 else "file")).touch()
    looked_at, lexists = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda p: looked_at.append(p) or lexists(p))
    path, fd = open_unused(tmp_path / "file")
    os.close(fd)
    assert path.name == "file-1001"
    assert len(looked_at) < 25


def test_a_name_that_another_process_takes_meanwhile_is_passed_over(
    tmp_path, monkeypatch
):
    taken = []

    def late(path):
        if not taken:
            taken.append(path)
            path.touch()  # after it was found to be free
            return False
        return os.path.exists(path)

    monkeypatch.setattr(os.path, "lexists", late)
    path, fd = open_unused(tmp_path / "file")
    os.close(fd)
    assert path.name == "file-2"
