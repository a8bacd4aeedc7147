import json

import pytest

from jaxmetrics.runs.reading import rows_of_other_splits, sample_rows


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


def test_some_pieces_are_long(tmp_path):
    path = tmp_path / "lines"
    rows = ({"step": n, "text": "x" * 1000} for n in range(20_000))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = sample_rows(path, 0, path.stat().st_size, 50)
    steps = {row["step"] for row in sample.rows}
    assert len(steps) < 2000
    assert sum(set(range(n, n + 100)) <= steps for n in range(0, 20_000, 10)) >= 2


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_rows_of_other_splits_are_found(tmp_path, separators):
    path = tmp_path / "lines"
    expected = []
    with open(path, "w") as file:
        for step in range(3000):
            rows = [{"step": step, "split": "train", "text": "x" * 1000}]
            if step % 250 == 0:
                rows.append({"step": step, "split": "val", "val/loss": 1.0})
                rows.append({"step": step, "text": "y" * 200, "split": "train"})
                rows.append({"step": step, "text": "y" * 200, "split": "train_eval"})
                expected += [rows[1], rows[3]]
            if step == 1000:
                file.write("damaged\n[1]\n" + "z" * 3_000_000 + "\n")
            for row in rows:
                file.write(json.dumps(row, separators=separators) + "\n")
        file.write('{"step":9,"split":"val"}')
    sample = rows_of_other_splits(path)
    assert sample.rows == expected
    data = path.read_bytes()
    for row, offset in zip(sample.rows, sample.offsets):
        assert json.loads(data[offset:].split(b"\n", 1)[0]) == row


def test_of_many_rows_of_other_splits_some_of_each_are_returned(tmp_path):
    path = tmp_path / "lines"
    with open(path, "w") as file:
        for step in range(30_000):
            for split in ("val", "test"):
                file.write(f'{{"step":{step},"split":"{split}"}}\n')
    rows = rows_of_other_splits(path).rows
    assert 15_000 < len(rows) <= 20_016
    splits = [row["split"] for row in rows]
    assert splits.count("val") == splits.count("test")
    assert rows[-1]["step"] > 29_000


def test_samples_are_joined_and_cut(path):
    size = path.stat().st_size
    sample = sample_rows(path, 0, size, 10)
    low, high = int(sample.offsets[5]), int(sample.offsets[90])
    part, rest = sample.within(low, high), sample.within(high, size)
    assert part.rows == sample.rows[5:90]
    assert rest.joined(part).joined(sample.within(0, high)).rows == sample.rows
