"""A pod that is killed and preempted records the same as one that is not.

The program is that of docs/pods.md, in real processes joined by `jax.distributed`. One
of four processes is killed within the run, which is resumed on two; then one of these
is preempted, and the pod continues on other machines.
"""

import json
import math
import random
import shutil
import signal
from datetime import datetime

import numpy as np
import pytest
from support.figures import figure, is_quick, seed
from support.pods import free_port
from support.pods_page import STEP_SECONDS
from support.zygote import Zygote

from jaxmetrics.record import read_lines
from jaxmetrics.runs import goodput

KILLED = -signal.SIGKILL
BATCH = 64
SHAPES = {4: 2, 2: 4}  # processes, and devices of each: 8 in all
ROUNDS = figure(usual=4, soak=40)
ENDLESS = 10**6
DAY = 1e7  # seconds between the beginnings of attempts


class Pod:
    """A run of the program, attempt by attempt, each a day after the one before."""

    def __init__(self, zygote, folder):
        self.zygote, self.folder, self.attempts = zygote, folder, 0
        folder.mkdir(exist_ok=True)

    def run(self, count, steps, *, devices=None, victim=0, at=0, sent=0, machine="a"):
        """Run an attempt; return the exit statuses of its processes."""
        self.attempts += 1
        self.machine = self.folder / f"machine-{machine}"
        result = self.zygote.run(
            machine=str(self.machine),
            folder=str(self.folder / "shared"),
            steps=steps,
            port=free_port(),
            count=count,
            together=True,
            processes=count,
            devices=devices or SHAPES[count],
            begin=self.attempts * DAY,
            victim=victim,
            at=at,
            kill_signal=sent,
        )
        return result.status

    def finish(self, *arguments, **options):
        status = self.run(*arguments, **options)
        assert not any(status), self.zygote.log.read_text()[-3000:]

    @property
    def run_dir(self):
        return self.machine / "runs" / "pods" / "run"

    def saved(self):
        """Return the step of the latest checkpoint that is complete."""
        folders = (self.folder / "shared" / "checkpoints").iterdir()
        steps = [int(path.name) for path in folders if path.name.isdigit()]
        return max(steps, default=0)

    def rows(self):
        rows, _ = read_lines(self.run_dir / "metrics.jsonl")
        return [row for row in rows if "step" in row]

    def events(self):
        return list(read_lines(self.run_dir / "events.jsonl")[0])

    def starts(self):
        """Return the step from which each attempt went on."""
        attempts = json.loads((self.run_dir / "run.json").read_text())["attempts"]
        return [attempt["restored_step"] for attempt in attempts]


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zygote")
    zygote = Zygote(
        "pods_page.py",
        folder / "log.txt",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="",
        JAX_COMPILATION_CACHE_DIR=str(folder / "cache"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def disturbed(zygote, tmp_path_factory):
    """Return a pod that was killed, preempted and resumed, and a copy from the kill.

    It would train for ever, until it is preempted; then ten steps are left.
    """
    folder = tmp_path_factory.mktemp("pods")
    pod = Pod(zygote, folder / "disturbed")
    status = pod.run(4, ENDLESS, victim=2, at=23, sent=signal.SIGKILL)
    assert status == 4 * [KILLED], zygote.log.read_text()[-3000:]
    pod.killed_at = pod.saved()
    shutil.copytree(pod.folder, folder / "copy")
    pod.finish(2, ENDLESS, victim=1, at=27, sent=signal.SIGTERM)
    pod.preempted_at = pod.saved()
    pod.steps = pod.preempted_at + 10
    pod.finish(2, pod.steps, machine="b")
    return pod


@pytest.fixture(scope="module")
def whole(zygote, disturbed):
    """Return a pod of four processes that nothing disturbed."""
    pod = Pod(zygote, disturbed.folder.with_name("whole"))
    pod.finish(4, disturbed.steps)
    return pod


def test_the_record_is_that_of_an_uninterrupted_run(whole, disturbed):
    assert disturbed.rows() == whole.rows()
    last = whole.rows()[-1]
    assert last["step"] == disturbed.steps
    assert last["train/rows"] == disturbed.steps * BATCH


def test_each_attempt_goes_on_from_the_last_complete_checkpoint(disturbed):
    assert disturbed.killed_at in (10, 20)
    # A preempted pod saves the step at which it ends, whatever its number.
    assert disturbed.preempted_at > 27
    assert disturbed.starts() == [None, disturbed.killed_at, disturbed.preempted_at]


def test_the_ledger_splits_the_time_of_all_attempts(disturbed):
    spent, events = goodput(disturbed.run_dir), disturbed.events()
    first, last = (datetime.fromisoformat(events[i]["time"]) for i in (0, -1))
    total = (last - first).total_seconds()
    ratio = spent.pop("goodput")
    assert math.fsum(spent.values()) == pytest.approx(total, abs=0.01)
    assert ratio == pytest.approx(spent["step"] / total)
    # Compilation takes seconds of real time, which are not part of the steps.
    kept = disturbed.steps * STEP_SECONDS
    assert spent["step"] == pytest.approx(kept, rel=0.01)
    reached = [x["step"] for x in events if (x["attempt"], x["event"]) == (1, "step")]
    repeated = (max(reached) - disturbed.killed_at) * STEP_SECONDS
    assert spent["rewind"] == pytest.approx(repeated, rel=0.01)
    assert spent["idle"] == pytest.approx(total - kept - repeated, rel=0.01)


def test_on_fewer_devices_counts_stay_exact(zygote, whole, disturbed):
    pod = Pod(zygote, disturbed.folder.with_name("copy"))
    pod.attempts = 1
    pod.finish(1, disturbed.steps, devices=4)
    assert pod.starts() == [None, disturbed.killed_at]
    rows, expected = pod.rows(), whole.rows()
    for name in ("step", "train/rows", "train/accuracy"):
        assert [row[name] for row in rows] == [row[name] for row in expected]
    losses = [[row["train/loss"] for row in x] for x in (rows, expected)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.skipif(is_quick(), reason="the attempts above are the short form")
def test_a_pod_that_is_disturbed_again_and_again_records_the_same(zygote, tmp_path):
    rng, pod, ends = random.Random(seed()), Pod(zygote, tmp_path / "disturbed"), []
    reached = 0
    for _ in range(ROUNDS):
        count = rng.choice(list(SHAPES))
        sent = rng.choice([signal.SIGKILL, signal.SIGTERM])
        victim, at = rng.randrange(count), reached + rng.randint(1, 25)
        status = pod.run(count, ENDLESS, victim=victim, at=at, sent=sent)
        expected = KILLED if sent == signal.SIGKILL else 0
        assert status == count * [expected], zygote.log.read_text()[-3000:]
        saved = pod.saved()
        assert saved >= reached, "a finished checkpoint was lost"
        assert saved > at or sent == signal.SIGKILL
        ends.append(reached := saved)
    pod.finish(4, reached + 5)
    # An attempt that ends before its first checkpoint leaves the next one at 0.
    assert pod.starts() == [None, *(end or None for end in ends)]
    whole = Pod(zygote, tmp_path / "whole")
    whole.finish(4, reached + 5)
    assert pod.rows() == whole.rows()
