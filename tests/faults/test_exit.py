"""Rows that were acknowledged are on disk, however the process ends."""

import random
import signal
import struct
import subprocess
import sys

import pytest
from support.figures import figure
from support.processes import run_python
from support.zygote import Zygote
from tensorboardX.proto.event_pb2 import Event

from jaxmetrics.record import read_lines

TIMES = figure(usual=20, soak=200)
ENDS = {"return": 0, "exception": 1, "sys.exit": 3}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    zygote = Zygote("leaving.py", tmp_path_factory.mktemp("log") / "log.txt")
    yield zygote
    zygote.close()


@pytest.fixture
def rng():
    seed = random.randrange(10**9)
    print("seed", seed)
    return random.Random(seed)


def recorded(root):
    """Return the steps that each writer has on disk."""
    run = root / "p" / "run"
    rows, _ = read_lines(run / "metrics.jsonl")
    lines = (run / "metrics.csv").read_text().split("\n")[:-1]
    return {
        "jsonl": [row["step"] for row in rows if "step" in row],
        "csv": [int(line.split(",")[0]) for line in lines[1:]],
        "tensorboard": [
            s for p in (run / "tensorboard").iterdir() for s in event_steps(p)
        ],
    }


def event_steps(path):
    """Yield the steps of the complete events of a file."""
    data, position = path.read_bytes(), 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        event = Event.FromString(data[position + 12 : position + 12 + length])
        position += 16 + length
        if event.summary.value and position <= len(data):
            yield event.step


def lost(root, acknowledged):
    """Return how many acknowledged steps a writer lacks; each is there only once."""
    recorded_steps = recorded(root)
    for name, steps in recorded_steps.items():
        assert steps == list(range(1, len(steps) + 1)), name
    return max(acknowledged - len(steps) for steps in recorded_steps.values())


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_ends_itself_loses_no_row(zygote, tmp_path, rng, end):
    for number in range(TIMES):
        root, steps = tmp_path / str(number), rng.randint(1, 400)
        result = zygote.run(root=str(root), end=end, steps=steps)
        assert result.status == [ENDS[end]], zygote.log.read_text()[-3000:]
        assert result.last == steps
        assert lost(root, steps) == 0


SIGNALS = {
    "SIGINT": dict(sent=signal.SIGINT),
    "SIGTERM": dict(sent=signal.SIGTERM, install=True),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_loses_no_row(zygote, tmp_path, rng, name):
    for number in range(TIMES):
        result = signalled(zygote, tmp_path / str(number), rng, **SIGNALS[name])
        assert lost(tmp_path / str(number), result.last) <= 0


def signalled(zygote, root, rng, sent, **options):
    """Run 900 steps and send a signal during them or just after."""
    moment = dict(after=rng.randint(1, 800), delay=rng.uniform(0, 0.003)) | options
    result = zygote.run(root=str(root), end="signal", steps=900, sent=sent, **moment)
    assert result.status == [-sent], zygote.log.read_text()[-3000:]
    return result


@pytest.mark.parametrize("end", ["os._exit", "SIGKILL"])
def test_a_sudden_end_loses_no_flushed_row(zygote, tmp_path, rng, end):
    for number in range(TIMES):
        root = tmp_path / str(number)
        if end == "SIGKILL":
            sent = signal.SIGKILL
            after = rng.randint(1, 20)
            result = signalled(zygote, root, rng, sent, after=after, flush_every=10)
        else:
            steps = rng.randint(10, 200)
            result = zygote.run(root=str(root), end=end, steps=steps, flush_every=10)
            assert result.status == [4]
        assert result.last
        assert lost(root, result.last) <= 0


# Controls: without the mechanism under test, rows are lost.


def test_without_the_close_at_exit_rows_are_lost(zygote, tmp_path):
    result = zygote.run(root=str(tmp_path), end="return", steps=50, at_exit=False)
    assert result.status == [0]
    assert lost(tmp_path, 50) > 0


def test_a_sudden_end_without_a_flush_loses_rows(zygote, tmp_path):
    result = zygote.run(root=str(tmp_path), end="os._exit", steps=50)
    assert result.last == 50
    assert lost(tmp_path, 50) > 0


def test_sigterm_without_a_handler_loses_rows(zygote, tmp_path, rng):
    def once(number):
        root = tmp_path / str(number)
        return lost(root, signalled(zygote, root, rng, signal.SIGTERM).last)

    assert any(once(number) > 0 for number in range(5))


def status_of(zygote, root, end, install=True, **arguments):
    """Run to the end, without an error in the log; return the exit statuses."""
    zygote.log.write_text("")
    result = zygote.run(root=str(root), end=end, install=install, **arguments)
    log = zygote.log.read_text()
    assert "Error" not in log, log[-3000:]
    return result.status


def test_a_handler_of_the_loop_is_called_at_once_and_the_log_stays_open(
    zygote, tmp_path
):
    steps = dict(steps=10**9, sent=signal.SIGTERM, after=30)
    assert status_of(zygote, tmp_path, "handled", handler="note", **steps) == [0]
    rows, _ = read_lines(tmp_path / "p" / "run" / "metrics.jsonl")
    assert len(rows) > 31
    assert rows[-1]["val/loss"] == 0.5


def test_a_handler_of_the_loop_may_exit(zygote, tmp_path):
    steps = dict(steps=10**9, sent=signal.SIGTERM, after=30)
    assert status_of(zygote, tmp_path, "signal", handler="exit", **steps) == [5]
    assert len(recorded(tmp_path)["jsonl"]) >= 30


def test_an_ignored_sigterm_stays_ignored(zygote, tmp_path):
    assert status_of(zygote, tmp_path, "ignored", handler="ignore") == [0]
    assert recorded(tmp_path)["jsonl"] == [1, 2]


def test_a_forked_child_ends_by_sigterm_at_once(zygote, tmp_path):
    assert status_of(zygote, tmp_path, "fork") == [0]
    assert recorded(tmp_path)["jsonl"] == [1]


@pytest.mark.parametrize("end", ["close first", "close after", "thread"])
def test_sigterm_ends_the_process_once_the_log_is_closed(zygote, tmp_path, end):
    assert status_of(zygote, tmp_path, end) == [-signal.SIGTERM]
    assert recorded(tmp_path)["jsonl"] == ([1, 2] if end == "thread" else [1])


def test_a_handler_that_cannot_be_called_is_not_replaced(zygote, tmp_path):
    assert status_of(zygote, tmp_path, "refused") == [0]


# SIGINT is ignored in background jobs, as of `nohup make test &`.


def test_a_child_has_the_default_handler_of_sigint():
    script = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"
    assert run_python(script).stdout == "default_int_handler\n"


def test_a_child_has_the_default_handler_where_the_suite_ignores_sigint():
    test = f"{__file__}::{test_a_child_has_the_default_handler_of_sigint.__name__}"
    pytest_command = [sys.executable, "-m", "pytest", "-n", "0", "-q", test]
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *pytest_command]
    done = subprocess.run(ignoring, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
