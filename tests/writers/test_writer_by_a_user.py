"""A writer from outside the package, written with public names only."""

import ast
import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

import jaxmetrics as jm


class SQLite(jm.writers.Writer):
    """Writes scalars, texts and images to tables of one database file."""

    shows = frozenset({"text", "image"})

    def __init__(self, file="metrics.sqlite", **options):
        super().__init__(**options)
        self.file = file
        self.threads = set()
        self._connection = None
        self._every_was_given = "every" in options

    def configure(self, settings):
        if not self._every_was_given:
            self.every = settings.print_every

    def open(self, run_dir, resume_step):
        # Calls come from another thread than this one, and never overlap.
        self._connection = sqlite3.connect(
            run_dir / self.file, check_same_thread=False, isolation_level=None
        )
        for table, value in (
            ("scalars", "real"),
            ("texts", "text"),
            ("images", "blob"),
        ):
            self._connection.execute(
                f"create table if not exists {table}"
                f"(step int, split text, key text, value {value})"
            )
        self._connection.execute("begin")
        if resume_step is not None:
            self.load_state({"step": resume_step})

    def write(self, record):
        self.threads.add(threading.current_thread().name)
        table, convert = "scalars", float
        if isinstance(record, jm.record.Media):
            table = {"text": "texts", "image": "images"}[record.kind]
            convert = {"text": str, "image": np.ndarray.tobytes}[record.kind]
        for key, value in record.values.items():
            row = (record.step, record.split, key, convert(value))
            self._connection.execute(f"insert into {table} values(?,?,?,?)", row)

    def flush(self):
        self._connection.execute("commit")
        self._connection.execute("begin")

    def close(self):
        if self._connection is not None:
            self._connection.execute("commit")
            self._connection.close()
            self._connection = None

    def state(self):
        return {
            table: self._last_row(table) for table in ("scalars", "texts", "images")
        }

    def load_state(self, state):
        for table in ("scalars", "texts", "images"):
            column, last = "step", state["step"]
            if table in state:
                column, last = "rowid", state[table]
            self._connection.execute(f"delete from {table} where {column} > ?", (last,))

    def _last_row(self, table):
        query = f"select coalesce(max(rowid), 0) from {table}"
        return self._connection.execute(query).fetchone()[0]


def train(root, steps, *, state=None, writer=None, **options):
    """Log scalars, a text and an image per step; return the logger and its state."""
    writer = writer or SQLite(every=1)
    with jm.TrainingLogger(
        "p", "run", root=root, writers=[writer], console=False, **options
    ) as logger:
        if state is not None:
            logger.load_state(state)
        for step in steps:
            logger.log_step(step, loss=1 / step)
            logger.log_text(step, sample=f"text {step}")
            logger.log_images(step, picture=np.full((2, 2), step, np.uint8))
        state = json.loads(json.dumps(logger.state()))
    return logger, state


def stored(logger, table="scalars", column="value"):
    """Return the steps and values of a table."""
    file = logger.run_dir / "metrics.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        query = f"select step, {column} from {table} order by rowid"
        return connection.execute(query).fetchall()


def test_scalars_texts_and_images_arrive_in_order(tmp_path):
    logger, _ = train(tmp_path, range(1, 4))
    assert stored(logger) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert stored(logger, "texts") == [(n, f"text {n}") for n in range(1, 4)]
    assert stored(logger, "images") == [(n, bytes([n] * 4)) for n in range(1, 4)]
    assert {key for _, key in stored(logger, "scalars", "key")} == {"train/loss"}


def test_rows_after_the_resumed_step_are_removed_once(tmp_path):
    train(tmp_path, range(1, 6))
    for _ in range(2):
        logger, _ = train(tmp_path, range(4, 6), resume_step=3)
        assert [step for step, _ in stored(logger)] == [1, 2, 3, 4, 5]
        assert [step for step, _ in stored(logger, "images")] == [1, 2, 3, 4, 5]


