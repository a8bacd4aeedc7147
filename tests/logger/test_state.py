"""The state of a logger: what a checkpoint saves, and going back to it."""

import json
import logging
import math
import shutil
from csv import DictReader

import pytest
from support.loggers import events, rows, run_json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxmetrics.logger._state import checked_state
from jaxmetrics.record import dumps, loads, read_lines
from jaxmetrics.writers import CSV, JSONL, TensorBoard


def test_a_state_restores_the_same_record_twice(make_logger, clock):
    reference = make_logger("reference")
    logger = make_logger("resumed")

    def train(trained, first, last):
        for step in range(first, last):
            clock.now += 1.0
            trained.log_step(step, loss=step / 3)
            if step % 2:
                trained.log_step(step, split="val", loss=-step)

    train(reference, 1, 9)
    reference.close()
    clock.now = 0.0
    logger._elapsed.reset(0.0)
    train(logger, 1, 5)
    state = loads(dumps(logger.state()))
    assert json.loads(json.dumps(state)) == state
    logger.log_step(4, split="test", loss=1.0)  # after the save, so not in it
    for attempt in range(2):
        train(logger, 5, 7 + attempt)
        if attempt:
            logger.close()
            logger = make_logger("resumed")
        logger.load_state(state)
        assert logger.latest()["train/loss"] == 4 / 3
    clock.now += 1000.0
    logger.load_state(state)
    logger.log_step(4, split="test", loss=1.0)
    logger.load_state(state)
    train(logger, 5, 9)
    logger.close()

    def without_header(closed):
        return (closed.run_dir / "metrics.jsonl").read_text().split("\n", 1)[1]

    assert without_header(logger) == without_header(reference)
    assert run_json(logger)["attempts"][-1]["restored_step"] == 4
    assert (logger.run_dir / "metrics.jsonl.after-4").exists()
    assert [e["event"] for e in events(logger)].count("restore") == 4


@pytest.mark.parametrize("flushed", [True, False])
def test_what_was_logged_after_a_state_is_gone_after_its_restore(make_logger, flushed):
    logger = make_logger(writers=[CSV()])
    logger.log_step(1, loss=1.0)
    state = logger.state()
    logger.log_step(2, loss=2.0, late=9.0)
    if flushed:
        logger.flush()
    logger.load_state(state)
    assert logger.latest() == {"train/loss": 1.0}
    logger.log_step(2, loss=-2.0)
    assert logger.latest() == {"train/loss": -2.0}
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, -2.0]
    table = (logger.run_dir / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[3] for line in table] == ["train/loss", "1.0", "-2.0"]


@pytest.mark.parametrize("saved_at", [1, 2, 5, 6, 7, 13, 18])
def test_thinned_files_of_a_restored_run_equal_those_of_an_uninterrupted_one(
    make_logger, saved_at
):
    steps = [1, 3, 6, 7, 7, 9, 14, 15, 13, 20, 21, 22, 22, 29, 27, 35, 36, 40, 41]

    def make(name):
        return make_logger(name, writers=[CSV(every=7), JSONL("thin.jsonl", every=7)])

    def log(logger, steps):
        for step in steps:
            logger.log_step(step, loss=step / 3)

    log(reference := make("reference"), steps)
    reference.close()
    log(logger := make("resumed"), steps[:saved_at])
    state = loads(dumps(logger.state()))
    log(logger, steps[saved_at : saved_at + 3])
    logger.close()  # which writes the last step too
    (resumed := make("resumed")).load_state(state)
    log(resumed, steps[saved_at:])
    resumed.close()
    # Of the two records of step 7, CSV makes one row.
    for file, count in (("metrics.csv", 7), ("thin.jsonl", 8), ("metrics.jsonl", 19)):
        texts = [(r.run_dir / file).read_text() for r in (reference, resumed)]
        first, second = (text.split("\n", 1)[1] for text in texts)
        assert first == second, file
        assert first.count("\n") == count


