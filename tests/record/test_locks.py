"""The list of locks of this machine."""

from jaxmetrics.record import AppendFile, lock_scope, locked_inodes


def test_a_lock_is_listed_while_it_is_held(tmp_path):
    path = tmp_path / "rows.jsonl"
    with AppendFile(path):
        inode = path.stat().st_ino
        assert inode in locked_inodes()
        assert lock_scope(path) == lock_scope() is not None
    assert inode not in locked_inodes()
    assert lock_scope(path) is None  # nor would it be seen if it were locked
    assert lock_scope(tmp_path / "missing") is None


def test_another_machine_has_another_scope(monkeypatch):
    own = lock_scope()
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: "another boot\n")
    assert lock_scope() != own
    monkeypatch.undo()
    monkeypatch.setattr("os.readlink", lambda path: "pid:[1]")
    assert lock_scope() != own
