"""Copies of files as pieces, and files made from pieces, whole or damaged."""

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import Attempt, Pieces, Source, dumps, last_attempt, next_number
from jaxmetrics.record._piece import decode_header
from jaxmetrics.record._storage import LocalStorage

ATTEMPTS = [Attempt(1, 5, "a" * 8), Attempt(2, 4, "b" * 8), Attempt(2, 4, "c" * 8)]


class Memory:
    """A storage in memory; names in `hidden` are not listed."""

    address = "memory"

    def __init__(self, objects=None):
        self.objects = {} if objects is None else objects
        self.reads = 0

    def names(self):
        return list(self.objects)

    def read(self, name, start, end):
        self.reads += 1
        if name not in self.objects:
            raise ValueError("it does not exist")
        return self.objects[name][start:end]

    def write(self, name, data):
        assert name not in self.objects
        self.objects[name] = data


def pieces_in(storage):
    return Pieces(storage, lambda name: not name.startswith("."), "a")


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def copy(storage, run, files, attempt=ATTEMPTS[0], parent=None):
    """Write files, copy them, and return the last piece."""
    sources = []
    for name, data in files.items():
        (run / name).write_bytes(data)
        sources.append(Source(name, run / name, len(data)))
    number = next_number(attempt, storage.names())
    return pieces_in(storage).write(attempt, number, parent, sources)


def restored(storage, folder, names=None):
    """Return the files of the last whole copy; None if there is none."""
    pieces = pieces_in(storage)
    names = pieces.names() if names is None else names
    if pieces.restore(names, folder) is None:
        assert not folder.exists() or not any(folder.iterdir())
        return None
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_later_attempt_is_greater_by_order_start_and_token():
    assert sorted(ATTEMPTS, reverse=True) == ATTEMPTS[::-1]
    assert sorted(map(str, ATTEMPTS)) == [*map(str, ATTEMPTS)]
    assert Attempt.new(7, 1e6 + 0.25)[:2] == (7, 1_000_000_250)
    for clock in (-1.0, 0.0, 1e30):
        assert len(str(Attempt.new(3, clock))) == len(str(ATTEMPTS[0]))


