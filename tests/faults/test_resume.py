"""A preempted run records the same bytes as an uninterrupted one.

JAX, orbax and writers are real; only the clock is the test's, half a second per step.
Every kill is SIGKILL: within a line of the record, within a step, or from outside at
any moment.
"""

import json
import random
import signal
import socket

import pytest
from support.figures import figure, is_quick
from support.preempted import STAGE_FACTOR, Stage
from support.zygote import Zygote
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 72
RUNS = figure(usual=5, soak=20)
KILLS = 5  # per run, and one more in every other run
SAVE_KILLS = figure(usual=20, soak=200)
POD_KILLS = figure(usual=3, soak=40)
KILLED = [-signal.SIGKILL]


def devices(count, cache):
    return {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
        # The first run compiles for all of them.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zygote")
    zygote = Zygote("preempted.py", folder / "log.txt", **devices(2, folder / "cache"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def undisturbed(zygote, tmp_path_factory):
    """Records of uninterrupted runs, by whether their metrics are deferred."""
    records = {}
    for deferred in (True, False):
        root = tmp_path_factory.mktemp("undisturbed")
        zygote.finish(root=str(root), steps=STEPS, deferred=deferred)
        records[deferred] = record(root)
    return records


@pytest.fixture
def rng():
    seed = random.randrange(10**9)
    print("seed", seed)
    return random.Random(seed)


def record(root):
    """Return everything that a run has written, without its `run_id`."""
    run = root / "p" / "run"
    files = sorted(run.glob("metrics*.jsonl"))
    return {file.name: without_run_id(file) for file in files} | {
        "csv": (run / "metrics.csv").read_bytes(),
        "tensorboard": tensorboard_scalars(run / "tensorboard"),
    }


def without_run_id(file):
    header, rest = file.read_bytes().split(b"\n", 1)
    header = json.loads(header)
    assert header.pop("run_id")
    return json.dumps(header).encode() + b"\n" + rest


def tensorboard_scalars(folder):
    """Read all scalars with TensorBoard's own reader."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def attempts(root):
    run = json.loads((root / "p" / "run" / "run.json").read_text())
    return run["attempts"]


def acknowledged_steps(result, stage):
    """Return the steps of which a stage was acknowledged."""
    pairs = [divmod(number, STAGE_FACTOR) for number in result.acknowledged]
    return [step for reached, step in pairs if reached == stage]


def random_kill(rng):
    """Choose a kill in the next 12 steps, by the process itself or from outside."""
    limit = dict(last=12, at="logged")
    how = rng.choice(["byte", "phase", "time"])
    if how == "byte":
        return limit | dict(byte=rng.randint(1, 3000))
    if how == "phase":
        return dict(last=rng.randint(1, 12), at=rng.choice(["updated", "logged"]))
    return limit | dict(
        sent=signal.SIGKILL, after=rng.randint(1, 12), delay=rng.uniform(0, 0.02)
    )


def preempted(zygote, rng, root, kills, **options):
    """Run to the end with a number of kills on the way, the first one after a save."""
    how = dict(last=rng.randint(9, 12), at="logged")  # the second save waits for it
    for number in range(kills):
        result = zygote.run(root=str(root), **how, **options)
        assert result.status == KILLED, zygote.log.read_text()[-3000:]
        assert (acknowledged_steps(result, Stage.RESTORED)[0] > 0) == (number > 0)
        how = random_kill(rng)
    zygote.finish(root=str(root), **options)
    assert len(attempts(root)) == kills + 1


@pytest.mark.parametrize("number", range(RUNS))
def test_a_preempted_run_is_recorded_as_an_uninterrupted_one(
    zygote, undisturbed, tmp_path, rng, number
):
    deferred = number % 2 == 0
    kills = KILLS + number % 2
    preempted(zygote, rng, tmp_path, kills, steps=STEPS, deferred=deferred)
    preempted_record = record(tmp_path)
    assert preempted_record == undisturbed[deferred]
    assert len(preempted_record["tensorboard"]["train/loss"]) == STEPS


def test_kills_tear_lines_and_come_after_rows_that_are_logged_again(zygote, tmp_path):
    """A control: the faults of the tests above do happen."""
    for byte in (700, 701):
        result = zygote.run(root=str(tmp_path), steps=STEPS, byte=byte)
        assert result.status == KILLED, zygote.log.read_text()[-3000:]
    result = zygote.run(root=str(tmp_path), steps=STEPS, last=10, at="logged")
    assert (
        acknowledged_steps(result, Stage.LOGGED)[-1]
        > acknowledged_steps(result, Stage.SAVING)[-1]
    )
    zygote.run(root=str(tmp_path), steps=STEPS, last=1, at="logged")
    run = tmp_path / "p" / "run"
    assert (run / "metrics.jsonl.torn").stat().st_size > 0
    assert list(run.glob("metrics.jsonl.after-*"))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("without", ["cut", "windows", "time", "key", "position"])
def test_a_part_that_is_not_restored_changes_the_record(
    zygote, undisturbed, tmp_path, without
):
    options = dict(root=str(tmp_path), steps=STEPS)
    assert zygote.run(last=15, at="logged", **options).status == KILLED
    zygote.finish(without=without, **options)
    faulty, right = record(tmp_path), undisturbed[True]
    assert faulty["metrics.jsonl"] != right["metrics.jsonl"]
    assert faulty["csv"] != right["csv"]
    lines = [run["metrics.jsonl"].count(b"\n") for run in (faulty, right)]
    assert (lines[0] > lines[1]) == (without == "cut")


def random_kill_in_save(rng):
    """Choose a kill in the next save: before a system call, or at any moment."""
    limit = dict(last=3, at="logged")
    if rng.random() < 0.5:
        return limit | dict(event=rng.randint(1, 60))
    after = rng.randint(3, 5)  # at about the time it returns
    return limit | dict(sent=signal.SIGKILL, after=after, delay=rng.uniform(0, 0.06))


def test_a_saved_checkpoint_is_restored_completely_after_kills_in_saves(
    zygote, tmp_path, rng
):
    options = dict(steps=2 * SAVE_KILLS + 2, save_every=2)
    zygote.finish(root=str(tmp_path / "undisturbed"), **options)
    root = tmp_path / "killed"
    saved = saving = hit = unfinished = 0
    for last in range(SAVE_KILLS + 1):
        how = {} if last == SAVE_KILLS else random_kill_in_save(rng)
        result = zygote.run(root=str(root), **how, **options)
        # A checkpoint with parts of different steps would have ended the run.
        assert result.status == (KILLED if how else [0]), zygote.log.read_text()[-3000:]
        (restored,) = acknowledged_steps(result, Stage.RESTORED)
        assert restored >= saved, "a finished checkpoint was lost"
        unfinished += restored < saving
        hit += len(acknowledged_steps(result, Stage.KILLED_SAVING))
        saved = max([saved, restored, *acknowledged_steps(result, Stage.SAVED)])
        saving = max([0, *acknowledged_steps(result, Stage.SAVING)])
    assert record(root) == record(tmp_path / "undisturbed")
    # The control: a checkpoint is not complete once save() has returned, and some
    # kills were within it.
    assert unfinished > 0 or is_quick()
    assert hit > 0 or is_quick()


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """Run two processes with two devices each."""
    folder = tmp_path_factory.mktemp("pod")
    zygote = Zygote("preempted.py", folder / "log.txt", **devices(2, folder / "cache"))

    def run(root, **arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = dict(steps=28, save_every=4, port=port, count=2)
        return zygote.run(root=str(root), **options, **arguments)

    run.log = zygote.log
    run(folder / "undisturbed")
    run.undisturbed = record(folder / "undisturbed")
    yield run
    zygote.close()


@pytest.mark.slow
def test_no_process_loses_its_part_after_kills_in_saves(pod, tmp_path, rng):
    kills = runs = 0
    while kills < POD_KILLS:
        root, runs, saved, status = tmp_path / str(runs), runs + 1, 0, []
        for left in (3, 2, 1, 0):
            how = dict(sent=signal.SIGKILL, after=rng.randint(5, 8)) if left else {}
            result = pod(root, **how, delay=rng.uniform(0, 0.1))
            kills += result.status == 2 * KILLED
            (restored,) = acknowledged_steps(result, Stage.RESTORED)
            assert restored >= saved, "a finished checkpoint was lost"
            saved = max([saved, restored, *acknowledged_steps(result, Stage.SAVED)])
            status = result.status
        assert status == [0, 0], pod.log.read_text()[-3000:]
        assert record(root) == pod.undisturbed
    assert "metrics.p1.jsonl" in pod.undisturbed


@pytest.mark.slow
def test_a_part_that_a_process_loses_changes_the_record(pod, tmp_path):
    assert pod(tmp_path, last=9, at="logged").status == 2 * KILLED
    assert pod(tmp_path, without="host").status == [0, 0], pod.log.read_text()[-3000:]
    assert record(tmp_path)["metrics.jsonl"] != pod.undisturbed["metrics.jsonl"]
