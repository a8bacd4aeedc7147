"""Copies of a run in another folder, and a run restored from them."""

import logging
import os
import shutil

import pytest

from jaxmetrics import TrainingLogger
from jaxmetrics.record import (
    Attempt,
    LocalStorage,
    RunCopies,
    last_attempt,
    read_run_json,
)
from jaxmetrics.writers import CSV, TensorBoard


@pytest.fixture
def make(tmp_path):
    loggers = []

    def make(machine="runs", **options):
        options = {"console": False, "clock": lambda: 0.0} | options
        options = {"root": tmp_path / machine, "mirror": tmp_path / "copies"} | options
        loggers.append(TrainingLogger("project", "run", **options))
        return loggers[-1]

    yield make
    for logger in loggers:
        logger.close()


def pieces(tmp_path):
    """Return the names and bytes of the pieces, in order."""
    folder = tmp_path / "copies" / "project" / "run" / "pieces"
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def log(logger, steps, loss=1.0):
    for step in steps:
        logger.log_step(step, loss=loss)


def checkpointed(logger, steps, loss=1.0):
    """Log some steps, and return the state once its copies are complete."""
    log(logger, steps, loss)
    state = logger.state()
    assert logger.wait_for_mirror()
    return state


def losses(logger):
    text = (logger.run_dir / "metrics.jsonl").read_text()
    return [line.split('"train/loss":')[1] for line in text.splitlines()[1:]]


def test_each_checkpoint_adds_a_piece_and_changes_none(make, tmp_path):
    logger = make()
    checkpointed(logger, [1, 2])
    first = pieces(tmp_path)
    checkpointed(logger, range(3, 500))
    second = pieces(tmp_path)
    checkpointed(logger, [500])
    third = pieces(tmp_path)
    assert first.items() <= second.items() <= third.items()
    assert len(third) == len(second) + 1 == len(first) + 2
    sizes = [len(data) for data in third.values()]
    assert sizes[-1] < sizes[-2] / 5  # it has the new bytes only


def test_a_run_whose_disk_was_lost_continues_from_its_copies(make, tmp_path, caplog):
    def train(logger, steps):
        for step in steps:
            logger.log_step(step, loss=1.0 / step, metrics={f"at_{step % 3}": step})

    logger = make(writers=[CSV(), TensorBoard()])
    logger.log_images(1, sample=[[0.5] * 4] * 4)
    train(logger, range(1, 6))
    state = logger.state()
    assert logger.wait_for_mirror()
    train(logger, range(6, 9))  # after the last copy: lost with the disk
    logger.flush()
    run_id = state["run_id"]
    lost = logger.run_dir.rename(tmp_path / "lost")
    with caplog.at_level(logging.WARNING):
        other = make(writers=[CSV(), TensorBoard()])
    assert "was restored from its copy" in caplog.text
    assert other.run_dir.exists() and other._run.run_id == run_id
    other.load_state(state)
    train(other, range(6, 9))
    other.close()
    for file in ("metrics.jsonl", "metrics.csv"):
        assert (other.run_dir / file).read_bytes() == (lost / file).read_bytes()
    assert len(list((other.run_dir / "tensorboard").iterdir())) == 2
    (media,) = (lost / "media").iterdir()
    assert (other.run_dir / "media" / media.name).read_bytes() == media.read_bytes()


def test_a_file_that_was_cut_is_copied_from_the_cut(make, tmp_path):
    logger = make()
    state = checkpointed(logger, [1, 2])
    checkpointed(logger, [3, 4, 5])
    logger.load_state(state)
    log(logger, [3, 9])
    logger.close()
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    shutil.rmtree(logger.run_dir)
    again = make()
    assert (again.run_dir / "metrics.jsonl").read_bytes() == content


def test_an_overwritten_run_is_not_restored_and_copied_above_the_old_one(
    make, tmp_path
):
    with make() as logger:
        log(logger, [1])
    with make() as logger:
        log(logger, [2])
    with make("new machine", overwrite=True) as logger:
        log(logger, [1, 2], loss=7.0)
    assert logger._run.attempt == 1 and logger._run.identity.order == 3
    third = make("third machine")
    assert losses(third) == ["7.0}", "7.0}"]


def test_an_attempt_is_identified_in_run_json(make):
    first, second = make(clock=lambda: 12.5)._run, make("other", mirror=None)._run
    for run in (first, second):
        assert last_attempt(read_run_json(run.path)) == run.identity
    assert first.identity.order == 1 and first.identity.started == 12_500
    assert first.identity.token != second.identity.token


