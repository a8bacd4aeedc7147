"""Steps of records, and the guard against a forgotten restore."""

import pytest
from support.loggers import events, rows, steps

import jaxmetrics as jm
from jaxmetrics.logger._steps import Steps
from jaxmetrics.record import read_lines
from jaxmetrics.writers import CSV, JSONL, Memory, TensorBoard

EVERY_KIND_OF_WRITERS = pytest.mark.parametrize(
    "writers",
    [
        (),
        (Memory(),),
        (CSV(), TensorBoard()),
        (JSONL(every=10),),
        (JSONL("other.jsonl"), Memory(every=10)),
    ],
    ids=lambda writers: "+".join(type(w).__name__ for w in writers),
)


@EVERY_KIND_OF_WRITERS
@pytest.mark.parametrize("step", [1, 7])
def test_a_first_train_step_that_is_recorded_is_refused(make_logger, writers, step):
    with make_logger(writers=writers) as logger:
        logger.log_step(7, loss=1.0)
    logger = make_logger()
    logger.log_step(3, split="val", loss=1.0)  # never refused
    before = (logger.run_dir / "metrics.jsonl").read_bytes()
    for _ in range(2):
        with pytest.raises(ValueError, match="up to step 7") as error:
            logger.log_step(step, loss=2.0)
    message = str(error.value)
    for way in ("checkpoint.restore", f"resume_step={step - 1}", "overwrite=True"):
        assert way in message
    logger.flush()
    assert steps(logger) == [7]
    assert (logger.run_dir / "metrics.jsonl").read_bytes().startswith(before)
    logger.log_step(8, loss=2.0)
    logger.log_step(step, loss=3.0)  # within an attempt any order is right
    logger.close()
    assert steps(logger) == [7, 8, step]


def test_a_record_without_a_step_continues_behind_the_recorded_ones(make_logger):
    with make_logger() as logger:
        logger.log_step(7, loss=1.0)
    logger = make_logger()
    logger.log_step(loss=1.0)
    assert steps(logger if logger.close() else None) == [7, 8]


@pytest.mark.parametrize("value", ["its own", "another"])
def test_a_restore_of_any_state_lifts_the_guard(make_logger, value):
    with make_logger("another") as another:
        another.log_step(3, loss=1.0)
        states = {"another": another.state()}
    with make_logger() as logger:
        logger.log_step(3, loss=1.0)
        states["its own"] = logger.state()
        logger.log_step(7, loss=1.0)
    logger = make_logger()
    logger.load_state(states[value])
    logger.log_step(2, loss=2.0)
    logger.close()
    assert steps(logger) == [3, 2]


def test_a_resume_step_and_overwrite_lift_the_guard(make_logger):
    with make_logger() as logger:
        logger.log_step(7, loss=1.0)
    with make_logger(resume_step=4) as logger:
        logger.log_step(5, loss=2.0)
    assert steps(logger) == [5]
    with make_logger(overwrite=True) as logger:
        logger.log_step(1, loss=3.0)
    assert steps(logger) == [1]


def test_a_reset_sets_everything_aside_and_begins_at_the_first_step(make_logger, clock):
    with make_logger(writers=[CSV()]) as logger:
        logger.log_step(7, loss=1.0)
        logger.log_step(split="val", loss=1.0)
    logger = make_logger(writers=[CSV()])
    clock.now = 5.0
    logger.reset()
    assert logger.latest() == {}
    clock.now = 6.0
    logger.log_step(loss=2.0)
    logger.close()
    assert [(row["step"], row["time"]) for row in rows(logger)] == [(1, 1.0)]
    table = (logger.run_dir / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["step", "1"]
    kept = [file.name for file in logger.run_dir.glob("*.after*")]
    assert len(kept) == 2


def test_a_run_whose_record_has_evaluations_only_is_not_guarded(make_logger):
    with make_logger() as logger:
        logger.log_step(7, split="val", loss=1.0)
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    logger.close()
    assert steps(logger) == [1]
    assert "close" in [event["event"] for event in events(logger)]


def test_a_step_is_above_those_of_its_split_and_those_before_a_resume():
    known = Steps()
    assert [known.of_call(None, "train") for _ in range(2)] == [1, 2]
    known.of_call(9, "val")
    assert known.of_call(None, "train") == 3
    assert [known.of_call(None, "val") for _ in range(2)] == [10, 11]
    known.reset({"train": 3}, 20)
    assert known.of_call(None, "val") == 19
    assert known.of_call(None, "train") == 20
    known.of_call(5, "train")
    assert known.last == {"train": 20, "val": 19}


def test_no_step_follows_the_largest():
    known = Steps()
    known.of_call(2**63 - 1, "train")
    with pytest.raises(ValueError, match=r"log_step\(\) got step 9223372036854775808"):
        known.of_call(None, "train")
    assert known.of_call(None, "val") == 2**63 - 1


@pytest.mark.parametrize("step", [2**63 - 1, 10**4000 - 1], ids=["63 bits", "huge"])
def test_a_step_that_none_can_follow_is_not_continued(tmp_path, step):
    rows = [(step, 1), (7, 2)]
    lines = (
        f'{{"step":{number},"split":"train","train/loss":{x}}}\n' for number, x in rows
    )
    path = tmp_path / "p" / "run" / "metrics.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines))
    with jm.TrainingLogger("p", "run", root=tmp_path, console=False) as logger:
        logger.log_step(loss=3.0)
    last = read_lines(path)[0][-1]
    assert (last["step"], last["train/loss"]) == (8, 3.0)
