"""Copies of a growing file as immutable segments."""

import pytest

from jaxmetrics.record import Segments


@pytest.fixture
def source(tmp_path):
    return tmp_path / "file"


def names(folder):
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir())


def restored(folder, tmp_path):
    Segments(folder).restore(tmp_path / "restored" / "file")
    return (tmp_path / "restored" / "file").read_bytes()


def test_each_update_adds_what_is_new(source, tmp_path):
    segments = Segments(tmp_path / "copy")
    assert not segments
    for data, copied in ((b"abc", 3), (b"abcde", 2), (b"abcde", 0)):
        source.write_bytes(data)
        assert segments.update(source, len(data)) == copied
    assert segments
    assert names(tmp_path / "copy") == ["00000001-0-3", "00000002-3-5"]
    assert restored(tmp_path / "copy", tmp_path) == b"abcde"


def test_bytes_beyond_the_size_are_not_copied(source, tmp_path):
    source.write_bytes(b"abcdef")
    assert Segments(tmp_path / "copy").update(source, 4) == 4
    assert restored(tmp_path / "copy", tmp_path) == b"abcd"


def test_a_file_that_was_cut_back_is_copied_from_where_it_differs(source, tmp_path):
    segments = Segments(tmp_path / "copy")
    for data in (b"abc", b"abcdef", b"abcdefghi"):
        source.write_bytes(data)
        segments.update(source, len(data))
    source.write_bytes(b"abcdXY")
    assert segments.update(source, 6) == 3
    assert names(tmp_path / "copy")[-1] == "00000004-3-6"
    assert restored(tmp_path / "copy", tmp_path) == b"abcdXY"


def test_a_file_that_was_only_shortened_gets_an_empty_segment(source, tmp_path):
    segments = Segments(tmp_path / "copy")
    for data in (b"abc", b"abcdef"):
        source.write_bytes(data)
        segments.update(source, len(data))
    source.write_bytes(b"abc")
    assert segments.update(source, 3) == 0
    assert names(tmp_path / "copy")[-1] == "00000003-3-3"
    assert restored(tmp_path / "copy", tmp_path) == b"abc"


def test_a_later_process_continues_the_numbers(source, tmp_path):
    for data in (b"abc", b"abcdef"):
        source.write_bytes(data)
        Segments(tmp_path / "copy").update(source, len(data))
    assert names(tmp_path / "copy") == ["00000001-0-3", "00000002-3-6"]


def test_large_files_are_copied_in_several_segments(source, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxmetrics.record._segments._MAX_SEGMENT_BYTES", 4)
    source.write_bytes(b"abcdefghij")
    assert Segments(tmp_path / "copy").update(source, 10) == 10
    assert names(tmp_path / "copy") == ["00000001-0-4", "00000002-4-8", "00000003-8-10"]
    assert restored(tmp_path / "copy", tmp_path) == b"abcdefghij"


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_damaged_or_missing_segment_is_named(source, tmp_path, damage):
    segments = Segments(tmp_path / "copy")
    for data in (b"abc", b"abcdef", b"abcdefghi"):
        source.write_bytes(data)
        segments.update(source, len(data))
    second = sorted((tmp_path / "copy").iterdir())[1]
    if damage == "change":
        second.write_bytes(b"xyz")
    else:
        second.unlink()
    with pytest.raises(ValueError, match="damaged, or an earlier one is missing"):
        restored(tmp_path / "copy", tmp_path)
    assert not (tmp_path / "restored" / "file").exists()


def test_other_files_in_the_folder_are_ignored(source, tmp_path):
    source.write_bytes(b"abc")
    Segments(tmp_path / "copy").update(source, 3)
    (tmp_path / "copy" / "notes.txt").write_text("x")
    assert restored(tmp_path / "copy", tmp_path) == b"abc"
