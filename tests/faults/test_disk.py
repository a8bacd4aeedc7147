"""A full disk of one writer: the others lose nothing, and it recovers.

The disk is a small one in memory, where mounting is allowed, and one whose writes are
refused.
"""

import csv
import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.faults import FullDisk, run_in_process, tensorboard_steps
from support.sinks import far_deadline, filled_row

import jaxmetrics as jm
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.record import read_epochs, read_lines, read_run_json
from jaxmetrics.writers import CSV, JSONL, TensorBoard, WandB

MOUNTING = ("unshare", "--map-root-user", "--mount")
KINDS = {"metrics.jsonl": JSONL, "csv": CSV, "tensorboard": TensorBoard}


def writer_in(folder, kind, **options):
    """Return a writer whose files are in another folder than the run directory."""

    class Elsewhere(kind):
        def open(self, run_dir, resume_step):
            super().open(folder, resume_step)

    Elsewhere.__name__ = kind.__name__
    return Elsewhere(**options)


class Ballast:
    """Fills a real disk completely."""

    def __init__(self, folder):
        self._file = folder / "ballast"

    def fill(self):
        with self._file.open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self):
        self._file.unlink()


class Refusal(FullDisk):
    """Simulates a full disk by refusing writes."""

    def fill(self):
        self.room = 20

    def free(self):
        self.room = None