def test_a_restored_state_removes_what_was_written_after_it(tmp_path):
    _, state = train(tmp_path, range(1, 4))
    train(tmp_path, range(4, 7))
    logger, _ = train(tmp_path, range(4, 6), state=state)
    assert [step for step, _ in stored(logger)] == [1, 2, 3, 4, 5]
    assert [step for step, _ in stored(logger, "texts")] == [1, 2, 3, 4, 5]


def test_settings_of_the_logger_are_defaults(tmp_path):
    logger, _ = train(tmp_path, range(1, 7), writer=SQLite(), print_every=3)
    assert [step for step, _ in stored(logger)] == [1, 3, 6]


def test_writes_run_on_a_thread_of_the_writer(tmp_path):
    writer = SQLite(every=1)
    train(tmp_path, range(1, 4), writer=writer)
    assert writer.threads == {"jaxmetrics-sqlite"}


def test_options_of_the_base_class_select_and_rename_keys(tmp_path):
    writer = SQLite(every=1, keys=("*/loss",), rename={"train/loss": "loss"})
    logger, _ = train(tmp_path, range(1, 3), writer=writer)
    assert {key for _, key in stored(logger, "scalars", "key")} == {"loss"}
    assert stored(logger, "texts") == []


class Received(jm.writers.Writer):
    """Appends every record to a list; takes no media."""

    def __init__(self, **options):
        super().__init__(**options)
        self.records = []

    def open(self, run_dir, resume_step):
        assert (run_dir / "run.json").is_file()

    def write(self, record):
        self.records.append(record)

    def flush(self):
        pass

    def close(self):
        pass


def test_values_that_are_not_finite_or_very_large_reach_the_writer(tmp_path):
    writer = Received()
    with jm.TrainingLogger(
        "p", root=tmp_path, writers=[writer], console=False
    ) as logger:
        logger.log_step(1, large=2**70, bad=float("nan"), small=np.float32(0.5))
        logger.log_text(1, note="not taken")
    (record,) = writer.records
    assert record.values["train/large"] == 2**70
    assert np.isnan(record.values["train/bad"])
    assert {type(value) for value in record.values.values()} == {int, float}


class Careless(Received):
    """Does not initialize its base class, and has counters that raise."""

    def __init__(self):
        self.records = []

    @property
    def counters(self):
        raise ConnectionError("no answer")


def test_a_careless_writer_gets_records_and_leaves_no_file_locked(tmp_path, caplog):
    for step in (1, 2):  # the second logger needs the files of the first
        writer = Careless()
        with jm.TrainingLogger(
            "p", "run", root=tmp_path, writers=[writer], console=False
        ) as logger:
            logger.log_step(step, loss=1.0)
            assert logger.flush()
            assert logger.counters()["careless"]["written"] == 1
        assert [record.step for record in writer.records] == [step]
    assert caplog.text.count("Writer careless has no counters (") == 2


@pytest.mark.parametrize("every", [np.int64(2), 2])
def test_every_is_an_integer_of_python_or_numpy(every):
    writer = jm.writers.Memory(every=every)
    assert (writer.every, type(writer.every)) == (2, int)


@pytest.mark.parametrize("kind", sorted(jm.record.MEDIA_KINDS))
def test_every_kind_of_media_is_taken_if_it_is_shown(kind):
    media = jm.record.Media(1, "train", {"train/x": "text"}, 0.0, kind=kind)
    assert jm.writers.Memory().select(media) is media


def test_a_histogram_of_any_form_becomes_bins():
    values = np.array([1.0, 2.0, np.nan])
    bins = jm.record.binned(values, bins=2)
    assert (bins.counts.sum(), bins.nonfinite) == (2, 1)
    assert jm.record.binned(bins) is bins
    counts, edges = np.histogram(values[:2], 2)
    assert jm.record.binned((counts, edges)).counts.tolist() == counts.tolist()


def test_this_file_imports_public_names_only():
    tree = ast.parse(Path(__file__).read_text())
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {"_connection", "_every_was_given", "_last_row"}
    assert not [n for n in names if n.startswith("_") and n[1] != "_" and n not in own]
    modules = [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    assert not [module for module in modules if module.startswith("jaxmetrics")]
