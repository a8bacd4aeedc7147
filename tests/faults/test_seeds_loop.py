"""The five parts of the seeds in one loop record the same after kills as without.

JAX, orbax and writers are real; only the clock is the test's. Every kill is SIGKILL,
within a step, within a save, or from outside at any moment. Times of the process, ids
and performance are left out of the comparison.
"""

import ast
import csv
import json
import random
import re
import signal
import socket
from pathlib import Path

import pytest
from support.figures import figure, seed
from support.zygote import Zygote
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxmetrics.record import read_lines

PROGRAM = Path(__file__).parents[1] / "support" / "seeds_loop.py"
KILLS = figure(usual=10, soak=40)
POD_KILLS = figure(usual=3, soak=10)
SHORT = 14  # steps of the controls
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zygote")
    zygote = Zygote(
        "seeds_loop.py",
        folder / "log.txt",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        JAX_COMPILATION_CACHE_DIR=str(folder / "cache"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    yield zygote
    zygote.close()


@pytest.fixture
def rng():
    return random.Random(seed())


def record(root):
    """Return what the parts have recorded, by file."""
    run = root / "runs" / "p" / "run"
    epochs = json.loads((run / "training_metrics.json").read_text())
    del epochs["run"]
    files = {
        "metrics.jsonl": [
            {n: x for n, x in row.items() if n != "run_id" and "perf/" not in n}
            for row in read_lines(run / "metrics.jsonl")[0]
        ],
        "metrics.csv": table(run / "metrics.csv"),
        "telemetry": re.sub(
            '"timestamp":"[^"]*",', "", (run / "telemetry/telemetry.jsonl").read_text()
        ),
        "training_metrics.json": epochs,
        "training_metrics.csv": (run / "training_metrics.csv").read_bytes(),
        "tensorboard": scalars(run / "tensorboard"),
    }
    logs = {path.name: path.read_bytes() for path in run.glob("log*.jsonl")}
    # As text, since mappings are equal in any order.
    return {name: repr(content) for name, content in {**files, **logs}.items()}


def differences(one, other):
    """Return the names of the files that differ."""
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


def table(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    columns = [i for i, name in enumerate(rows[0]) if "perf/" not in name]
    return [[row[i] for i in columns] for row in rows]


def scalars(folder):
    """Read all scalars with TensorBoard's own reader."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in sorted(reader.Tags()["scalars"])
        if "perf/" not in tag
    }


def random_kill(rng):
    """Choose a kill in the next 7 steps, by the process itself or from outside."""
    last, wait = rng.randint(3, 7), rng.random() < 0.7
    if rng.random() < 0.5:
        return dict(last=last, at=rng.choice(["updated", "logged"]), wait=wait)
    sent = dict(sent=signal.SIGKILL, after=last + 1, delay=rng.uniform(0, 0.1))
    return dict(last=7, at="logged", wait=wait) | sent


def kill_and_resume(run, root, rng, kills):
    """Kill a run, first before its first checkpoint, and resume it until it ends."""
    how, restored = dict(last=3, at="logged"), []
    for kill in range(kills):
        result = run(root=str(root), **how)
        # The other process of a pod is ended by the coordination service.
        assert KILLED in result.status, run.log.read_text()[-3000:]
        assert set(result.status) <= {KILLED, -signal.SIGABRT}
        restored.append(result.acknowledged[0] if result.acknowledged else None)
        how = random_kill(rng) if kill else dict(last=6, at="logged", wait=True)
    assert not any(run(root=str(root)).status), run.log.read_text()[-3000:]
    run_json = json.loads((root / "runs/p/run/run.json").read_text())
    assert len(run_json["attempts"]) == kills + 1
    return restored


class Runs:
    """Runs of one number of steps and processes.

    Attributes:
      whole: What an uninterrupted run records.
    """

    def __init__(self, zygote, root, steps, count=1):
        self.log = zygote.log
        self._zygote, self._options = zygote, dict(steps=steps, count=count)
        assert not any(self(root=str(root)).status), self.log.read_text()[-3000:]
        self.whole = record(root)

    def __call__(self, **arguments):
        if self._options["count"] > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                arguments["port"] = free.getsockname()[1]
        return self._zygote.run(**self._options, **arguments)


def test_a_loop_that_is_killed_again_and_again_records_what_a_whole_one_does(
    zygote, tmp_path, rng
):
    steps = 4 * KILLS + 4  # a run adds at most one checkpoint, of 4 steps
    run = Runs(zygote, tmp_path / "whole", steps)
    restored = kill_and_resume(run, tmp_path / "killed", rng, KILLS)
    assert restored[1] == 0, "the second attempt begins afresh"
    assert len(set(restored)) > KILLS / 3, "too few attempts continue a checkpoint"
    killed = record(tmp_path / "killed")
    assert differences(killed, run.whole) == []
    moved = {
        p.name.split(".after")[0] for p in (tmp_path / "killed").rglob("*.after-*")
    }
    assert {"telemetry.jsonl", "log.jsonl", "training_metrics.json"} <= moved
    assert len(killed["telemetry"].split('"step"')) == steps // 3 + 1


@pytest.fixture(scope="module")
def short(zygote, tmp_path_factory):
    return Runs(zygote, tmp_path_factory.mktemp("short"), SHORT)


@pytest.mark.parametrize(
    ("without", "changed"),
    [
        ("telemetry", {"telemetry", "metrics.jsonl", "metrics.csv", "tensorboard"}),
        ("epochs", {"training_metrics.csv", "training_metrics.json"}),
        ("log", {"log.jsonl"}),
        ("aggregator", {"metrics.jsonl", "metrics.csv", "tensorboard"}),
    ],
)
def test_an_object_that_is_not_restored_changes_its_files(
    short, tmp_path, without, changed
):
    result = short(root=str(tmp_path), last=12, at="logged", wait=True)
    assert result.status == [KILLED], short.log.read_text()[-3000:]
    result = short(root=str(tmp_path), without=without)
    assert result.status == [0], short.log.read_text()[-3000:]
    faulty = record(tmp_path)
    assert set(differences(faulty, short.whole)) == changed


@pytest.mark.slow
def test_a_loop_of_two_processes_records_what_a_whole_one_does(zygote, tmp_path, rng):
    run = Runs(zygote, tmp_path / "whole", 4 * POD_KILLS + 4, count=2)
    kill_and_resume(run, tmp_path / "killed", rng, POD_KILLS)
    killed = record(tmp_path / "killed")
    assert differences(killed, run.whole) == []
    assert "log.p1.jsonl" in killed


def test_the_loop_and_its_set_up_need_twenty_lines():
    tree = ast.parse(PROGRAM.read_text())
    (training,) = (n for n in tree.body if getattr(n, "name", "") == "Training")
    (update,) = (n for n in tree.body if getattr(n, "name", "") == "update")
    ours = re.compile(
        r"\b(jm|logger|performance|telemetry|epochs|aggregator|metrics)\.|self\.log\."
    )
    statements = [
        ast.unparse(node)
        for node in [*ast.walk(training), *ast.walk(update)]
        if isinstance(node, ast.Assign | ast.Expr | ast.Return)
        and not isinstance(getattr(node, "value", None), ast.Constant)
    ]
    lines = [
        text for text in statements if ours.search(text) and ".close()" not in text
    ]
    assert 15 < len(lines) <= 20, lines
