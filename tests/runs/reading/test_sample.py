import json

import pytest

from jaxmetrics.runs.reading import sample_rows


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lines"
    with open(path, "w") as file:
        for step in range(5000):
            file.write(json.dumps({"step": step, "text": "x" * 100}) + "\n")
    return path


def test_rows_are_at_even_distances(path):
    size = path.stat().st_size
    sample = sample_rows(path, 0, size, 10)
    steps = [row["step"] for row in sample.rows]
    assert steps == sorted(set(steps)) and len(steps) < 2500
    assert steps[0] == 0 and steps[-1] == 4999
    gaps = [later - step for step, later in zip(steps, steps[1:])]
    assert max(gaps) < 600
    data = path.read_bytes()
    for row, offset in zip(sample.rows, sample.offsets):
        assert json.loads(data[offset:].split(b"\n", 1)[0]) == row


def test_a_range_has_all_of_its_rows_if_there_are_few(path):
    data = path.read_bytes()
    low, high = data.index(b'{"step": 1000'), data.index(b'{"step": 1100')
    rows = sample_rows(path, low, high, 100).rows
    assert [row["step"] for row in rows] == list(range(1000, 1100))


def test_damaged_lines_and_very_long_ones_are_left_out(tmp_path):
    path = tmp_path / "lines"
    path.write_text(f'{{"step":1}}\ndamaged\n[1]\n{"y" * 2**21}\n{{"step":3}}\n')
    rows = sample_rows(path, 0, path.stat().st_size, 50).rows
    assert [row["step"] for row in rows] == [1, 3]


def test_lines_longer_than_a_chunk_are_read(tmp_path):
    path = tmp_path / "lines"
    lines = [json.dumps({"step": n, "text": "x" * 30_000}) for n in range(20)]
    path.write_text("\n".join(lines) + "\n")
    rows = sample_rows(path, 0, path.stat().st_size, 50).rows
    assert [row["step"] for row in rows] == list(range(20))


def test_a_line_that_is_not_complete_is_left_out(tmp_path):
    path = tmp_path / "lines"
    path.write_text('{"step":1}\n{"step":2}')
    assert len(sample_rows(path, 0, path.stat().st_size, 5).rows) == 1
    path.write_text("")
    assert sample_rows(path, 0, 0, 5).rows == []
