"""Files of JSON lines, read back complete, torn or damaged."""

import os
import pickle
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxmetrics.record import (
    AppendFile,
    Block,
    CorruptLineError,
    _json,
    dumps,
    read_lines,
    rows_of_lines,
    scan_blocks,
    scan_lines,
)

ROW = {"step": 100, "split": "train", "time": 1763.21, "train/loss": "NaN", "a": [1]}


def test_rows_are_read_in_order(path):
    path.write_text("".join(dumps({"step": n}) + "\n" for n in range(3)))
    assert read_lines(path) == ([{"step": 0}, {"step": 1}, {"step": 2}], [])


@pytest.mark.parametrize("tail", [b'{"step": 3, "lo', b'{"step":9}', b"\xff", b"\x00"])
def test_a_last_line_without_its_newline_is_not_a_row(path, tail):
    path.write_bytes(b'{"step":1}\n' + tail)
    assert read_lines(path) == ([{"step": 1}], [])


def test_blank_lines_are_skipped_and_counted(path):
    path.write_bytes(b'\n \t\n{"step":1}\r\n\n[]\n')
    assert read_lines(path, errors="skip") == ([{"step": 1}], [(5, "a JSON list")])


def test_lines_end_at_newline_bytes_only(path):
    text = '{"a":"\u2028\u2029\x85"}\n{"b":1}\n'
    path.write_text(text, encoding="utf-8", newline="")
    assert read_lines(path)[0] == [{"a": "\u2028\u2029\x85"}, {"b": 1}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"step": 3, "lo', "not JSON"),
        (b"3", "a JSON int"),
        (b'"text"', "a JSON str"),
        (b"null", "a JSON NoneType"),
        (b'{"a":NaN}', "bare NaN is not JSON"),
        (b'{"a":"\xff"}', "not JSON .*utf-8"),
        (b"\x00" * 8, "not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5000, "not JSON"),
    ],
    ids=lambda value: repr(value[:16]),
)
def test_a_bad_line_before_the_last_is_an_error_that_names_it(path, line, reason):
    path.write_bytes(b'{"step":1}\n' + line + b'\n{"step":2}\n')
    with pytest.raises(CorruptLineError, match=reason) as caught:
        read_lines(path)
    assert (caught.value.path, caught.value.line) == (path, 2)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "errors='skip'" in str(caught.value)
    rows, bad = read_lines(path, errors="skip")
    assert rows == [{"step": 1}, {"step": 2}]
    assert [number for number, _ in bad] == [2]


def test_a_complete_bad_last_line_is_an_error_too(path):
    path.write_bytes(b'{"step":1}\n{"st\n')
    with pytest.raises(CorruptLineError, match="line 2"):
        read_lines(path)


def test_a_line_beyond_the_limit_is_damage_and_never_held_in_memory(path):
    with path.open("wb") as file:
        file.write(b'{"step":1}\n')
        file.seek(128 * 2**20)
        file.write(b'\n{"step":2}\n')
    tracemalloc.start()
    try:
        rows, bad = read_lines(path, errors="skip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == [{"step": 1}, {"step": 2}]
    assert bad == [(2, "longer than 16777216 bytes")]
    assert peak < 40 * 2**20
    assert [line.end for line in scan_lines(path)][-1] == path.stat().st_size


def test_a_torn_tail_beyond_the_limit_is_not_a_row(path):
    path.write_bytes(b'{"step":1}\n' + b"x" * (20 * 2**20))
    assert read_lines(path) == ([{"step": 1}], [])


def test_the_ends_of_lines_are_positions_in_the_file(path):
    path.write_bytes(b'{"a":1}\n\n{"b":2}\n{"c"')
    assert [(line.number, line.end) for line in scan_lines(path)] == [(1, 8), (3, 17)]


def test_an_empty_file_has_no_rows(path):
    path.touch()
    assert read_lines(path) == ([], [])


def test_a_missing_file_a_pipe_and_an_unknown_mode_are_errors(path):
    with pytest.raises(FileNotFoundError):
        read_lines(path)
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        read_lines(path)
    with pytest.raises(ValueError, match="expected 'raise' or 'skip'"):
        read_lines(path, errors="ignore")


def test_the_error_can_be_pickled(path):
    error = pickle.loads(pickle.dumps(CorruptLineError(path, 3, "why")))
    assert (error.path, error.line, error.reason) == (path, 3, "why")


PIECES = st.sampled_from(
    [
        b'{"step":1}',
        b'{"a":1.5,"b":"x"}',
        b"{",
        b"}",
        b'"',
        b",",
        b"[",
        b"]",
        b":1",
        b"",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=3).map(b"".join), max_size=6))