@pytest.mark.parametrize("route", ["restored", "reset", "resume_step"])
@pytest.mark.parametrize("others", [[], [CSV]])
def test_a_writer_left_out_of_an_attempt_keeps_no_row_that_it_set_aside(
    make_logger, route, others
):
    """Attempts 1 and 3 have all writers, 2 has `others`; the loss is the attempt."""

    def train(attempt, steps):
        for step in steps:
            logger.log_step(step, loss=float(attempt))

    every = [CSV, TensorBoard, lambda: JSONL("more.jsonl")]
    logger = make_logger(writers=[kind() for kind in every], console=False)
    train(1, range(1, 4))
    state = logger.state()
    train(1, range(4, 9))
    logger.close()

    options = {"resume_step": 3} if route == "resume_step" else {}
    logger = make_logger(writers=[kind() for kind in others], console=False, **options)
    if route == "reset":
        logger.reset()
    elif route == "restored":
        logger.load_state(loads(dumps(state)))
    first = 1 if route == "reset" else 4
    train(2, range(first, 7))
    for _ in range(2):
        state = logger.state()
        logger.close()
        logger = make_logger(writers=[kind() for kind in others], console=False)
        logger.load_state(loads(dumps(state)))
    train(2, [7])
    logger.close()

    logger = make_logger(writers=[kind() for kind in every], console=False)
    logger.load_state(loads(dumps(state)))
    train(3, range(7, 9))
    logger.close()
    losses = dict.fromkeys(range(1, 9), 1.0) | dict.fromkeys(range(first, 7), 2.0)
    losses |= {7: 3.0, 8: 3.0}
    assert {r["step"]: r["train/loss"] for r in rows(logger)} == losses
    left_out = {step: loss for step, loss in losses.items() if loss != 2.0}
    expected = losses if others else left_out
    lines = (logger.run_dir / "metrics.csv").read_text().splitlines()
    table = [(int(r["step"]), float(r["train/loss"])) for r in DictReader(lines)]
    assert table == list(expected.items())
    more = read_lines(logger.run_dir / "more.jsonl")[0][1:]
    assert {r["step"]: r["train/loss"] for r in more} == left_out
    board = EventAccumulator(str(logger.run_dir / "tensorboard")).Reload()
    scalars = {e.step: e.value for e in board.Scalars("train/loss")}
    assert scalars == left_out


@pytest.mark.parametrize("last", ["resume_step", "restored"])
@pytest.mark.parametrize("second", [[], [CSV]])
def test_a_writer_left_out_of_attempts_that_resume_by_step_keeps_no_row_of_theirs(
    make_logger, second, last
):
    """Attempts 1 and 4 have all writers, 2 has `second`, 3 none."""
    every = [CSV, TensorBoard, lambda: JSONL("more.jsonl")]

    def train(attempt, steps, writers, **options):
        logger = make_logger(writers=[kind() for kind in writers], **options)
        if attempt == 4 and last == "restored":
            logger.load_state(state)
        for step in steps:
            logger.log_step(step, loss=float(attempt))
        saved = loads(dumps(logger.state()))
        logger.close()
        return logger, saved

    train(1, range(1, 9), every)
    train(2, range(4, 7), second, resume_step=3)
    _, state = train(3, range(6, 8), [], resume_step=5)
    options = {"resume_step": 7} if last == "resume_step" else {}
    logger, _ = train(4, [8], every, **options)
    first = {1: 1.0, 2: 1.0, 3: 1.0}
    recorded = first | {4: 2.0, 5: 2.0, 6: 3.0, 7: 3.0, 8: 4.0}
    assert {r["step"]: r["train/loss"] for r in rows(logger)} == recorded
    lines = (logger.run_dir / "metrics.csv").read_text().splitlines()
    table = {int(r["step"]): float(r["train/loss"]) for r in DictReader(lines)}
    assert table == first | ({4: 2.0, 5: 2.0} if second else {}) | {8: 4.0}
    more = read_lines(logger.run_dir / "more.jsonl")[0][1:]
    assert {r["step"]: r["train/loss"] for r in more} == first | {8: 4.0}
    board = EventAccumulator(str(logger.run_dir / "tensorboard")).Reload()
    scalars = {e.step: e.value for e in board.Scalars("train/loss")}
    assert scalars == first | {8: 4.0}


