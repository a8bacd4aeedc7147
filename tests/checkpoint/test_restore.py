"""A restore puts objects back in place; without a checkpoint the run begins afresh."""

import orbax.checkpoint as ocp
import pytest

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