@example([b"{},0,{}", b'{"a":"x', b'y"}'])  # with a 0 between, three rows
@example([b"{},0,{}", b'{"a":[{}', b"{}]}"])
@example([b"{},{}", b'{"a":1', b'"b":2}'])
def test_blocks_have_the_rows_that_are_read_one_by_one(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("reader") / "metrics.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    rows = []
    for part in scan_blocks(path):
        if isinstance(part, Block):
            rows += enumerate(part.rows, part.number)
        else:
            rows.append((part.number, part.row))
    one_by_one = [(line.number, line.row) for line in scan_lines(path)]
    assert rows == one_by_one
    known = dict(one_by_one)
    at_once = rows_of_lines([line + b"\n" for line in lines])
    assert at_once == [known.get(number) for number in range(1, len(lines) + 1)]


ODD_LINES = [
    b'{"step":50,"files":["a.png"],"of":{"a":{"b":1}}}',
    b'{"step":50,"x":"NaN","text":"\\ud800 { [ \xc3\xa9"}',
    b'{"step":50,"x":1e999}',
    b'{"step":50,"x":18446744073709551617}',
    b' {"step":50, "step":50} \r',
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_an_odd_row_stays_in_the_block_of_the_rows_around_it(path, line):
    rows = [dumps({"step": n}).encode() for n in range(100)]
    rows[50] = line
    path.write_bytes(b"\n".join(rows) + b"\n")
    (block,) = scan_blocks(path)
    assert block.rows == [one.row for one in scan_lines(path)]
    assert (block.number, block.end) == (1, path.stat().st_size)


@pytest.mark.parametrize("depth", [499, 500, 1000])
@pytest.mark.parametrize("before", [b'{"step":1}\n', b"\n", b"3\n", b'{"a":[{}]}\n'])
def test_deep_lines_are_damage_in_blocks_too(path, depth, before, monkeypatch):
    calls = count_calls(monkeypatch, "_loads_exactly")
    deep = b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}\n"
    path.write_bytes(before * 300 + deep)
    *_, last = scan_blocks(path)
    assert (deep in calls) == (depth > 500)  # as deep as the stack allows, or refused
    assert isinstance(last, Block) == (depth < 1000)


@pytest.mark.parametrize("line", [b'{"a":1', b"3", b"[]", b'{"a":NaN}', b'"\xff"'])
def test_a_damaged_line_leaves_the_rows_around_it_in_blocks(path, line):
    row = b'{"step":1}\n'
    path.write_bytes(row * 50 + b"\n" + row + line + b"\n" + row * 30 + line + b"\n")
    blank, before, damage, after, last = scan_blocks(path)
    assert [len(part.rows) for part in (blank, before, after)] == [50, 1, 30]
    assert [part.number for part in (blank, before, damage, after, last)] == [
        *(1, 52, 53, 54, 84)
    ]
    assert damage == list(scan_lines(path))[51] and damage.row is None
    assert last.end == path.stat().st_size


def count_calls(monkeypatch, name):
    """Return a list that grows by each call of a function of the JSON module."""
    calls, function = [], getattr(_json, name)

    def counted(data):
        calls.append(data)
        return function(data)

    monkeypatch.setattr(_json, name, counted)
    return calls


@pytest.mark.parametrize("line", [*ODD_LINES[1:3], b'{"a":1', b"3"])
def test_only_the_odd_line_is_parsed_slowly(path, line, monkeypatch):
    calls = count_calls(monkeypatch, "_loads_exactly")
    path.write_bytes(b'{"step":1}\n' * 500 + line + b"\n" + b'{"step":2}\n' * 500)
    parts = list(scan_blocks(path))
    assert sum(len(part.rows) for part in parts if isinstance(part, Block)) >= 1000
    assert set(calls) <= {line + b"\n"} and len(calls) <= 2


def test_long_integers_are_parsed_slowly_in_their_own_line_only(path, monkeypatch):
    calls = count_calls(monkeypatch, "_loads_exactly")
    path.write_bytes(b'{"step":1}\n' * 500 + ODD_LINES[3] + b"\n" + b'{"a":1}\n' * 9)
    (block,) = scan_blocks(path)
    assert block.rows[500]["x"] == 2**64 + 1 and len(block.rows) == 510
    assert calls == [ODD_LINES[3] + b"\n"]


def test_only_lines_that_contain_the_given_bytes_are_parsed(path):
    path.write_bytes(b'{"a":1}\n{"kind":"x"}\nnonsense\n{"kind":"y"}\n{"kind":1')
    lines = list(scan_lines(path, containing=b'"kind"'))
    assert [(n, row) for n, _, row, _ in lines] == [
        (2, {"kind": "x"}),
        (4, {"kind": "y"}),
    ]


def test_blocks_end_where_lines_end_whatever_their_length(path):
    rows = [{"step": n, "text": "x" * (n * 7919 % 300_000)} for n in range(40)]
    path.write_text("".join(dumps(row) + "\n" for row in rows))
    blocks = list(scan_blocks(path))
    assert [row for block in blocks for row in block.rows] == rows
    assert 1 < len(blocks) < len(rows)
    path.write_bytes(
        path.read_bytes() + b"x" * (17 * 2**20) + b"\n" + b'{"step":9}\n' * 20
    )
    *_, gigantic, last = scan_blocks(path)
    assert "longer" in gigantic.reason and last.rows == [{"step": 9}] * 20


def test_the_longest_line_that_can_be_written_is_read(path):
    row = {"a": "x" * (2**24 - len('{"a":""}') - 1)}
    with AppendFile(path) as file:
        file.write_line(dumps(row))
        with pytest.raises(ValueError, match="at most 16777216"):
            file.write_line(dumps(row | {"b": 1}))
    assert path.stat().st_size == 2**24
    assert read_lines(path) == ([row], [])
    assert [part.rows for part in scan_blocks(path)] == [[row]]


def test_a_torn_tail_of_exactly_the_limit_is_not_a_row(path):
    path.write_bytes(b'{"step":1}\n' + b"x" * 2**24)
    assert read_lines(path) == ([{"step": 1}], [])
    assert [part.rows for part in scan_blocks(path)] == [[{"step": 1}]]