def test_a_replaced_attempt_stops_and_says_so(make, tmp_path, caplog):
    old = make("old")
    state = checkpointed(old, [1, 2])
    new = make("new")
    new.load_state(state)
    checkpointed(new, [3, 4], loss=2.0)
    before = pieces(tmp_path)
    with caplog.at_level(logging.WARNING):
        log(old, [3])
        old.state()
        assert not old.wait_for_mirror()
        log(old, [4, 5])
        assert not old.flush() and not old.close()
    message = "has taken over"
    assert caplog.text.count(message) == 1 and str(new._run.identity) in caplog.text
    assert losses(old) == ["1.0}"] * 3  # step 3 was logged before it could know
    assert pieces(tmp_path) == before
    assert new.flush() and new.close()
    assert losses(make("third")) == ["1.0}"] * 2 + ["2.0}"] * 2


def test_on_a_shared_disk_a_replaced_attempt_stops_at_its_next_flush(
    make, monkeypatch, caplog
):
    # As on disks without locks between hosts.
    monkeypatch.setattr("fcntl.flock", lambda fd, operation: None)
    monkeypatch.setattr("jaxmetrics.logger._logger.take_over", lambda path: None)
    old = make(mirror=None)
    state = old.state()
    new = make(mirror=None)
    log(new, [1, 2])
    assert new.flush() and not old.flush()
    assert "has taken over" in caplog.text
    size = (old.run_dir / "metrics.jsonl").stat().st_size
    log(old, [1])
    old.describe(mesh="x")
    old.load_state(old.state() | state)  # a checkpoint is taken and restored
    old.reset()
    assert len(caplog.records) == 1 and not old.close()
    assert (old.run_dir / "metrics.jsonl").stat().st_size == size
    assert "mesh" not in (old.run_dir / "run.json").read_text()


def test_an_overwritten_run_on_a_shared_disk_supersedes_the_old_one(
    make, monkeypatch, caplog
):
    monkeypatch.setattr("fcntl.flock", lambda fd, operation: None)
    monkeypatch.setattr("jaxmetrics.logger._logger.take_over", lambda path: None)
    old = make(mirror=None, clock=lambda: 2.0)
    new = make(mirror=None, clock=lambda: 1.0, overwrite=True)  # clocks may differ
    assert not old.flush() and new.flush()
    assert caplog.text.count("has taken over") == 1


def test_a_restore_that_is_interrupted_is_repeated(make, tmp_path, monkeypatch):
    with make() as logger:
        log(logger, [1])
    replace = os.replace

    def failing(source, target):
        if os.path.basename(target) == "metrics.jsonl" and "new" in str(target):
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        make("new machine")
    monkeypatch.undo()
    assert losses(make("new machine")) == ["1.0}"]


def test_damaged_media_are_not_restored(make, tmp_path):
    with make() as logger:
        logger.log_images(1, sample=[[0.5] * 4] * 4)
    (name,) = os.listdir(logger.run_dir / "media")
    (tmp_path / "copies/project/run/media" / name).write_bytes(b"damaged")
    (tmp_path / "copies/project/run/media" / "notes.txt").write_bytes(b"by somebody")
    other = make("other")
    media = other.run_dir / "media"
    assert not (media / name).exists() and not (media / "notes.txt").exists()


def test_a_directory_that_is_older_than_its_copy_is_replaced(make, tmp_path, caplog):
    with make("first") as logger:
        log(logger, [1])
    with make("second") as logger:
        log(logger, [2], loss=2.0)
    with caplog.at_level(logging.WARNING):
        again = make("first")  # its disk knows nothing of the second machine
    assert "was restored from its copy" in caplog.text
    assert losses(again) == ["1.0}", "2.0}"]
    old = again.run_dir.with_name("run.old-1")
    assert len((old / "metrics.jsonl").read_text().splitlines()) == 2
    assert again._run.attempt == 3


def test_other_files_of_a_run_directory_stay_when_it_is_restored(make, tmp_path):
    with make() as logger:
        log(logger, [1])
    (logger.run_dir / "run.json").unlink()
    (logger.run_dir / "checkpoints").mkdir()
    (logger.run_dir / "metrics.jsonl").write_text("{}\n")
    again = make()
    assert losses(again) == ["1.0}"]
    assert (again.run_dir / "checkpoints").is_dir()
    old = again.run_dir.with_name("run.old-1")
    assert (old / "metrics.jsonl").read_text() == "{}\n"


def test_a_process_restores_its_own_file_alone(tmp_path):
    run, copies = tmp_path / "run", LocalStorage(tmp_path / "copies")
    run.mkdir()
    for name in ("run.json", "metrics.jsonl", "metrics.p3.jsonl", "metrics.p4.jsonl"):
        (run / name).write_text(name)
    for process in (0, 3):
        own = RunCopies(copies, process)
        own.pieces.write(Attempt(1, 0, "0" * 8), 1, None, own.sources(run))
        folder = tmp_path / f"restored-{process}"
        assert own.restore(own.pieces.names(), folder)
        names = {0: ["metrics.jsonl", "run.json"], 3: ["metrics.p3.jsonl"]}[process]
        assert sorted(os.listdir(folder)) == names


