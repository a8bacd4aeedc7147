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

from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.record import read_lines
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