def test_a_state_of_another_run_sets_steps_and_seconds_only(make_logger, clock, caplog):
    clock.now = 5.0
    with make_logger("first") as first:
        clock.now = 8.0
        first.log_step(7, loss=math.nan)
        state = loads(dumps(first.state()))
    second = make_logger("second")
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        second.load_state(state)
    assert "another" in caplog.text
    assert math.isnan(second.latest()["train/loss"])
    clock.now = 9.0
    second.log_step(loss=1.0)
    second.close()
    assert [(row["step"], row["time"]) for row in rows(second)] == [(8, 4.0)]


def test_a_state_of_another_version_is_refused(make_logger):
    with pytest.raises(ValueError, match="schema 2"):
        make_logger().load_state({"schema": 2})


STATE = {
    "schema": 1,
    "run_id": "another",
    "time": 1.5,
    "next_step": 8,
    "last_steps": {"train": 7},
    "writers": {},
    "latest": {"train/loss": "NaN"},
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("next_step", -1),
        ("next_step", 2**63),
        ("next_step", True),
        ("next_step", 8.0),
        ("last_steps", {"train": -1}),
        ("last_steps", {1: 1}),
        ("last_steps", [7]),
        ("time", -0.5),
        ("time", math.nan),
        ("time", "1.5"),
        ("run_id", None),
        ("writers", {"metrics.jsonl": 3}),
        ("absent_writers", {"csv": {}}),
        ("absent_writers", {"step": -2, "writers": {}}),
        ("absent_writers", {"step": None, "writers": {"csv": 3}}),
        ("latest", {"train/loss": "high"}),
    ],
)
def test_a_damaged_field_of_a_state_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"load_state.*{field!r}"):
        checked_state(STATE | {field: value})


@pytest.mark.parametrize("step", [0, 2**63 - 1])
def test_a_state_may_have_any_step_that_a_record_may_have(step):
    state = STATE | {"next_step": step, "last_steps": {"train": step}}
    assert checked_state(state) == state


@pytest.mark.parametrize("field", sorted(STATE.keys() - {"schema"}))
def test_a_missing_field_of_a_state_is_named(field):
    state = {name: value for name, value in STATE.items() if name != field}
    with pytest.raises(ValueError, match=f"without {field!r}"):
        checked_state(state)


def test_a_removed_run_directory_stops_no_checkpoint(make_logger, caplog):
    logger = make_logger(writers=[CSV(), TensorBoard()], console=False)
    logger.log_step(1, loss=1.0)
    assert logger.flush()
    shutil.rmtree(logger.run_dir)
    logger.log_step(2, loss=1.0)
    state = logger.state()
    assert not logger.close()
    assert "metrics.jsonl has no state to save (FileNotFoundError" in caplog.text

    with make_logger(overwrite=True, console=False) as logger:
        logger.load_state(state)
        logger.log_step(3, loss=1.0)
    assert [row["step"] for row in rows(logger)] == [3]


class Stateless(CSV):
    """Raises when it is asked for its state."""

    def state(self):
        raise ZeroDivisionError("no state")


def test_a_writer_without_a_state_goes_back_to_the_step(make_logger, caplog):
    with make_logger(writers=[Stateless()], console=False) as logger:
        for step in (1, 2):
            logger.log_step(step, loss=float(step))
        state = logger.state()
        logger.log_step(3, loss=3.0)
    with make_logger(writers=[Stateless()], console=False) as logger:
        logger.load_state(state)
        logger.log_step(3, loss=4.0)
    assert "csv has no state to save (ZeroDivisionError: no state)" in caplog.text
    lines = (logger.run_dir / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert lines[-1].endswith("4.0")