def test_a_failing_copy_is_warned_about_once_and_stops_nothing_else(
    make, tmp_path, caplog
):
    logger = make()
    assert logger.wait_for_mirror()
    folder = tmp_path / "copies/project/run/pieces"
    moved = folder.rename(tmp_path / "moved")
    folder.write_text("a file where a folder must be")
    with caplog.at_level(logging.WARNING):
        for step in (1, 2):
            log(logger, [step])
            logger.state()
            assert not logger.wait_for_mirror()
    assert caplog.text.count("The copy of") == 1
    folder.unlink()
    moved.rename(folder)
    assert logger.close() and logger.wait_for_mirror()
    assert '"event":"mirror"' in (logger.run_dir / "events.jsonl").read_text()
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    assert (make("other").run_dir / "metrics.jsonl").read_bytes() == content


def test_a_copy_that_fails_at_the_end_is_tried_once_more(make, tmp_path, monkeypatch):
    logger = make()
    assert logger.wait_for_mirror()
    log(logger, [1, 2])
    write, failures = LocalStorage.write, []

    def failing_first(storage, name, data):
        if not failures:
            failures.append(name)
            raise OSError("bucket not reachable")
        write(storage, name, data)

    monkeypatch.setattr(LocalStorage, "write", failing_first)
    assert logger.close() and failures
    assert logger.wait_for_mirror()
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    assert (make("other").run_dir / "metrics.jsonl").read_bytes() == content


def test_a_checkpoint_during_a_copy_is_copied_too(make, tmp_path, monkeypatch):
    import threading

    logger = make()
    assert logger.wait_for_mirror()
    may_end, began = threading.Event(), threading.Event()
    write = LocalStorage.write

    def slow(storage, name, data):
        began.set()
        assert may_end.wait(30)
        write(storage, name, data)

    monkeypatch.setattr(LocalStorage, "write", slow)
    log(logger, [1])
    logger.state()
    assert began.wait(30)
    log(logger, [2])
    logger.state()
    assert not logger.wait_for_mirror(0)
    may_end.set()
    assert logger.wait_for_mirror()
    assert losses(make("other")) == ["1.0}"] * 2


def test_of_several_damaged_pieces_the_last_one_is_named(make, tmp_path, caplog):
    logger = make()
    for step in (1, 2, 3):
        checkpointed(logger, [step])
    *_, second, last = pieces(tmp_path)
    for name in (second, last):
        piece = tmp_path / "copies/project/run/pieces" / name
        piece.write_bytes(piece.read_bytes()[:-1] + b"x")
    with caplog.at_level(logging.WARNING):
        other = make("other")
    assert losses(other) == ["1.0}"]
    assert f"2 later pieces were passed over ({last}: " in caplog.text


def test_a_damaged_piece_is_passed_over_and_named(make, tmp_path, caplog):
    logger = make()
    checkpointed(logger, [1])
    checkpointed(logger, [2])
    *_, last = pieces(tmp_path)
    piece = tmp_path / "copies/project/run/pieces" / last
    piece.write_bytes(piece.read_bytes()[:-1] + b"x")
    with caplog.at_level(logging.WARNING):
        other = make("other")
    assert losses(other) == ["1.0}"]
    assert f"A later piece was passed over ({last}: its bytes are damaged)" in (
        caplog.text
    )
    checkpointed(other, [2], loss=3.0)  # its copies count, not the damaged one
    assert losses(make("third")) == ["1.0}", "3.0}"]


def test_after_pieces_were_deleted_all_is_copied_again(make, tmp_path):
    logger = make()
    checkpointed(logger, [1])
    checkpointed(logger, [2])
    first, *_ = pieces(tmp_path)
    (tmp_path / "copies/project/run/pieces" / first).unlink()
    checkpointed(logger, [3])
    assert losses(make("other")) == ["1.0}"] * 3


def test_a_copy_without_a_whole_piece_begins_the_run_again(make, tmp_path, caplog):
    with make() as logger:
        log(logger, [1])
    for name in pieces(tmp_path):
        (tmp_path / "copies/project/run/pieces" / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        other = make("other")
    assert "no copy there is whole" in caplog.text
    assert other._run.attempt == 1 and losses(other) == []
    checkpointed(other, [1], loss=3.0)
    assert losses(make("third")) == ["3.0}"]


def test_a_mirror_at_an_unknown_address_or_in_the_run_is_refused(make, tmp_path):
    with pytest.raises(ValueError, match="unknown://bucket.*known storage"):
        make(mirror="unknown://bucket")
    with pytest.raises(ValueError, match="the run itself"):
        make(mirror=tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make(mirror=tmp_path / "file")
    make().close()  # a refused mirror leaves no lock
