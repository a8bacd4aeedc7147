"""Opening a run: the writers of each process."""

import json
import socket
import sys

import pytest
from support.loggers import rows, steps
from support.processes import start_python

import jaxmetrics as jm
from jaxmetrics import LogConfig, TrainingLogger
from jaxmetrics.logger._open_run import process_writers
from jaxmetrics.record import WriterLockedError, read_lines
from jaxmetrics.writers import CSV, JSONL, Console, Memory, TensorBoard, WandB


def kinds(writers):
    return [type(writer).__name__ for writer in writers]


def test_the_record_and_a_console_are_always_there():
    record, console = process_writers(0, LogConfig(print_every=7, compact_format=True))
    assert (console.every, console.compact) == (7, True)
    assert record.file == "metrics.jsonl"
    assert kinds(process_writers(0, LogConfig(), console=False)) == ["JSONL"]
    assert kinds(process_writers(0, LogConfig(), has_folder=False)) == ["Console"]


def test_writers_are_added_to_them_or_take_their_place():
    own = [Memory(), Console(every=3), JSONL(), JSONL("other.jsonl")]
    assert process_writers(0, LogConfig(print_every=7, master_only=False), own) == own
    assert own[1].every == 3
    assert kinds(process_writers(0, LogConfig(), [Memory()])) == [
        "JSONL",
        "Console",
        "Memory",
    ]
    other = JSONL("other.jsonl", every=5, keys="val/*")
    record, _, same = process_writers(0, LogConfig(), [other])
    assert record.file == "metrics.jsonl"
    assert same is other and (other.every, other.keys) == (5, ("val/*",))
    mine = [Console()]
    assert process_writers(0, LogConfig(), mine, console=False)[1:] == mine


def test_other_processes_write_only_without_master_only():
    assert process_writers(3, LogConfig(), [Memory()]) == []
    (own,) = process_writers(3, LogConfig(master_only=False), [Memory()])
    assert own.file == "metrics.p3.jsonl"


class Checked(JSONL):
    """A record of the user's own, which takes settings of the logger."""

    def configure(self, settings):
        self.every = settings.log_every

    def write(self, record):
        super().write(record)
        self.count = getattr(self, "count", 0) + 1


def test_a_record_of_the_users_own_takes_all_records_with_one_warning(
    make_logger, caplog
):
    checked = Checked(keys="val/*", rename={"train/loss": "L"})
    logger = make_logger(writers=[checked])
    for step in range(1, 4):
        logger.log_step(step, loss=1.0)
    logger.close()
    assert [row["L"] for row in rows(logger)] == [1.0] * 3
    assert checked.count == 3
    assert caplog.text.count("every= and keys= of its writer are ignored") == 1


def test_two_records_in_one_file_are_refused(make_logger):
    with pytest.raises(WriterLockedError):
        make_logger(writers=[JSONL(), JSONL()])


@pytest.mark.parametrize("writer", [CSV, "csv", None, open], ids=str)
def test_what_is_no_writer_is_refused_by_name(make_logger, writer):
    with pytest.raises(TypeError, match="among its writers.*Call the class"):
        make_logger(writers=[writer])


def test_a_writer_has_one_logger_at_a_time(make_logger, tmp_path):
    writer = CSV()
    first = make_logger("first", writers=[writer])
    first.log_step(1, loss=1.0)
    for name, writers in (("second", [writer]), ("third", [same := CSV(), same])):
        with pytest.raises(ValueError, match="'csv', which is open already"):
            make_logger(name, writers=writers)
        assert not (tmp_path / "project" / name).exists()
    assert first.close()
    second = make_logger("second", writers=[writer])  # in turn
    second.log_step(2, loss=2.0)
    assert second.close()
    tables = [(run.run_dir / "metrics.csv").read_text() for run in (first, second)]
    assert [table.splitlines()[1][:2] for table in tables] == ["1,", "2,"]


@pytest.mark.parametrize("writers", [CSV(), "csv", None], ids=["one", "text", "None"])
def test_writers_that_are_no_list_are_refused(make_logger, writers):
    with pytest.raises(TypeError, match=r"writers=.*expected a list.*\[writers.CSV"):
        make_logger(writers=writers)


@pytest.mark.parametrize("writer", [CSV, JSONL, TensorBoard, WandB])
def test_without_a_folder_writers_that_need_one_are_refused_by_name(
    make_logger, writer
):
    with pytest.raises(ValueError, match=rf"root=None and {writer.__name__}\(\)"):
        make_logger(root=None, writers=[writer()])
    with pytest.raises(ValueError, match="root=None and mirror="):
        make_logger(root=None, mirror="copies")