def test_the_last_attempt_is_read_from_run_json_if_it_is_one():
    attempt = Attempt.new(3, 12.345)
    assert last_attempt({"attempts": [{}, attempt.to_dict()]}) == attempt
    damaged = [
        {},
        {"order": 1},
        *(
            attempt.to_dict() | change
            for change in (
                {"order": "1"},
                {"order": -1},
                {"order": 10**9},
                {"token": "../x"},
                {"token": None},
                {"started": float("nan")},
                {"started": 1e300},
            )
        ),
    ]
    for entry in damaged:
        assert last_attempt({"attempts": [entry]}) is None
    assert last_attempt({}) is last_attempt({"attempts": []}) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["append", "cut", "rewrite", "remove"]),
            st.sampled_from("abc"),
            st.binary(max_size=8),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_the_last_copy_restores_the_files_after_any_changes(tmp_path_factory, changes):
    run = tmp_path_factory.mktemp("run")
    storage, files, parent = Memory(), {}, None
    changes = [("append", "a", b"", True), *changes]
    for number, (change, name, more, same) in enumerate(changes):
        data = files.pop(name, b"")
        size = {"append": len(data), "cut": len(data) // 2}.get(change, 0)
        if change != "remove" or name == "a":
            files[name] = data[:size] + more
        attempt = ATTEMPTS[0] if same or number < 3 else ATTEMPTS[1]
        if parent is not None and parent.name.startswith(str(ATTEMPTS[1])):
            attempt = ATTEMPTS[1]
        parent = copy(storage, run, files, attempt, parent)
        assert restored(storage, run / f"copy-{number}") == files


def test_a_copy_has_the_new_bytes_only(run):
    storage, files = Memory(), {"a": b"x" * 1000, "b": b"y" * 1000}
    first = copy(storage, run, files)
    second = copy(storage, run, files | {"a": b"x" * 1000 + b"z"}, parent=first)
    assert second.parent == first.name
    assert len(storage.objects[second.name]) - second.body == 1
    cut = copy(storage, run, files, parent=second)
    assert len(storage.objects[cut.name]) == cut.body
    assert copy(storage, run, files, parent=cut) is cut
    other = copy(storage, run, files, ATTEMPTS[1], cut)
    assert other.name.startswith(str(ATTEMPTS[1]))  # its first copy is always written


def test_a_large_copy_is_several_pieces_and_counts_when_complete(run, monkeypatch):
    monkeypatch.setattr("jaxmetrics.record._pieces.MAX_PIECE_BYTES", 4)
    storage = Memory()
    small = copy(storage, run, {"a": b"0", "b": b"1"})
    files = {"a": b"0123456789", "b": b"1abcdefg", "c": b""}
    copy(storage, run, files, parent=small)
    names = sorted(storage.objects)
    assert len(names) == 1 + 5
    assert restored(storage, run / "whole") == files
    for count in range(1, len(names)):
        assert restored(storage, run / f"{count}", names[:count]) == {
            "a": b"0",
            "b": b"1",
        }


def test_after_many_pieces_all_bytes_are_copied(run, monkeypatch):
    monkeypatch.setattr("jaxmetrics.record._pieces._MAX_DEPTH", 3)
    storage, parent, depths = Memory(), None, []
    for number in range(1, 7):
        parent = copy(storage, run, {"a": b"x" * number}, parent=parent)
        depths.append(parent.depth)
    assert depths == [0, 1, 2, 3, 0, 1]
    assert restored(storage, run / "copy") == {"a": b"x" * 6}


def chain(run, count=4):
    """Return a storage of copies of one growing file, and their names."""
    storage, parent = Memory(), None
    for number in range(1, count + 1):
        parent = copy(storage, run, {"a": b"0123456789"[:number]}, parent=parent)
    return storage, sorted(storage.objects)


def test_any_missing_pieces_leave_the_last_copy_before_them(run):
    storage, names = chain(run)
    for number, listed in enumerate(itertools.product([0, 1], repeat=len(names))):
        visible = [name for name, seen in zip(names, listed) if seen]
        objects = {name: storage.objects[name] for name in visible}
        whole = listed.index(0) if 0 in listed else len(names)
        expected = {"a": b"0123456789"[:whole]} if whole else None
        assert restored(Memory(objects), run / f"{number}") == expected


def test_any_damaged_byte_leaves_the_last_copy_before_it(run):
    storage, names = chain(run, 2)
    for number, name in enumerate(names):
        data = storage.objects[name]
        for position in range(len(data)):
            damaged = bytearray(data)
            damaged[position] ^= 1
            objects = storage.objects | {name: bytes(damaged)}
            found = restored(Memory(objects), run / f"{number}-{position}")
            assert found == ({"a": b"0"} if number else None)


def test_damage_is_found_once_and_not_for_each_copy(run):
    storage, names = chain(run, 9)
    storage.objects[names[0]] = b""
    pieces = pieces_in(storage)
    assert pieces.restore(pieces.names(), run / "copy") is None
    assert storage.reads == len(names)
    assert sorted(pieces.damaged) == names
    assert pieces.damaged[names[-1]].startswith(names[0])


def header(name, files, parent=None, complete=True, **fields):
    import zlib

    text = dumps(
        {"schema": 1, "name": name, "parent": parent, "depth": 0, "complete": complete}
        | {"files": files}
        | fields
    ).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def entry(name="a", start=0, end=0, crc=0, marks=()):
    fields = {"name": name, "start": start, "end": end, "crc": crc}
    return fields | {"marks": [*marks], "modified": 0.0}


def test_hostile_headers_are_refused():
    first, name = (f"{ATTEMPTS[0]}-0000000{n}" for n in (1, 2))
    good = header(name, [entry(end=3)], first)
    assert decode_header(name, good).parent == first
    hostile = [
        b"",
        good[:-1],
        good.replace(b"schema", b"scheme"),
        header(first, [entry()]),
        header(name, [entry()], name),
        header(name, [entry()], f"{ATTEMPTS[1]}-00000001"),
        header(name, [entry()], "../../etc/passwd"),
        header(name, [entry(), entry()]),
        header(name, [entry(start=-1)]),
        header(name, [entry(start=2, end=1)]),
        header(name, [entry(end=2**27)]),
        header(name, [entry(start=2**62, end=2**62)]),
        header(name, [entry(end="3")]),
        header(name, [entry(marks=[1])]),
        header(name, {"a": 1}),
        header(name, [entry()], depth="1"),
        header(name, [entry()], complete=1),
        header(name, [entry()], schema=9),
    ]
    for data in hostile:
        with pytest.raises(ValueError):
            decode_header(name, data)


def test_a_header_that_promises_more_than_there_is_is_passed_over(run):
    storage, names = chain(run, 2)
    later = f"{ATTEMPTS[1]}-00000001"
    for files in ([entry(end=9)], [entry("b", 5, 5)], [entry("a", 2**40, 2**40)]):
        objects = storage.objects | {later: header(later, files, names[-1])}
        assert restored(Memory(objects), run / str(files[0]["start"])) == {"a": b"01"}


def test_a_piece_that_needs_a_file_of_its_parent_which_has_none_is_passed_over(run):
    storage, names = chain(run, 2)
    later = f"{ATTEMPTS[1]}-00000001"
    for files in ([entry("a", 2, 2), entry("b", 5, 5)], [entry("a", 9, 9)]):
        data = header(later, files, names[-1], depth=2)
        pieces = pieces_in(Memory(storage.objects | {later: data}))
        assert pieces.latest(pieces.names()).name == names[-1]
        assert "too little" in pieces.damaged[later]


def test_a_copy_without_the_main_file_is_passed_over(run):
    storage, names = chain(run, 2)
    copy(storage, run, {"b": b"x"}, ATTEMPTS[1])
    assert restored(storage, run / "copy") == {"a": b"01"}


def test_chains_that_are_too_long_or_skip_a_piece_are_passed_over(run):
    storage, names = chain(run, 2)
    later = f"{ATTEMPTS[1]}-00000001"
    for depth in (1, 3, 1024):
        data = header(later, [entry(start=2, end=2)], names[-1], depth=depth)
        pieces = pieces_in(Memory(storage.objects | {later: data}))
        assert pieces.latest(pieces.names()).name == names[-1]
    data = header(later, [entry(start=2, end=2)], names[-1], depth=2)
    pieces = pieces_in(Memory(storage.objects | {later: data}))
    assert pieces.latest(pieces.names()).name == later


def test_the_time_of_the_last_change_is_restored(run):
    storage = Memory()
    (run / "a").write_bytes(b"x")
    pieces = pieces_in(storage)
    pieces.write(ATTEMPTS[0], 1, None, [Source("a", run / "a", 1, 12.5)])
    assert pieces.restore(pieces.names(), run / "copy")
    assert (run / "copy" / "a").stat().st_mtime == 12.5


def test_files_of_other_names_are_not_restored(run):
    storage = Memory()
    copy(storage, run, {".bashrc": b"x", "a": b"y"})
    assert restored(storage, run / "copy") == {"a": b"y"}


@pytest.mark.timeout(20)
def test_pieces_that_are_no_files_are_passed_over(run, tmp_path):
    memory, names = chain(run, 5)
    storage = LocalStorage(tmp_path / "pieces")
    for name in names:
        storage.write(name, memory.objects[name])
    for name in names[2:]:
        os.unlink(storage.path / name)
    os.mkfifo(storage.path / names[2])
    (storage.path / names[3]).symlink_to("/dev/zero")
    with open(storage.path / names[4], "wb") as file:
        file.truncate(10 << 30)
    assert restored(storage, run / "copy") == {"a": b"01"}
