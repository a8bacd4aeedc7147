"""Opening a run: the writers of each process."""

import json
import socket

from support.processes import start_python

from jaxmetrics import LogConfig
from jaxmetrics.logger._open_run import process_writers
from jaxmetrics.record import read_lines
from jaxmetrics.writers import Console, Memory


def test_the_first_process_runs_all_writers():
    console, record = process_writers(0, LogConfig(print_every=7, compact_format=True))
    assert (console.every, console.compact) == (7, True)
    assert record.file == "metrics.jsonl"
    chosen = [Console(), Memory()]
    assert process_writers(0, LogConfig(master_only=False), chosen) == chosen


def test_other_processes_write_only_without_master_only():
    assert process_writers(3, LogConfig(), [Memory()]) == []
    (own,) = process_writers(3, LogConfig(master_only=False), [Memory()])
    assert own.file == "metrics.p3.jsonl"


TWO_PROCESSES = """
    import os, sys
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    rank, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"localhost:{port}", 2, rank)
    from jaxmetrics import TrainingLogger

    with TrainingLogger("p", root=root, master_only=False) as logger:
        logger.log_step(25, loss=float(rank))
        try:
            logger.log_step(24, loss=1.0)
        except ValueError:
            print(logger.run_dir.name)
    try:
        TrainingLogger("p", "x", root="/dev/null/no")
    except (OSError, RuntimeError) as error:
        print(type(error).__name__)
"""


def test_two_processes_share_the_name_and_the_errors_of_the_first(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = [start_python(TWO_PROCESSES, rank, port, tmp_path) for rank in range(2)]
    first, second = (process.communicate(timeout=120)[0].split() for process in running)
    (run,) = (tmp_path / "p").iterdir()
    for printed, error in ((first, "NotADirectoryError"), (second, "RuntimeError")):
        assert run.name in printed
        assert printed[-1] == error
    for rank, file in enumerate(("metrics.jsonl", "metrics.p1.jsonl")):
        header, row = read_lines(run / file)[0]
        assert header["run_id"] == json.loads((run / "run.json").read_text())["run_id"]
        assert row["train/loss"] == rank
