"""The CSV table of a run."""

import csv
import math
import threading

import numpy as np
import pandas as pd
import pytest
from support.faults import FullDisk
from support.processes import run_python
from support.sinks import far_deadline, filled_row

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.record import CorruptLineError, Media, Record, WriterLockedError
from jaxmetrics.writers import CSV, JSONL, _csv


@pytest.fixture
def open_writer(tmp_path):
    """Return a function that opens writers of one run, closed at the end."""
    opened = []

    def open_one(resume_step=None, **options):
        opened.append(CSV(**options))
        opened[-1].open(tmp_path, resume_step)
        return opened[-1]

    yield open_one
    for writer in opened:
        writer.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def record(step, split="train", **values):
    values = {f"{split}/{name}": value for name, value in values.items()}
    return Record(step, split, values, float(step))


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def cells(path):
    """Return the rows as dicts by column."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_header_comes_with_the_first_row(open_writer, path):
    writer = open_writer()
    assert path.read_bytes() == b""
    writer.write(Record(5, "train", {"train/loss": 1.5, "lr/lr": 3e-4}, 2.0, tokens=7))
    writer.flush()
    assert path.read_text() == (
        "step,split,time,tokens,train/loss,lr/lr\n5,train,2.0,7,1.5,0.0003\n"
    )


def test_records_of_one_step_and_split_in_a_row_are_one_row(open_writer, path):
    writer = open_writer()
    writer.write(Record(5, "train", {"train/loss": 1.0, "train/a": 1.0}, 2.0, tokens=7))
    writer.write(Record(5, "train", {"train/loss": 2.0}, 3.0, tokens=8, samples=9))
    writer.write(Record(5, "val", {"val/loss": 3.0}, 4.0))
    writer.write(Record(5, "train", {"train/loss": 4.0}, 5.0))
    writer.flush()
    writer.write(Record(5, "train", {"train/loss": 5.0}, 6.0))
    writer.close()
    header, *lines = table(path)
    assert header[:5] == ["step", "split", "time", "tokens", "train/loss"]
    assert [line[:5] for line in lines] == [
        ["5", "train", "2.0", "8", "2.0"],  # the later value, at the first time
        ["5", "val", "4.0", "", ""],
        ["5", "train", "5.0", "", "4.0"],
        ["5", "train", "6.0", "", "5.0"],  # what is flushed is not changed
    ]
    (joined, *_) = cells(path)
    assert (joined["train/a"], joined["samples"]) == ("1.0", "9")


def test_no_time_changes_what_is_joined(tmp_path):
    options = {"root": tmp_path, "writers": [CSV()], "console": False}
    with TrainingLogger("p", "run", **options) as logger:
        for step in range(1, 4):
            for name in ("a", "b"):
                logger.log_step(step, {name: 1.0})
                logger._sinks._sinks["csv"].wait_for(
                    logger._sinks._sinks["csv"]._submit(lambda: None), far_deadline()
                )
    assert [row["train/b"] for row in cells(logger.run_dir / "metrics.csv")] == [
        "1.0"
    ] * 3


def test_arrays_are_left_out(open_writer, path):
    writer = open_writer()
    arrays = {"train/per_class": [1.0, 2.0]}
    writer.write(Record(1, "train", {"train/loss": 1.0}, 0.0, arrays=arrays))
    assert writer.write(Record(2, "train", {}, 0.0, arrays=arrays)) is False
    writer.close()
    assert path.read_text() == "step,split,time,train/loss\n1,train,0.0,1.0\n"


def test_every_number_is_read_back(open_writer, path):
    values = [0.1, 5e-324, 1e300, -0.5, math.nan, math.inf, -math.inf, 2**53 + 1]
    values += [np.float32(0.1), 2**70]
    writer = open_writer()
    for step, value in enumerate(values):
        writer.write(record(step, value=value))
    writer.close()
    text = [row["train/value"] for row in cells(path)]
    np.testing.assert_array_equal(np.float64(text), np.float64(values))
    assert text[4:7] == ["nan", "inf", "-inf"]
    assert text[7:] == ["9007199254740993", "0.10000000149011612", str(2**70)]
    # The rounding of some versions of pandas is off by a unit in the last place.
    read = pd.read_csv(path)["train/value"].to_numpy()
    np.testing.assert_allclose(read, np.float64(values), rtol=1e-15)


def test_a_missing_value_is_empty_and_a_new_column_comes_with_the_flush(
    open_writer, path
):
    writer = open_writer()
    for step in range(1, 17):
        writer.write(record(step, loss=float(step)))
    writer.write(record(16, "val", loss=0.5))
    writer.write(record(17, loss=9.0))
    writer.write(record(17, "test", loss=0.25))
    assert len(table(path)) == 17  # the last three wait
    writer.flush()
    assert table(path)[0][3:] == ["train/loss", "val/loss", "test/loss"]
    assert [len(row) for row in table(path)] == [6] * 20
    assert [row["val/loss"] for row in cells(path)[16:]] == ["0.5", "", ""]
    assert [row["test/loss"] for row in cells(path)[16:]] == ["", "", "0.25"]
    assert [row["train/loss"] for row in cells(path)[16:]] == ["", "9.0", ""]
    writer.write(record(18, loss=1.0))
    writer.flush()
    assert table(path)[-1] == ["18", "train", "18.0", "1.0", "", ""]


def test_the_file_is_replaced_less_and_less_often(open_writer, path):
    writer = open_writer()
    replaced, before = 0, None
    for step in range(2000):
        writer.write(record(step, **{f"new{step}": 1.0}))
        replaced += before != (before := path.stat().st_ino)
    assert len(table(path)) > 1600
    # At least a quarter more rows each time: log(2000) / log(1.25) is 34.
    assert replaced <= 45
    writer.close()
    assert len(table(path)) == 2001


def test_a_table_gets_a_thousand_columns_and_one_warning(open_writer, path, caplog):
    writer = open_writer()
    for step in range(300):  # 20 new keys a step
        writer.write(record(step, loss=1.0, **{f"k{step}_{i}": 2.0 for i in range(20)}))
    writer.write(record(300, loss=3.0))
    writer.flush()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 301 and len(rows[0]) == 1000
    assert all(row["train/loss"] for row in rows)
    assert rows[49]["train/k49_15"] == "2.0" and "train/k49_16" not in rows[0]
    assert path.stat().st_size < 301 * 1000 + 100_000
    (warning,) = caplog.messages
    assert "1000 columns" in warning and "'train/k49_16'" in warning
    writer = open_writer(file="reopened.csv")
    writer.write(record(1, **{f"k{i}": 1.0 for i in range(5000)}))
    writer.write(record(2, other=1.0))
    writer.flush()
    other = path.with_name("reopened.csv")
    (row, _) = csv.DictReader(other.read_text().splitlines())
    assert len(row) > 5000 and "train/other" not in row


def test_replacements_cost_a_bounded_multiple_of_the_file(
    open_writer, path, monkeypatch, caplog
):
    monkeypatch.setattr("jaxmetrics.writers._csv._SMALL_BYTES", 0)
    writer = open_writer()
    sizes = []
    for step in range(60):  # one new key a flush
        writer.write(record(step, loss=1.0, **{f"k{step}": 2.0}))
        before = path.stat().st_ino
        writer.flush()
        if path.stat().st_ino != before:
            sizes.append(path.stat().st_size)
    assert sum(sizes) < 18 * path.stat().st_size
    assert len(caplog.messages) == 1 and "gets no more" in caplog.text
    assert [
        row["train/loss"] for row in csv.DictReader(path.read_text().splitlines())
    ] == ["1.0"] * 60


def test_text_cannot_start_a_formula_of_a_spreadsheet(open_writer, path):
    names = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1+1", "a,b", 'q"', "a\nb", "é"]
    writer = open_writer(rename={f"train/v{n}": name for n, name in enumerate(names)})
    row = record(1, **{f"v{n}": -0.5 for n in range(len(names))})
    writer.write(writer.select(row))
    writer.write(Record(2, "=cmd()", {"train/text": "=HYPERLINK(1)"}, 0.0))
    writer.close()
    header, first, second = table(path)
    assert header[3:14] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "'\\x09x",
        "'\\x0dx",
        "''=1+1",
        "a,b",
        'q"',
        "a\\x0ab",
        "é",
    ]
    assert first[3:14] == ["-0.5"] * 11  # numbers stay numbers
    assert second[1] == "'=cmd()"
    assert second[-1] == "'=HYPERLINK(1)"
    assert path.read_bytes().count(b"\n") == 3


def test_an_escaped_column_is_used_again_after_reopening(open_writer, path):
    for step in (1, 2):
        writer = open_writer(rename={"train/loss": "=loss"})
        writer.write(writer.select(record(step, loss=1.0)))
        writer.close()
    assert table(path)[0] == ["step", "split", "time", "'=loss"]
    assert len(table(path)) == 3


def test_a_row_without_its_newline_is_moved_away(open_writer, path):
    writer = open_writer()
    writer.write(record(1, loss=1.0))
    writer.close()
    with path.open("a") as file:
        file.write("2,train,2.0,0.")  # of 0.25
    with pytest.warns(UserWarning, match="14 bytes at byte 43, was cut off"):
        writer = open_writer()
    writer.write(record(3, loss=3.0))
    writer.flush()
    assert [row["step"] for row in cells(path)] == ["1", "3"]
    assert path.with_name("metrics.csv.torn").read_text() == "2,train,2.0,0."


def test_a_second_writer_is_refused_even_after_the_file_was_replaced(open_writer, path):
    writer = open_writer()
    writer.write(record(1, loss=1.0))
    writer.write(record(2, accuracy=1.0))
    writer.flush()
    assert len(table(path)) == 3
    with pytest.raises(WriterLockedError, match="this process"):
        CSV().open(path.parent, None)
    writer.write(record(3, loss=1.0))
    writer.flush()
    assert len(table(path)) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", "begins with b'a,b.n'; expected the columns"),
        ("step,a,a\n", "expected the columns"),
        ("\xff\n", "line 1 is not CSV: .*utf-8"),
        ('"\n', "line 1 is not CSV: unexpected end"),
        ('"st"ep,split\n', "line 1 is not CSV: ',' expected"),
        ("step,split\nx,train\n", "line 2: no step"),
    ],
)
def test_a_file_that_is_not_a_table_of_records_is_set_aside(path, text, reason):
    damaged = path.with_name("metrics.csv.damaged")
    path.write_bytes(text.encode("latin-1"))
    writer = CSV()
    with pytest.warns(UserWarning, match=rf"metrics\.csv is damaged \(.*{reason}"):
        writer.open(path.parent, 5)
    assert damaged.read_bytes() == text.encode("latin-1")
    with pytest.raises(WriterLockedError):  # the new file is locked as the old one was
        CSV().open(path.parent, None)
    writer.write(record(6, loss=1.0))
    writer.close()
    assert table(path) == [["step", "split", "time", "train/loss"], *table(path)[1:]]
    assert [row["step"] for row in cells(path)] == ["6"]


def test_a_line_that_is_no_row_sets_the_file_aside(path):
    path.write_bytes(b"step,split\n1,train\n" + b"1" * 2**12 + b"\n")
    with pytest.warns(UserWarning, match="line 3: no step in its first column"):
        CSV().open(path.parent, 1)


def test_a_symbolic_link_is_not_followed(path, tmp_path):
    (tmp_path / "target").write_text("")
    path.symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        CSV().open(tmp_path, None)


def test_a_value_of_another_type_loses_its_record_only(open_writer, path):
    writer = open_writer()
    writer.write(record(1, loss=1.0))
    with pytest.raises(TypeError, match="not a number"):
        writer.write(record(2, other=[1.0]))
    writer.write(record(3, loss=3.0))
    writer.flush()
    assert table(path)[0][3:] == ["train/loss"]
    assert [row["step"] for row in cells(path)] == ["1", "3"]


def test_media_are_not_taken(open_writer):
    media = Media(1, "train", {"train/text": "hello"}, 1.0, kind="text")
    assert open_writer().select(media) is None


def train(writer, first, last):
    """Write steps with a new column from step 4 on, and validation that lags."""
    for step in range(first, last):
        more = {"late": 1.0} if step >= 4 else {}
        writer.write(record(step, loss=float(step), **more))
        if step % 3 == 0:
            writer.write(record(step - 1, "val", loss=float(step)))


def test_rows_after_the_resumed_step_are_saved_in_another_file(open_writer, path):
    writer = open_writer()
    train(writer, 1, 10)
    writer.close()
    writer = open_writer(resume_step=5)
    kept = [(row["step"], row["split"]) for row in cells(path)]
    assert kept == [
        ("1", "train"),
        ("2", "train"),
        ("3", "train"),
        ("2", "val"),
        ("4", "train"),
        ("5", "train"),
        ("5", "val"),
    ]
    saved = path.with_name("metrics.csv.after-5").read_text().splitlines()
    assert [line.split(",")[0] for line in saved] == ["6", "5", "7", "8", "9", "8"]
    writer.write(record(6, loss=6.0))
    writer.flush()
    assert writer.state() == {"rows": 8}
    assert len(cells(path)) == 8


def test_a_state_counts_rows_and_survives_new_columns(open_writer, path, tmp_path):
    train(reference := open_writer(file="reference.csv"), 1, 10)
    reference.close()
    writer = open_writer()
    train(writer, 1, 4)
    writer.flush()
    state = writer.state()
    assert state == {"rows": 4}
    train(writer, 4, 8)
    writer.close()
    writer = open_writer()
    writer.load_state(state | {"step": 3})
    assert len(cells(path)) == 4
    train(writer, 4, 7)
    writer.load_state(state | {"step": 3})  # while some rows wait
    train(writer, 4, 10)
    writer.close()
    assert path.read_bytes() == (tmp_path / "reference.csv").read_bytes()
    assert path.with_name("metrics.csv.after-3-2").exists()


def test_waiting_rows_are_cut_too(open_writer, path):
    writer = open_writer()
    for step in range(1, 9):
        writer.write(record(step, loss=1.0))
    writer.flush()
    state = writer.state()
    writer.write(record(9, fresh=1.0))
    writer.load_state(state | {"step": 8})
    writer.close()
    assert [row["step"] for row in cells(path)] == [str(n) for n in range(1, 9)]
    saved = path.with_name("metrics.csv.after-8").read_text()
    assert saved == "9,train,9.0,,1.0\n"


def test_a_fork_replaces_nothing(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from jaxmetrics.record import Record
        from jaxmetrics.writers import CSV
        writer = CSV()
        writer.open(Path(sys.argv[1]), None)
        for step in range(8):
            writer.write(Record(step, "train", {"train/loss": 1.0}, 0.0))
        writer.write(Record(8, "val", {"val/loss": 1.0}, 0.0))
        if os.fork() == 0:
            try:
                writer.flush()
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        assert os.wait()[1] == 0
        writer.close()
    """
    finished = run_python(script, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert len(table(tmp_path / "metrics.csv")) == 10


def test_a_file_that_lost_rows_warns_how_many_and_continues(open_writer, path):
    writer = open_writer()
    train(writer, 1, 3)
    with pytest.warns(UserWarning, match="has 2 rows, expected at least the 7"):
        writer.load_state({"step": 6, "rows": 7})
    writer.write(record(7, loss=7.0))
    writer.flush()
    assert [row["step"] for row in cells(path)] == ["1", "2", "7"]


def test_nothing_is_cut_from_an_empty_file(open_writer, path):
    writer = open_writer(resume_step=5)
    writer.load_state({"step": 0, "rows": 0})
    writer.write(record(1, loss=1.0))
    writer.flush()
    assert len(table(path)) == 2


def test_a_row_without_a_step_is_named(open_writer, path):
    path.write_text("step,split,time\n1,train,1.0\nx,train,2.0\n3,train,3.0\n")
    writer = open_writer()
    with pytest.raises(CorruptLineError, match="line 3"):
        writer.load_state({"step": 1})
    writer.close()
    with pytest.warns(UserWarning, match=r"is damaged \(line 3: no step"):
        open_writer(resume_step=1)


def test_a_full_disk_loses_only_the_rows_it_refused(open_writer, path, monkeypatch):
    writer = open_writer()
    for step in range(1, 5):
        writer.write(record(step, loss=float(step)))
    disk = FullDisk(monkeypatch)
    for room in (0, 7):
        disk.room = room
        with pytest.raises(OSError, match="No space"):
            writer.write(record(5, loss=5.0))  # which appends the row of step 4
    disk.room = None
    writer.write(record(6, accuracy=6.0))
    disk.room = 20
    with pytest.raises(OSError, match="No space"):
        writer.write(record(7, loss=7.0))  # which replaces the file
    assert len(table(path)) == 5
    disk.room = None
    writer.flush()
    assert table(path)[0][3:] == ["train/loss", "train/accuracy"]
    assert [row["step"] for row in cells(path)] == ["1", "2", "3", "4", "6"]
    writer.write(record(8, accuracy=8.0))
    disk.room = 10
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    disk.room = None
    writer.flush()
    assert [row["train/accuracy"] for row in cells(path)][-2:] == ["6.0", "8.0"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["metrics.csv"]


def test_a_resumed_logger_writes_the_same_bytes(tmp_path):
    def run(name, *parts):
        state = None
        for first, last in parts:
            options = {"root": tmp_path, "writers": [CSV()], "clock": lambda: 0.0}
            with TrainingLogger("p", name, console=False, **options) as logger:
                if state:
                    logger.load_state(state)
                for step in range(first, last):
                    logger.log_step(step, loss=step / 3)
                    if step == 5:
                        state = logger.state()
                    if step % 4 == 0:
                        logger.log_step(step, split="val", loss=1.0)
        return (logger.run_dir / "metrics.csv").read_bytes()

    assert run("resumed", (1, 9), (6, 12)) == run("reference", (1, 12))


class SlowCSV(CSV):
    """A table that takes no row until its gate opens."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = threading.Event()

    def write(self, record):
        self.gate.wait()
        return super().write(record)


@pytest.mark.parametrize("every", [1, 3])
def test_a_table_that_lost_rows_is_completed_from_the_record_at_the_close(
    tmp_path, every
):
    def logged(folder, is_slow):
        folder.mkdir()
        for attempt in range(2):
            writer = SlowCSV(every=every)
            if not is_slow or not attempt:
                writer.gate.set()
            sinks = Sinks([JSONL(), writer], folder, None)
            for step in range(1200 * every):
                row = filled_row(10_000 * attempt + step + 1, loss=step / 2)
                row.values |= {"train/late": 1.0} if step > 900 else {}
                sinks.offer([row])
            dropped = sinks.counters()["csv"]["dropped"]
            assert dropped or not (is_slow and attempt)
            writer.gate.set()
            assert sinks.close(far_deadline())
        return (folder / "metrics.csv").read_text()

    assert logged(tmp_path / "slow", True) == logged(tmp_path / "quick", False)
    assert not [*tmp_path.rglob("*.complete*")]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b"1,a,2", 1),
        (b"007,", 7),
        (b"9223372036854775807,z", 2**63 - 1),
        (b"12345678901234567890,a", -1),
        (b"x,1", -1),
        (b"-1,1", -1),
        (b"1", -1),
        (b",1", -1),
        (b"", -1),
    ],
)
def test_the_step_of_a_line_is_the_number_before_its_first_comma(line, step):
    data = b"5,x\n" + line + b"\n12345,6\n"
    ends, steps = _csv._ends_and_steps(data)
    assert ends.tolist() == [4, 5 + len(line), len(data)]
    assert steps.tolist() == [5, step, 12345]
