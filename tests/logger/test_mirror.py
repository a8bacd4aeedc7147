"""Copies of a run in another folder, and a run restored from them."""

import logging
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics import TrainingLogger
from jaxmetrics.record import Segments
from jaxmetrics.writers import CSV, JSONL, TensorBoard


@pytest.fixture
def make(tmp_path):
    loggers = []

    def make(**options):
        options = {"writers": [JSONL()], "clock": lambda: 0.0} | options
        options = {"root": tmp_path / "runs", "mirror": tmp_path / "copies"} | options
        loggers.append(TrainingLogger("project", "run", **options))
        return loggers[-1]

    yield make
    for logger in loggers:
        logger.close()


def pieces(tmp_path, file="metrics.jsonl"):
    """Return the names and bytes of a file's pieces, in order."""
    folder = tmp_path / "copies" / "project" / "run" / file
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def log(logger, steps):
    for step in steps:
        logger.log_step(step, loss=1.0 / step)


def checkpointed(logger, steps):
    """Log some steps, and return the state once its copies are complete."""
    log(logger, steps)
    state = logger.state()
    logger._mirror._thread.join()
    return state


def test_each_checkpoint_adds_a_piece_and_changes_none(make, tmp_path):
    logger = make()
    checkpointed(logger, [1, 2])
    first = pieces(tmp_path)
    checkpointed(logger, [3])
    second = pieces(tmp_path)
    logger.close()
    assert len(first) == 1 and len(second) == 2
    assert first.items() <= second.items() and pieces(tmp_path) == second
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    assert b"".join(second.values()) == content


def test_a_run_whose_disk_was_lost_continues_from_its_copies(make, tmp_path, caplog):
    def train(logger, steps):
        for step in steps:
            logger.log_step(step, loss=1.0 / step, metrics={f"at_{step % 3}": step})

    writers = [JSONL(), CSV(), TensorBoard()]
    logger = make(writers=writers)
    train(logger, range(1, 6))
    state = logger.state()
    logger._mirror._thread.join()
    train(logger, range(6, 9))  # after the last copy: lost with the disk
    logger.flush()
    run_id = state["run_id"]
    lost = logger.run_dir.rename(tmp_path / "lost")
    with caplog.at_level(logging.WARNING):
        other = make(writers=[JSONL(), CSV(), TensorBoard()])
    assert "was restored from its copy" in caplog.text
    assert other.run_dir.exists() and other._run.run_id == run_id
    other.load_state(state)
    train(other, range(6, 9))
    other.close()
    for file in ("metrics.jsonl", "metrics.csv"):
        assert (other.run_dir / file).read_bytes() == (lost / file).read_bytes()
    assert len(list((other.run_dir / "tensorboard").iterdir())) == 2


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


def test_overwriting_sets_the_copies_aside_too(make, tmp_path):
    with make() as logger:
        log(logger, [1])
    old = pieces(tmp_path)
    with make(overwrite=True) as logger:
        log(logger, [1, 2])
    assert (tmp_path / "copies/project/run.old-1/metrics.jsonl").is_dir()
    assert not old.items() & pieces(tmp_path).items()


def test_a_failing_copy_is_warned_about_once_and_stops_nothing_else(
    make, tmp_path, caplog
):
    logger = make()
    blocked = tmp_path / "copies/project/run/metrics.jsonl"
    blocked.write_text("a file where a folder must be")
    with caplog.at_level(logging.WARNING):
        checkpointed(logger, [1])
        checkpointed(logger, [2])
    assert caplog.text.count("failed for metrics.jsonl") == 1
    blocked.unlink()
    assert logger.close()
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    assert b"".join(pieces(tmp_path).values()) == content
    assert '"event":"mirror"' in (logger.run_dir / "events.jsonl").read_text()


def test_a_copy_that_fails_at_the_end_is_tried_once_more(make, tmp_path, monkeypatch):
    attempts = []
    update = Segments.update

    def failing_first(segments, path, size):
        if path.name == "metrics.jsonl":
            attempts.append(size)
            if len(attempts) == 1:
                raise OSError("bucket not reachable")
        update(segments, path, size)

    monkeypatch.setattr(Segments, "update", failing_first)
    logger = make()
    log(logger, [1, 2])
    assert logger.close()
    content = (logger.run_dir / "metrics.jsonl").read_bytes()
    assert attempts == [len(content)] * 2
    assert b"".join(pieces(tmp_path).values()) == content


def test_a_damaged_piece_is_named(make, tmp_path):
    with make() as logger:
        log(logger, [1])
    (name,) = pieces(tmp_path)
    piece = tmp_path / "copies/project/run/metrics.jsonl" / name
    piece.write_bytes(b"x" + piece.read_bytes()[1:])
    shutil.rmtree(logger.run_dir)
    with pytest.raises(ValueError, match=name):
        make()


def test_a_mirror_at_an_address_or_in_the_run_is_refused(make, tmp_path):
    with pytest.raises(ValueError, match="mirror='gs://bucket'.*mount"):
        make(mirror="gs://bucket")
    with pytest.raises(ValueError, match="the run itself"):
        make(mirror=tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make(mirror=tmp_path / "file")
    make().close()  # a refused mirror leaves no lock


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["append", "cut", "rewrite"]), st.binary(max_size=8)),
        max_size=12,
    )
)
def test_pieces_restore_a_file_after_any_changes(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("segments")
    file, copy = folder / "file", folder / "copy"
    segments, data = Segments(folder / "pieces"), b""
    for change, more in changes:
        size = {"append": len(data), "cut": len(data) // 2, "rewrite": 0}[change]
        data = data[:size] + more
        file.write_bytes(data)
        segments.update(file, len(data))
        Segments(folder / "pieces").restore(copy)
        assert copy.read_bytes() == data