def test_without_a_folder_nothing_is_on_disk(make_logger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logger = make_logger(root=None, writers=[memory := Memory()], hparams={"lr": 1})
    assert logger.run_dir is None
    logger.log_step(1, loss=1.0)
    logger.log_text(1, note="x")
    logger.log_hparams({"layers": 2})
    logger.describe(flops={"per_step": 1.0})
    logger.ledger.event("note")
    state = logger.state()
    logger.log_step(2, loss=2.0)
    logger.load_state(json.loads(json.dumps(state)))
    logger.log_step(2, loss=3.0)
    assert logger.latest() == {"train/loss": 3.0}
    assert logger.close()
    steps_logged = [(r.step, r.split, dict(r.values)) for r in memory.records]
    assert steps_logged[-1] == (2, "train", {"train/loss": 3.0})
    assert len(steps_logged) == 4
    assert list(tmp_path.iterdir()) == []


def test_counters_are_by_the_names_of_the_writers(make_logger):
    class Mine(Memory):
        name = "mine"

    own = [CSV(), TensorBoard(), JSONL("other.jsonl", keys="val/*"), Memory(), Mine()]
    logger = make_logger(writers=[*own, Memory()], console=True)
    assert logger.counters()["csv"]["offered"] == 0
    for step in (1, 2, 3):
        logger.log_step(step, loss=1.0)
    logger.close()
    counters = logger.counters()
    written = {name: counts["written"] for name, counts in counters.items()}
    assert written == {
        "metrics.jsonl": 3,
        "console": 2,  # the first step, and the last one at the close
        "csv": 3,
        "tensorboard": 3,
        "other.jsonl": 0,
        "memory": 3,
        "mine": 3,
        "memory-2": 3,
    }
    for counts in counters.values():
        parts = ("written", "failed", "dropped", "skipped")
        assert counts["offered"] == sum(counts[part] for part in parts)
    lines, _ = read_lines(logger.run_dir / "events.jsonl")
    assert lines[-1]["event"] == "close" and lines[-1]["writers"] == counters


@pytest.mark.parametrize(
    ("options", "named", "advice"),
    [
        ({"max_wandb_mb": 5.0}, "max_wandb_mb", "WandB"),
        ({"log_every": 10, "print_every": 5}, "log_every, print_every", "WandB"),
        ({"config": LogConfig(compact_format=True)}, "compact_format", "Console"),
        ({"print_every": 5, "console": True}, None, None),
        ({"print_every": 5, "writers": [Console()]}, None, None),
        ({"print_every": 5, "writers": iter([Console()])}, None, None),
        ({"tags": ("a",), "enable_histograms": True}, None, None),
        ({}, None, None),
    ],
    ids=range(8),
)
def test_settings_that_no_writer_uses_are_named_in_one_warning(
    make_logger, caplog, options, named, advice
):
    make_logger(**options).close()
    warnings = [m for m in caplog.messages if "no writer of the run uses" in m]
    assert len(warnings) == (named is not None)
    for message in warnings:
        assert f"got {named}, which" in message and f"writers.{advice}()" in message


def test_a_writer_of_the_users_own_may_use_any_setting(make_logger, caplog):
    class Uses(Memory):
        def configure(self, settings):
            self.every = settings.log_every

    logger = make_logger(writers=[own := Uses()], log_every=2)
    for step in range(1, 6):
        logger.log_step(step, loss=1.0)
    logger.close()
    assert [r.step for r in own.records] == [1, 2, 4, 5]
    assert "no writer of the run uses" not in caplog.text
    assert steps(logger) == [1, 2, 3, 4, 5]


def test_a_writer_whose_keys_selected_nothing_says_so_at_the_close(make_logger, caplog):
    class Skipping(Memory):
        def write(self, record):
            return False

    writers = [Memory(keys="vall/*"), Memory(keys="train/*"), Memory(), Skipping()]
    logger = make_logger(writers=writers)
    logger.log_step(1, loss=1.0)
    logger.close()
    (message,) = [m for m in caplog.messages if "wrote none" in m]
    assert message.startswith("Writer memory wrote none of ") and "vall/*" in message


TWO_PROCESSES = """
    import os, sys
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    rank, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"localhost:{port}", 2, rank)
    from jaxmetrics import TrainingLogger

    options = {"root": root, "master_only": False, "console": False}
    with TrainingLogger("p", **options) as logger:
        logger.log_step(25, loss=float(rank))
        logger.log_step(24, loss=1.0)
        latest = logger.latest()
        assert latest == {"train/loss": 0.0}, latest
        print(logger.run_dir.name)
    again = TrainingLogger("p", logger.run_dir.name, **options)
    try:
        again.log_step(25, loss=1.0)
    except ValueError:
        print("guarded")
    again.close()
    try:
        TrainingLogger("p", "x", root="/dev/null/no")
    except (OSError, RuntimeError) as error:
        print(type(error).__name__)
"""


def test_two_processes_share_the_name_the_guard_and_the_errors_of_the_first(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = [start_python(TWO_PROCESSES, rank, port, tmp_path) for rank in range(2)]
    first, second = (process.communicate(timeout=120)[0].split() for process in running)
    (run,) = (tmp_path / "p").iterdir()
    assert first == [run.name, "guarded", "NotADirectoryError"]
    assert second == [run.name, "guarded", "RuntimeError"]
    for rank, file in enumerate(("metrics.jsonl", "metrics.p1.jsonl")):
        header, *records = read_lines(run / file)[0]
        assert header["run_id"] == json.loads((run / "run.json").read_text())["run_id"]
        assert [row["train/loss"] for row in records] == [rank, 1.0]
    assert jm.Run.load(run)["train/loss"][1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("writer", "package"),
    [(TensorBoard(), "google_crc32c"), (WandB("offline"), "wandb")],
)
def test_a_start_without_a_package_leaves_no_run(
    tmp_path, monkeypatch, writer, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="is not installed. Run"):
        TrainingLogger("p", "run", tmp_path, writers=[writer])
    assert not list(tmp_path.iterdir())
