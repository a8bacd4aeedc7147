"""Scalars of `jax.monitoring` are logged while a listener is open."""

import gc
import json

import jax
import jax.numpy as jnp
from support.processes import run_python

from jaxmetrics import TrainingLogger
from jaxmetrics.interop.monitoring import ScalarListener
from jaxmetrics.writers import Memory


def test_scalars_are_logged_until_the_listener_closes(logger, logged):
    with ScalarListener(logger) as listener:
        jax.monitoring.record_scalar("/train/loss", jnp.float32(0.5), step=3)
        jax.monitoring.record_scalar("/jax/orbax/write/gbytes", 1.0)
        jax.monitoring.record_scalar("eval/loss", 0.25, step=2, note="x")
    jax.monitoring.record_scalar("train/loss", 9.0, step=4)
    listener.close()
    assert logged() == [
        (3, "train", {"train/loss": 0.5}),
        (2, "eval", {"eval/loss": 0.25}),
    ]


def test_events_are_chosen_by_globs(logger, logged):
    with ScalarListener(logger, events=("jax/orbax/*", "train/*")):
        jax.monitoring.record_scalar("/jax/orbax/write/gbytes", 1.0)
        jax.monitoring.record_scalar("/jax/other", 2.0)
        jax.monitoring.record_scalar("train/loss", 3.0, step=1)
        jax.monitoring.record_scalar("loss", 4.0, step=1)
    keys = [key for _, _, values in logged() for key in values]
    assert keys == ["jax/orbax/write/gbytes", "train/loss"]


def test_a_listener_that_is_dropped_stops(logger, logged):
    listener = ScalarListener(logger)
    jax.monitoring.record_scalar("train/loss", 1.0, step=1)
    del listener
    gc.collect()
    jax.monitoring.record_scalar("train/loss", 2.0, step=2)
    assert [step for step, _, _ in logged()] == [1]


def test_listeners_are_independent(tmp_path, logger, logged):
    other_memory = Memory()
    with TrainingLogger(
        "p", "other", tmp_path, writers=[other_memory], console=False
    ) as other:
        with ScalarListener(other):
            with ScalarListener(logger):
                jax.monitoring.record_scalar("train/loss", 1.0, step=1)
            jax.monitoring.record_scalar("train/loss", 2.0, step=2)
        assert other.flush()
        assert [record.step for record in other_memory.records] == [1, 2]
    assert [step for step, _, _ in logged()] == [1]


PROGRAM = """
import os, sys, warnings
import jax
from jaxmetrics import TrainingLogger
from jaxmetrics.interop.monitoring import ScalarListener

with TrainingLogger("p", "run", sys.argv[1], console=False) as logger:
    listener = ScalarListener(logger)
    jax.monitoring.record_scalar("train/loss", 1.0, step=1)
    warnings.simplefilter("ignore")  # JAX and Python warn of forks
    child = os.fork()
    if child == 0:
        jax.monitoring.record_scalar("train/loss", 2.0, step=2)
        listener.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    jax.monitoring.record_scalar("train/loss", 3.0, step=3)
    jax.monitoring.clear_event_listeners()
    listener.close()
    print(logger.run_dir)
"""


def test_forks_log_nothing_and_cleared_listeners_may_be_closed(tmp_path):
    process = run_python(PROGRAM, tmp_path)
    assert process.returncode == 0, process.stderr
    folder = process.stdout.splitlines()[-1]
    with open(f"{folder}/metrics.jsonl") as file:
        lines = [json.loads(line) for line in file]
    assert [line["train/loss"] for line in lines if "step" in line] == [1.0, 3.0]