def steps_of(run):
    """Return the steps in each file of a run."""
    steps = {}
    if (run / "metrics.jsonl").exists():
        rows = read_lines(run / "metrics.jsonl")[0]
        steps["metrics.jsonl"] = [row["step"] for row in rows[1:]]
    if (run / "metrics.csv").exists():
        with (run / "metrics.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        steps["csv"] = [int(cells[0]) for cells in rows[1:]]
    if (run / "tensorboard").exists():
        steps["tensorboard"] = tensorboard_steps(run / "tensorboard", "train/loss")
    return steps


def small_disk(folder, real):
    """Return a folder on a small disk, and an object that fills the disk."""
    small = Path(folder, "small")
    small.mkdir()
    if not real:
        return small, Refusal(pytest.MonkeyPatch(), small)
    options = ["-t", "tmpfs", "-o", "size=200k", "none", str(small)]
    subprocess.run(["mount", *options], check=True)
    return small, Ballast(small)


def fill_the_disk_of(name, folder, real):
    """Log 100 rows before, twice during, and after the disk of one writer is full.

    Returns:
      The counters by writer, the steps in each file, the messages logged, and the
      results of the flushes.
    """
    run = Path(folder, "run")
    run.mkdir()
    small, disk = small_disk(folder, real)
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("jaxmetrics").addHandler(handler)
    now = [0.0]
    writers = [
        writer_in(small, kind) if file == name else kind()
        for file, kind in KINDS.items()
    ]
    sinks = Sinks(writers, run, None, clock=lambda: now[0])
    steps = iter(range(10**6))

    many = dict.fromkeys(["loss", *"abcdef"], 1 / 3)  # 100 rows are several pages

    def log():
        sinks.offer([filled_row(next(steps), **many) for _ in range(100)])
        return sinks.flush(far_deadline())

    flushed = [log()]
    disk.fill()
    flushed.append(log())
    now[0] = 30.0
    flushed.append(log())
    disk.free()
    now[0] = 90.0
    flushed.append(log())
    counters = sinks.counters()
    flushed.append(sinks.close(far_deadline()))
    return [counters, steps_of(run) | steps_of(small), messages, flushed]


def may_mount(folder):
    if not shutil.which(MOUNTING[0]):
        return False
    command = [*MOUNTING, "mount", "-t", "tmpfs", "none", str(folder)]
    return not subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture(params=["refused", "real"])
def real(request, tmp_path):
    """Return whether the disk is a real one."""
    if request.param == "real" and not may_mount(tmp_path):
        pytest.skip("mounting is not allowed here; the other disk stands for it")
    return request.param == "real"


@pytest.mark.parametrize("name", KINDS)
def test_a_full_disk_loses_rows_of_one_writer_until_there_is_room(tmp_path, name, real):
    counters, steps, messages, flushed = run_in_process(
        fill_the_disk_of, name, tmp_path, real, under=MOUNTING if real else ()
    )
    for other in KINDS.keys() - {name}:
        assert counters[other]["written"] == 400
        assert steps[other] == list(range(400))
    counts = counters[name]
    assert counts["offered"] == 400
    told = [line.split(" (")[0].rstrip(".") for line in messages]
    if name == "metrics.jsonl":  # its rows wait
        assert counts["written"] == 400
        assert steps[name] == list(range(400))
        assert flushed == [True, False, False, True, True]
        assert told == [f"Writer {name} cannot write; rows wait"] + [
            f"Writer {name} works again"
        ]
        return
    assert counts["written"] + counts["failed"] + counts["skipped"] == 400
    assert counts["failed"] == 4  # three in a row, and one after the first pause
    assert flushed == [True, False, False, True, name == "csv"]
    if name == "csv":  # it is completed when it is closed
        assert steps[name] == list(range(400))
    else:
        assert len(steps[name]) == counts["written"] >= 200
        assert steps[name] == sorted({*steps[name]})
        assert steps[name][:100] == list(range(100))
        assert steps[name][-100:] == list(range(300, 400))
    # The flush tries the row that waits to be joined.
    waiting = [f"Writer {name} could not flush"] if name == "csv" else []
    lost = 400 - counts["written"]
    lacks = [f"Writer {name} lacks {lost} rows"] if name != "csv" else []
    assert [line.split(":")[0] for line in told] == [
        f"Writer {name} failed to write a row; failures are counted",
        f"Writer {name} is paused after repeated failures; rows are skipped",
        *waiting,
        f"Writer {name} works again",
        *lacks,
    ]


@pytest.mark.parametrize("until", ["flush", "close"])
def test_a_full_disk_raises_in_no_call_of_the_loop(
    tmp_path, caplog, monkeypatch, until
):
    logger = jm.TrainingLogger("p", "r", root=tmp_path, console=False)
    epochs = jm.EpochTracker(tmp_path / "epochs")
    config = jm.TelemetryConfig(collect_every_n=1, weights_on="host")
    telemetry = jm.TrainingTelemetry(config, logger=logger)
    log = jm.MetricsLog.open(tmp_path / "steps.jsonl")

    def steps(first, last):
        for step in range(first, last):
            epochs.start_epoch(step)
            epochs.log_batch(loss=1.0)
            epochs.end_epoch()
            place = dict(step=step, batch_idx=step, epoch=step)
            telemetry.on_batch_end({"lr/lr": 0.1}, **place)
            log.record(jm.MetricsEntry(step, 1.0, 2.0, 3.0, 4.0))
            logger.log_step(step, loss=1.0)
            logger.describe(note=step)
            logger.log_hparams({"lr": step})
            logger.ledger.event("alarm", step=step)

    steps(1, 4)
    epochs.state(), log.state()
    assert logger.flush() and telemetry.flush() and log.flush()
    disk = FullDisk(monkeypatch)
    disk.room = 10
    steps(4, 8)
    assert not (logger.flush(1.0) or telemetry.flush() or log.flush())
    epochs.state(), log.state(), telemetry.state(), logger.state()
    (tmp_path / "epochs").rename(tmp_path / "other")  # gone: errors of another kind
    (tmp_path / "epochs").write_text("")
    steps(8, 9)
    (tmp_path / "epochs").unlink()
    (tmp_path / "other").rename(tmp_path / "epochs")
    disk.room = None
    messages = [m for m in caplog.messages if "lr" not in m]
    kinds = ("Writer metrics.jsonl", "run.json of", "The ledger", "The telemetry")
    for kind in (*kinds, "The epochs", "The log"):
        assert sum(m.startswith(kind) for m in messages) >= 1, kind
    assert sum("Training goes on" in m for m in messages) == 5
    epochs.start_epoch(9), epochs.log_batch(loss=1.0), epochs.end_epoch()
    if until == "flush":
        logger.flush(), log.flush(), telemetry.flush()
    telemetry.close(), log.flush(), logger.close()
    run = tmp_path / "p" / "r"
    expected = list(range(1, 9))
    for file in (run / "telemetry" / "telemetry.jsonl", tmp_path / "steps.jsonl"):
        assert [row["step"] for row in read_lines(file)[0]] == expected
    assert read_run_json(run)["note"] == 8
    events = [e for e in read_lines(run / "events.jsonl")[0] if e["event"] == "alarm"]
    assert [e["step"] for e in events] == expected
    assert [e.epoch for e in read_epochs(tmp_path / "epochs").epochs] == [*expected, 9]


def write_carelessly(folder, real):
    """Return the size that a writer that ignores errors leaves, as a control."""
    small, disk = small_disk(folder, real)
    fd = os.open(small / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x" * 4000 + b"\n")
    disk.fill()
    os.write(fd, b"y" * 4000 + b"\n")
    disk.free()
    return Path(small, "file").stat().st_size


def test_a_careless_writer_leaves_half_a_line_on_the_same_disk(tmp_path, real):
    size = run_in_process(
        write_carelessly, tmp_path, real, under=MOUNTING if real else ()
    )
    assert 4001 < size < 8002


def log_to_wandb(folder):
    """Log to W&B, on a disk that is full from the beginning, and to a file."""
    run = Path(folder, "run")
    run.mkdir()
    small, disk = small_disk(folder, True)
    wandb = writer_in(small, WandB, mode="offline", finish_timeout=5.0)
    sinks = Sinks([wandb, JSONL()], run, None)
    disk.fill()
    for first in range(0, 1000, 100):
        sinks.offer([filled_row(step, loss=0.5) for step in range(first, first + 100)])
        sinks.flush(far_deadline())
    closed = sinks.close(far_deadline())
    return [sinks.counters(), steps_of(run), closed]


def test_a_full_disk_of_wandb_loses_no_row_of_another_writer(tmp_path):
    if not may_mount(tmp_path):
        pytest.skip("mounting is not allowed here")
    counters, steps, closed = run_in_process(log_to_wandb, tmp_path, under=MOUNTING)
    # wandb does not report the error, so its rows count as written.
    assert counters["wandb"].get("offline_file_bytes", 0) < 20_000
    assert not closed
    assert counters["metrics.jsonl"]["written"] == 1000
    assert steps["metrics.jsonl"] == list(range(1000))
