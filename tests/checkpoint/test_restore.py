"""A restore puts objects back in place; without a checkpoint the run begins afresh."""

import logging

import orbax.checkpoint as ocp
import pytest
from support.loggers import steps

import jaxmetrics as jm
from jaxmetrics import checkpoint


def entry(step):
    return jm.MetricsEntry(step, 1.0, 1.0, 1.0, 1.0)


@pytest.fixture
def manager(tmp_path):
    with ocp.CheckpointManager(tmp_path / "saved") as manager:
        yield manager


def save(manager, step, logger=None, **items):
    item = checkpoint.args(logger, **items)
    manager.save(step, args=ocp.args.Composite(jaxmetrics=item))
    manager.wait_until_finished()


def test_without_a_checkpoint_everything_begins_afresh(tmp_path, manager):
    log = jm.MetricsLog.open(tmp_path / "log.jsonl")
    log.record(entry(1))
    losses, metrics = jm.LossTracker(), jm.Mean("loss")
    losses.update(loss=1.0)
    restored = checkpoint.restore(
        manager, None, None, log=log, losses=losses, metrics=metrics
    )
    assert restored == {"log": log, "losses": losses, "metrics": metrics}
    assert log.is_empty() and (tmp_path / "log.jsonl").read_bytes() == b""
    assert losses.state() == {"kept": {}, "seen": {}}


def test_the_latest_step_is_the_default_and_others_can_be_named(manager):
    for step in (1, 2, 3):
        losses = jm.LossTracker()
        losses.update(loss=float(step))
        save(manager, step, losses=losses)
    for step, value in ((None, 3.0), (2, 2.0), (1, 1.0)):
        checkpoint.restore(manager, step, None, losses=losses)
        assert losses.get_average("loss") == value
    with pytest.raises(FileNotFoundError, match=r"step 4.*it has \[1, 2, 3\]"):
        checkpoint.restore(manager, 4, None, losses=losses)
    assert losses.get_average("loss") == 1.0


def test_the_first_step_of_an_empty_manager_is_no_begin(tmp_path, manager):
    losses = jm.LossTracker()
    losses.update(loss=1.0)
    with pytest.raises(FileNotFoundError, match="got step 0"):
        checkpoint.restore(manager, 0, None, losses=losses)
    assert losses.get_average("loss") == 1.0


def test_a_state_that_does_not_fit_is_refused_with_its_name(manager):
    losses = jm.LossTracker(window=5)
    losses.update(loss=1.0)
    save(manager, 1, ce=losses)
    with pytest.raises(ValueError, match="expected 6 values") as error:
        checkpoint.restore(manager, 1, None, ce=jm.LossTracker(window=6))
    assert error.value.__notes__ == ["checkpoint.restore() loads 'ce' of step 1."]
    with pytest.raises(KeyError, match=r"'ce', a Mean.*objects \['ce'\]"):
        checkpoint.restore(manager, 1, None, ce=jm.Mean("loss"))


@pytest.fixture
def make_logger(tmp_path):
    """Create loggers of one run, each closing the one before."""
    loggers = []

    def make():
        for logger in loggers:
            logger.close()
        loggers.append(jm.TrainingLogger("p", "run", tmp_path, console=False))
        return loggers[-1]

    yield make
    loggers[-1].close()


def tracker(value=None):
    losses = jm.LossTracker()
    if value is not None:
        losses.update(loss=value)
    return losses


def test_attached_objects_are_saved_and_put_back_without_being_named(
    manager, make_logger
):
    logger = make_logger()
    logger.attach(a=tracker(1.0), b=tracker(2.0), speed=jm.PerformanceTracker())
    save(manager, 1, logger, c=tracker(3.0), metrics=jm.Mean("loss"))
    logger = make_logger()
    a, b, c = tracker(), tracker(), tracker()
    # One may be attached now, or was then; it may be named in addition.
    logger.attach(a=a, c=c, speed=jm.PerformanceTracker())
    restored = checkpoint.restore(manager, None, logger, b=b, a=a)
    assert [x.get_average("loss") for x in (a, b, c)] == [1.0, 2.0, 3.0]
    assert restored == {"a": a, "b": b}


def test_objects_attached_then_or_now_only_are_named_in_the_log(
    manager, make_logger, caplog
):
    logger = make_logger()
    logger.attach(old=tracker(1.0))
    save(manager, 1, logger)
    logger = make_logger()
    new = tracker(2.0)
    logger.attach(new=new)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        checkpoint.restore(manager, 1, logger)
    first, second = (record.getMessage() for record in caplog.records)
    assert "step 1 holds no state of the attached 'new'; it starts afresh" in first
    assert "'old' was attached when step 1 was saved, and is not" in second
    assert new.state() == tracker().state()


def test_another_object_under_the_name_of_an_attached_one_is_refused(
    manager, make_logger
):
    logger = make_logger()
    logger.attach(a=tracker(1.0))
    with pytest.raises(ValueError, match="args.. got a=LossTracker, but the logger"):
        checkpoint.args(logger, a=tracker())
    with pytest.raises(ValueError, match="restore.. got a=Mean, but the logger"):
        checkpoint.restore(manager, None, logger, a=jm.Mean("loss"))
    checkpoint.args(logger, a=logger.attached["a"])


def test_without_a_checkpoint_the_logger_begins_afresh_too(manager, make_logger):
    for _ in range(3):  # preempted twice before the first checkpoint
        logger = make_logger()
        log = jm.MetricsLog.open(logger.run_dir / "log.jsonl")
        logger.attach(log=log)
        checkpoint.restore(manager, None, logger)
        for step in (1, 2, 3):
            logger.log_step(step, loss=1.0)
            log.record(entry(step))
        logger.flush()
    assert steps(logger) == [1, 2, 3]
    assert [e.step for e in log] == [1, 2, 3]
    moved = [path.name for path in logger.run_dir.glob("*.after-*")]
    assert sum(name.startswith("log.jsonl") for name in moved) == 2
    assert sum(name.startswith("metrics.jsonl") for name in moved) == 2


def test_values_that_an_object_logs_when_it_is_saved_are_in_the_checkpoint(
    manager, make_logger
):
    for attempt in (1, 2):
        logger = make_logger()
        config = jm.TelemetryConfig(collect_every_n=1)
        with jm.TrainingTelemetry(config, logger=logger) as telemetry:
            if attempt == 2:
                checkpoint.restore(manager, None, logger)
            telemetry.on_batch_end(
                {"grad/rms": 1.0}, step=attempt, batch_idx=0, epoch=0
            )
            if attempt == 1:
                save(manager, 1, logger)
                logger.log_step(2, loss=1.0)
    logger.flush()
    assert jm.Run.load(logger.run_dir)["grad/rms"][0].tolist() == [1, 2]
