"""However a process ends, what the log has promised is on the disk."""

import random
import signal
import struct

import pytest
from support.figures import figure
from support.zygote import Zygote
from tensorboardX.proto.event_pb2 import Event

from jaxmetrics.record import read_lines

TIMES = figure(ci=20, soak=200)
ENDS = {"return": 0, "exception": 1, "sys.exit": 3}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    zygote = Zygote("leaving.py", tmp_path_factory.mktemp("log") / "said.txt")
    yield zygote
    zygote.close()


@pytest.fixture
def rng():
    seed = random.randrange(10**9)
    print("seed", seed)
    return random.Random(seed)


def recorded(root):
    """The steps that each writer has on the disk."""
    run = root / "p" / "run"
    rows, _ = read_lines(run / "metrics.jsonl")
    lines = (run / "metrics.csv").read_text().split("\n")[:-1]
    return {
        "jsonl": [row["step"] for row in rows if "step" in row],
        "csv": [int(line.split(",")[0]) for line in lines[1:]],
        "tensorboard": [s for p in (run / "tensorboard").iterdir() for s in events(p)],
    }


def events(path):
    """The steps of the events that are whole."""
    data, position = path.read_bytes(), 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        event = Event.FromString(data[position + 12 : position + 12 + length])
        position += 16 + length
        if event.summary.value and position <= len(data):
            yield event.step


def lost(root, acknowledged):
    """Steps that were acknowledged and that a writer does not have, once each."""
    known = recorded(root)
    for name, steps in known.items():
        assert steps == list(range(1, len(steps) + 1)), name
    return max(acknowledged - len(steps) for steps in known.values())


@pytest.mark.parametrize("way", ENDS)
def test_an_end_of_its_own_loses_no_row_that_was_logged(zygote, tmp_path, rng, way):
    for number in range(TIMES):
        root, steps = tmp_path / str(number), rng.randint(1, 400)
        ended = zygote.run(root=str(root), way=way, steps=steps)
        assert ended.status == [ENDS[way]], zygote.log.read_text()[-3000:]
        assert ended.last == steps
        assert lost(root, steps) == 0


SIGNALS = {
    "SIGINT": dict(sent=signal.SIGINT),
    "SIGTERM": dict(sent=signal.SIGTERM, install=True),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_loses_no_row_that_was_logged(zygote, tmp_path, rng, name):
    for number in range(TIMES):
        ended = signalled(zygote, tmp_path / str(number), rng, **SIGNALS[name])
        assert lost(tmp_path / str(number), ended.last) <= 0


def signalled(zygote, root, rng, sent, **options):
    """A run that gets a signal at some moment of its 900 steps or just after them."""
    moment = dict(after=rng.randint(1, 800), delay=rng.uniform(0, 0.003)) | options
    ended = zygote.run(root=str(root), way="signal", steps=900, sent=sent, **moment)
    assert ended.status == [-sent], zygote.log.read_text()[-3000:]
    return ended


@pytest.mark.parametrize("way", ["os._exit", "SIGKILL"])
def test_a_sudden_end_loses_no_row_that_was_flushed(zygote, tmp_path, rng, way):
    for number in range(TIMES):
        root = tmp_path / str(number)
        if way == "SIGKILL":
            sent = signal.SIGKILL
            after = rng.randint(1, 20)
            ended = signalled(zygote, root, rng, sent, after=after, flush_every=10)
        else:
            steps = rng.randint(10, 200)
            ended = zygote.run(root=str(root), way=way, steps=steps, flush_every=10)
            assert ended.status == [4]
        assert ended.last
        assert lost(root, ended.last) <= 0


# Controls: without what keeps the promises, rows are lost


def test_without_its_close_at_the_exit_rows_are_lost(zygote, tmp_path):
    ended = zygote.run(root=str(tmp_path), way="return", steps=50, at_exit=False)
    assert ended.status == [0]
    assert lost(tmp_path, 50) > 0


def test_without_a_flush_a_sudden_end_loses_rows(zygote, tmp_path):
    ended = zygote.run(root=str(tmp_path), way="os._exit", steps=50)
    assert ended.last == 50
    assert lost(tmp_path, 50) > 0


def test_sigterm_that_nobody_answers_loses_rows(zygote, tmp_path, rng):
    def once(number):
        root = tmp_path / str(number)
        return lost(root, signalled(zygote, root, rng, signal.SIGTERM).last)

    assert any(once(number) > 0 for number in range(5))


# SIGTERM, and others who have it


def ran(zygote, root, way, install=True, **arguments):
    zygote.log.write_text("")
    ended = zygote.run(root=str(root), way=way, install=install, **arguments)
    said = zygote.log.read_text()
    assert "Error" not in said, said[-3000:]
    return ended.status


def test_a_handler_of_the_loop_is_called_at_once_and_the_log_stays_open(
    zygote, tmp_path
):
    steps = dict(steps=10**9, sent=signal.SIGTERM, after=30)
    assert ran(zygote, tmp_path, "told", before="tell", **steps) == [0]
    rows, _ = read_lines(tmp_path / "p" / "run" / "metrics.jsonl")
    assert len(rows) > 31
    assert rows[-1]["val/loss"] == 0.5


def test_a_handler_of_the_loop_that_exits_does_so(zygote, tmp_path):
    steps = dict(steps=10**9, sent=signal.SIGTERM, after=30)
    assert ran(zygote, tmp_path, "signal", before="exit", **steps) == [5]
    assert len(recorded(tmp_path)["jsonl"]) >= 30


def test_where_sigterm_was_ignored_it_still_is(zygote, tmp_path):
    assert ran(zygote, tmp_path, "ignored", before="ignore") == [0]
    assert recorded(tmp_path)["jsonl"] == [1, 2]


def test_a_fork_of_the_run_ends_by_sigterm_at_once(zygote, tmp_path):
    assert ran(zygote, tmp_path, "fork") == [0]
    assert recorded(tmp_path)["jsonl"] == [1]


@pytest.mark.parametrize("way", ["closed", "closing", "thread"])
def test_sigterm_ends_the_process_whoever_closes_the_log(zygote, tmp_path, way):
    assert ran(zygote, tmp_path, way) == [-signal.SIGTERM]
    assert recorded(tmp_path)["jsonl"] == ([1, 2] if way == "thread" else [1])


def test_sigterm_is_not_taken_from_others(zygote, tmp_path):
    assert ran(zygote, tmp_path, "refused") == [0]
