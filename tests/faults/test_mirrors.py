"""Mirrors that two machines write to, that are killed, or listed late.

A machine that is taken away may live on for a while, beside the one that replaces it.
"""

import itertools
import random
import time
from pathlib import Path

import pytest
from support.buckets import bucket, emulator
from support.faults import kill_after, run_in_process
from support.figures import figure, is_quick, seed

from jaxmetrics.logger._mirror import Mirror, restore_from_copy
from jaxmetrics.logger._run_directory import RunDirectory
from jaxmetrics.record import (
    Attempt,
    Pieces,
    RunCopies,
    attempt_of_piece,
    open_storage,
    read_run_json,
    write_run_json,
)

__all__ = ["bucket", "emulator"]


class Machine:
    """A machine with a disk of its own that logs rows and copies them.

    Args:
      folder: Its run directory, which is restored from the mirror.
      storage: Folder of the run in the mirror.
      name: First word of its rows.
    """

    def __init__(self, folder, storage, name):
        self.name, self.file = name, folder / "metrics.jsonl"
        copies = RunCopies(storage)
        names = copies.pieces.names()
        parent = restore_from_copy(folder, copies, names)
        folder.mkdir(exist_ok=True)
        self.file.touch()
        orders = [attempt_of_piece(piece).order for piece in names]
        self.identity = Attempt.new(max(orders, default=0) + 1, 0.0)
        run = read_run_json(folder) or {"run_id": "r", "attempts": []}
        run["attempts"].append(self.identity.to_dict())
        write_run_json(folder, run)
        directory = RunDirectory(folder, "r", 1, {}, 0.0, identity=self.identity)
        self.mirror = Mirror(directory, copies, parent)

    def rows(self):
        return self.file.read_text().splitlines()

    def train(self, rows):
        """Log some rows, copy them, and return whether they are in the mirror."""
        number = len(self.rows())
        with self.file.open("a") as file:
            for row in range(number, number + rows):
                file.write(f"{self.name} {row}\n")
        self.mirror.begin()
        return self.mirror.wait(time.monotonic() + 60)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """Sync nothing in this process: only a loss of power would show the difference."""
    monkeypatch.setattr("os.fsync", lambda fd: None)


def interleaved(folder, storage, order):
    """Return what a third machine restores after copies of two, and what is right."""
    old = Machine(folder / "old", storage, "old")
    assert old.train(5)
    new = Machine(folder / "new", storage, "new")
    copied = {"o": 0, "n": 0}
    for machine in order:
        copied[machine] += (old if machine == "o" else new).train(2)
    assert copied["n"] == order.count("n")
    assert copied["o"] == (order.index("n") if "n" in order else len(order))
    name, count = ("new", copied["n"]) if copied["n"] else ("old", copied["o"])
    right = [f"old {row}" for row in range(5)]
    right += [f"{name} {row}" for row in range(5, 5 + 2 * count)]
    return Machine(folder / "third", storage, "third").rows(), right


def orders(copies):
    return ["".join(order) for order in itertools.product("on", repeat=copies)]


@pytest.mark.parametrize("copies", [1, 2, 3, 4, 5])
def test_every_order_of_copies_restores_one_history(tmp_path, copies):
    for order in orders(copies):
        folder = tmp_path / order
        folder.mkdir()
        found, right = interleaved(folder, open_storage(folder / "mirror"), order)
        assert found == right, order


def test_every_order_of_copies_to_a_bucket_restores_one_history(tmp_path, bucket):
    for order in orders(4):
        folder = tmp_path / order
        folder.mkdir()
        found, right = interleaved(folder, open_storage(f"{bucket}/{order}"), order)
        assert found == right, order


def without_orders(monkeypatch):
    """Have all attempts of one order, as if none knew of the one before it."""
    monkeypatch.setattr(Attempt, "new", lambda order, started: Attempt(1, 0, "a" * 8))


def without_fences(monkeypatch):
    """Have no attempt look for later ones."""
    monkeypatch.setattr("jaxmetrics.logger._mirror.attempt_of_piece", lambda name: None)


@pytest.mark.parametrize(
    "control, order", [(without_orders, "nno"), (without_fences, "no")]
)
def test_controls_restore_other_rows(tmp_path, monkeypatch, control, order):
    control(monkeypatch)
    with pytest.raises(AssertionError):
        found, right = interleaved(tmp_path, open_storage(tmp_path / "mirror"), order)
        assert found == right


def as_one_history(monkeypatch):
    """Have each piece of the rows follow the one before it, whoever wrote it."""
    header = Pieces._header

    def following(pieces, name):
        before = [other for other in pieces.names() if other < name]
        return header(pieces, name)._replace(parent=before[-1] if before else None)

    monkeypatch.setattr(Pieces, "_header", following)
    monkeypatch.setattr("jaxmetrics.record._pieces._check_whole", lambda fd, file: None)
    monkeypatch.setattr(RunCopies, "_is_own", lambda _, name: name == "metrics.jsonl")
    monkeypatch.setattr("jaxmetrics.record._copies.RUN_JSON", "metrics.jsonl")


