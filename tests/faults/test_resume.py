"""A run that is preempted records what one does that never was, to the byte.

Real JAX, orbax and writers: only the clock is the test's, half a second a step. Every
kill is SIGKILL, amid a line of the record, amid a step, or from outside at any moment.
"""

import json
import random
import signal
import socket

import pytest
from support.figures import figure
from support.preempted import MANY, Said
from support.zygote import Zygote
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 72
RUNS = figure(ci=5, soak=20)
KILLS = 5  # of each run, and one more for some
SAVE_KILLS = figure(ci=20, soak=200)
POD_KILLS = figure(ci=3, soak=40)
KILLED = [-signal.SIGKILL]


def devices(count, cache):
    return {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
        # The first run compiles for all.
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
    """The records of runs that are never killed, by whether metrics are deferred."""
    found = {}
    for deferred in (True, False):
        root = tmp_path_factory.mktemp("undisturbed")
        zygote.finish(root=str(root), steps=STEPS, deferred=deferred)
        found[deferred] = record(root)
    return found


@pytest.fixture
def rng():
    seed = random.randrange(10**9)
    print("seed", seed)
    return random.Random(seed)


def record(root):
    """All that a run has written, without the name that it gave itself."""
    run = root / "p" / "run"
    files = sorted(run.glob("metrics*.jsonl"))
    return {file.name: without_name(file) for file in files} | {
        "csv": (run / "metrics.csv").read_bytes(),
        "tensorboard": shown(run / "tensorboard"),
    }


def without_name(file):
    header, rest = file.read_bytes().split(b"\n", 1)
    header = json.loads(header)
    assert header.pop("run_id")
    return json.dumps(header).encode() + b"\n" + rest


def shown(folder):
    """TensorBoard's own view: every scalar, step by step."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def attempts(root):
    run = json.loads((root / "p" / "run" / "run.json").read_text())
    return run["attempts"]


def said(ended, what):
    """The steps of acknowledgements of one kind."""
    return [a % MANY for a in ended.acknowledged if a // MANY == what]


def kill(rng):
    """Somewhere in the next 12 steps: where the process meets it, or from outside."""
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
    """Run to the end, killed so often on the way, the first time after a save."""
    how = dict(last=rng.randint(9, 12), at="logged")  # the second save awaits it
    for number in range(kills):
        ended = zygote.run(root=str(root), **how, **options)
        assert ended.status == KILLED, zygote.log.read_text()[-3000:]
        assert (said(ended, Said.RESTORED)[0] > 0) == (number > 0)
        how = kill(rng)
    zygote.finish(root=str(root), **options)
    assert len(attempts(root)) == kills + 1


@pytest.mark.parametrize("number", range(RUNS))
def test_a_preempted_run_is_recorded_as_one_that_never_was(
    zygote, undisturbed, tmp_path, rng, number
):
    deferred = number % 2 == 0
    kills = KILLS + number % 2
    preempted(zygote, rng, tmp_path, kills, steps=STEPS, deferred=deferred)
    found = record(tmp_path)
    assert found == undisturbed[deferred]
    assert len(found["tensorboard"]["train/loss"]) == STEPS


def test_kills_cut_lines_off_and_come_after_what_is_logged_again(zygote, tmp_path):
    """The faults of the tests above do happen."""
    for byte in (700, 701):
        ended = zygote.run(root=str(tmp_path), steps=STEPS, byte=byte)
        assert ended.status == KILLED
    ended = zygote.run(root=str(tmp_path), steps=STEPS, last=10, at="logged")
    assert said(ended, Said.LOGGED)[-1] > said(ended, Said.SAVING)[-1]
    zygote.run(root=str(tmp_path), steps=STEPS, last=1, at="logged")
    run = tmp_path / "p" / "run"
    assert (run / "metrics.jsonl.torn").stat().st_size > 0
    assert list(run.glob("metrics.jsonl.after-*"))


@pytest.mark.parametrize("without", ["cut", "windows", "time", "key", "position"])
def test_what_is_not_restored_shows_in_the_record(
    zygote, undisturbed, tmp_path, without
):
    options = dict(root=str(tmp_path), steps=STEPS)
    assert zygote.run(last=15, at="logged", **options).status == KILLED
    zygote.finish(without=without, **options)
    found = record(tmp_path)
    assert found["metrics.jsonl"] != undisturbed[True]["metrics.jsonl"]
    assert found["csv"] != undisturbed[True]["csv"]
    twice = len(found["metrics.jsonl"].split(b"\n")) - len(
        undisturbed[True]["metrics.jsonl"].split(b"\n")
    )
    assert (twice > 0) == (without == "cut")


# Kills amid a save


def kill_saving(rng):
    """In the next save: before one of its calls of the system, or at some moment."""
    limit = dict(last=3, at="logged")
    if rng.random() < 0.5:
        return limit | dict(event=rng.randint(1, 60))
    after = rng.randint(3, 5)  # about when it has returned
    return limit | dict(sent=signal.SIGKILL, after=after, delay=rng.uniform(0, 0.06))


def test_what_was_saved_is_restored_whole_after_kills_amid_saves(zygote, tmp_path, rng):
    options = dict(steps=2 * SAVE_KILLS + 2, save_every=2)
    zygote.finish(root=str(tmp_path / "undisturbed"), **options)
    root = tmp_path / "killed"
    saved = saving = hit = unfinished = 0
    for last in range(SAVE_KILLS + 1):
        how = {} if last == SAVE_KILLS else kill_saving(rng)
        ended = zygote.run(root=str(root), **how, **options)
        # A checkpoint whose parts are of different steps would have ended it so.
        assert ended.status == (KILLED if how else [0]), zygote.log.read_text()[-3000:]
        (restored,) = said(ended, Said.RESTORED)
        assert restored >= saved, "a finished checkpoint was lost"
        unfinished += restored < saving
        hit += len(said(ended, Said.KILLED_SAVING))
        saved = max([saved, restored, *said(ended, Said.SAVED)])
        saving = max([0, *said(ended, Said.SAVING)])
    assert record(root) == record(tmp_path / "undisturbed")
    # The control: that save() has returned says nothing, and the kills were in it.
    assert unfinished > 0
    assert hit > 0


# Several processes


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """Runs of two processes, with two devices each."""
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


def test_no_process_loses_its_part_after_kills_amid_saves(pod, tmp_path, rng):
    kills = runs = 0
    while kills < POD_KILLS:
        root, runs, saved, status = tmp_path / str(runs), runs + 1, 0, []
        for left in (3, 2, 1, 0):
            how = dict(sent=signal.SIGKILL, after=rng.randint(5, 8)) if left else {}
            ended = pod(root, **how, delay=rng.uniform(0, 0.1))
            kills += ended.status == 2 * KILLED
            (restored,) = said(ended, Said.RESTORED)
            assert restored >= saved, "a finished checkpoint was lost"
            saved = max([saved, restored, *said(ended, Said.SAVED)])
            status = ended.status
        assert status == [0, 0], pod.log.read_text()[-3000:]
        assert record(root) == pod.undisturbed
    assert "metrics.p1.jsonl" in pod.undisturbed


def test_what_a_process_loses_shows_in_the_record(pod, tmp_path):
    assert pod(tmp_path, last=9, at="logged").status == 2 * KILLED
    assert pod(tmp_path, without="host").status == [0, 0], pod.log.read_text()[-3000:]
    assert record(tmp_path)["metrics.jsonl"] != pod.undisturbed["metrics.jsonl"]