@pytest.mark.parametrize("control", [None, as_one_history])
def test_a_missing_piece_does_not_join_two_histories(tmp_path, monkeypatch, control):
    storage = open_storage(tmp_path / "mirror")
    _, right = interleaved(tmp_path, storage, "onn")
    folder = tmp_path / "mirror" / "pieces"
    *_, first, last = sorted(folder.iterdir())
    assert first.name[:-8] == last.name[:-8]
    first.unlink()
    if control is not None:
        control(monkeypatch)
    found = Machine(tmp_path / "fourth", storage, "fourth").rows()
    is_old = found == [f"old {row}" for row in range(7)]
    is_spliced = found == [f"old {row}" for row in range(7)] + right[7:]
    assert (is_old, is_spliced) == (control is None, control is not None)


class LateListing:
    """A storage whose listings leave out some objects, as if they appeared late."""

    def __init__(self, storage, source, share):
        self._storage, self._source, self.share = storage, source, share
        self.address = storage.address
        self.write = storage.write

    def child(self, name):
        return LateListing(self._storage.child(name), self._source, self.share)

    def names(self):
        names = sorted(self._storage.names())
        return [name for name in names if self._source.random() >= self.share]

    def read(self, name, start, end):
        if self._source.random() < self.share / 4:
            raise ValueError("it does not exist")
        return self._storage.read(name, start, end)


def test_late_objects_never_mix_histories(tmp_path):
    source = random.Random(seed())
    sizes = []
    for trial in range(figure(12, 1000)):
        folder = tmp_path / f"{trial}"
        folder.mkdir()
        storage = open_storage(folder / "mirror")
        late = LateListing(storage, source, source.choice([0.1, 0.3, 0.6]))
        machines = [Machine(folder / "0", late, "0")]
        for number in range(1, 12):
            if source.random() < 0.3:
                machines.append(Machine(folder / f"{number}", late, f"{number}"))
            source.choice(machines).train(2)
        histories = [machine.rows() for machine in machines]
        for number, place in enumerate((late, storage)):
            rows = Machine(folder / f"restored-{number}", place, "x").rows()
            assert any(rows == history[: len(rows)] for history in histories)
            sizes.append(len(rows))
    assert sum(sizes) > 2 * len(sizes)


def kill_copies(folder, mirror, kills, number):
    """Kill a logger among its copies, each time on a new machine.

    Returns:
      The acknowledged steps that the next machine did not find, the steps at the end,
      and the number of machines that opened the run.
    """
    import warnings

    import gcsfs  # loaded before the forks, of which each would take a second
    from fsspec.core import url_to_fs

    import jaxmetrics as jm

    assert gcsfs and url_to_fs
    warnings.simplefilter("ignore")
    source, folder = random.Random(number), Path(folder)
    lost, acknowledged, opened = 0, 0, 0
    for kill in range(kills + 1):
        root, note = folder / f"machine-{kill}", folder / f"opened-{kill}"

        def work(acknowledge, root=root, note=note):
            options = {"root": root, "mirror": mirror, "console": False}
            logger = jm.TrainingLogger("project", "run", **options)
            first = logger._run.last.get("train", 0) + 1
            note.write_text(str(first - 1))
            for step in itertools.count(first):
                logger.log_step(step, loss=1.0)
                if step % 3 == 0:
                    logger.state()
                    if logger.wait_for_mirror():
                        acknowledge(step)

        before = acknowledged
        last = kill_after(work, source.randint(0, 5), source.randint(0, 200_000))
        acknowledged = max(acknowledged, last or 0)
        if note.exists() and note.read_text():
            opened += 1
            lost += max(before - int(note.read_text()), 0)
    options = {"root": folder / "last", "mirror": mirror, "console": False}
    with jm.TrainingLogger("project", "run", **options) as logger:
        pass
    steps = jm.Run.load(logger.run_dir)["train/loss"][0].tolist()
    lost += max(acknowledged - max(steps), 0)
    return lost, steps == list(range(1, len(steps) + 1)), len(steps), opened


def test_kills_lose_nothing_that_is_in_the_mirror(tmp_path):
    kills = figure(20, 200)
    lost, contiguous, steps, opened = run_in_process(
        kill_copies, tmp_path, tmp_path / "mirror", kills, seed()
    )
    assert (lost, contiguous) == (0, True)
    assert (steps > kills and opened > kills / 2) or is_quick()


def test_kills_lose_nothing_that_is_in_the_bucket(tmp_path, bucket):
    kills = figure(10, 100)
    lost, contiguous, steps, opened = run_in_process(
        kill_copies, tmp_path, f"{bucket}/mirror", kills, seed()
    )
    assert (lost, contiguous) == (0, True)
    assert (steps > kills and opened > kills / 2) or is_quick()
