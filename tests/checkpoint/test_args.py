"""What `checkpoint.args` saves is taken within `manager.save`, if orbax saves."""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.record import dumps, pack

PYTREE, STANDARD = ocp.PyTreeCheckpointHandler, ocp.StandardCheckpointHandler


class Counter:
    """An object with a state; it counts how often that is taken."""

    def __init__(self, value=0):
        self.value, self.taken = value, 0

    def state(self):
        self.taken += 1
        return {"value": self.value}

    def load_state(self, state):
        self.value = state["value"]


class Failing(Counter):
    def state(self):
        raise LookupError("no such state")


class CountingLogger(jm.TrainingLogger):
    flushes = 0

    def flush(self, timeout=30.0):
        self.flushes += 1
        return super().flush(timeout)


def registry():
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for args in (ocp.args.PyTreeSave, ocp.args.PyTreeRestore):
        handlers.add("jaxmetrics", args)
    return handlers


def options(**more):
    return dict(options=ocp.CheckpointManagerOptions(**more))


MANAGERS = {
    "plain": dict,
    "synchronous": lambda: options(enable_async_checkpointing=False),
    "item names": lambda: dict(item_names=("jaxmetrics", "state")),
    "item handlers": lambda: dict(
        item_handlers={"jaxmetrics": PYTREE(), "state": STANDARD()}
    ),
    "handler registry": lambda: dict(handler_registry=registry()),
}


def composite(item, weights=3.0):
    state = ocp.args.StandardSave({"w": jnp.full(3, weights)})
    return ocp.args.Composite(jaxmetrics=item, state=state)


@pytest.mark.parametrize("kind", MANAGERS)
def test_managers_of_all_kinds_save_and_restore(tmp_path, kind):
    metrics = jm.Collection(loss=jm.Mean("loss")).update(loss=[1.0, 2.0])
    with ocp.CheckpointManager(tmp_path, **MANAGERS[kind]()) as manager:
        item = checkpoint.args(None, metrics=metrics, counter=Counter(7))
        manager.save(1, args=composite(item))
        manager.wait_until_finished()
    with ocp.CheckpointManager(tmp_path, **MANAGERS[kind]()) as manager:
        counter = Counter()
        restored = checkpoint.restore(
            manager, 1, None, metrics=metrics.empty(), counter=counter
        )
        weights = manager.restore(
            1, args=ocp.args.Composite(state=ocp.args.StandardRestore())
        )["state"]["w"]
    assert restored["metrics"].compute()["loss"] == 1.5
    assert restored["counter"] is counter and counter.value == 7
    assert weights.tolist() == [3.0, 3.0, 3.0]


def test_it_may_be_the_only_item(tmp_path):
    for first_use in (True, False):
        with ocp.CheckpointManager(tmp_path) as manager:
            if first_use:
                manager.save(1, args=checkpoint.args(None, counter=Counter(7)))
                manager.wait_until_finished()
            counter = Counter()
            checkpoint.restore(manager, None, None, counter=counter)
            assert counter.value == 7


def test_a_step_without_the_item_is_refused_by_name(tmp_path):
    with ocp.CheckpointManager(tmp_path) as manager:
        state = ocp.args.StandardSave({"w": jnp.ones(3)})
        manager.save(1, args=ocp.args.Composite(state=state))
        manager.wait_until_finished()
        with pytest.raises(KeyError, match="step 1.*state.*resume_step=1"):
            checkpoint.restore(manager, 1, None, counter=Counter())


def test_steps_that_orbax_does_not_save_cost_nothing(tmp_path):
    counter, metrics = Counter(), jm.Mean("loss").update(loss=[1.0])
    logger = CountingLogger("p", "r", tmp_path, writers=[jm.writers.JSONL()])
    interval = options(save_interval_steps=4)
    with logger, ocp.CheckpointManager(tmp_path / "saved", **interval) as manager:
        saved = []
        for step in range(1, 10):
            logger.log_step(step, loss=1.0)
            item = checkpoint.args(logger, metrics=metrics, counter=counter)
            saved.append(manager.save(step, args=composite(item)))
        assert saved == [step in (1, 4, 8) for step in range(1, 10)]
        assert (counter.taken, logger.flushes) == (3, 3)


def test_the_state_is_that_of_the_call_of_save(tmp_path):
    counter, metrics = Counter(1), jm.Mean("loss").update(loss=[1.0, 3.0])
    with ocp.CheckpointManager(tmp_path) as manager:
        item = checkpoint.args(None, metrics=metrics, counter=counter)
        counter.value = 2
        manager.save(1, args=composite(item))
        counter.value = 3
        jax.tree.map(lambda x: x.delete(), metrics)  # as a step that donates them
        manager.wait_until_finished()
        restored = checkpoint.restore(
            manager, 1, None, metrics=jm.Mean("loss"), counter=counter
        )
    assert counter.taken == 1 and counter.value == 2
    assert restored["metrics"].compute() == 2.0


def test_an_error_of_a_state_ends_the_save_as_it_is(tmp_path):
    with ocp.CheckpointManager(tmp_path) as manager:
        with pytest.raises(LookupError, match="^no such state$"):
            manager.save(1, args=composite(checkpoint.args(None, bad=Failing())))
        with pytest.raises(TypeError, match=r"pack\(\) got a set") as error:
            item = checkpoint.args(None, bad=Counter({1, 2}))
            manager.save(2, args=composite(item))
        assert error.value.__notes__ == ["checkpoint.args() saves the state of 'bad'."]
        losses = jm.LossTracker()
        losses.update(loss=(donated := jax.jit(lambda: jnp.ones(()))()))
        losses._pending.append({"loss": donated})
        donated.delete()
        with pytest.raises(RuntimeError, match="'loss'.*cannot be fetched"):
            manager.save(3, args=composite(checkpoint.args(None, losses=losses)))
        assert manager.save(4, args=composite(checkpoint.args(None, c=Counter())))
        manager.wait_until_finished()
        assert manager.all_steps() == [4]


def test_a_checkpoint_of_an_earlier_version_is_restored(tmp_path):
    metric = jm.Mean("loss").update(loss=[1.0, 3.0])
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", jm.AggregationType.SUM, tokens=[2, 3])
    form = jm.core.saved_form(metric)
    host = {
        "schema": 1,
        "logger": None,
        "pytrees": {"metric": form.layout},
        "objects": ["aggregator"],
    }
    tree = {
        "host": np.frombuffer(dumps(host).encode(), np.uint8),
        "tree_metric": dict(form.arrays),
        "object_aggregator": np.frombuffer(pack(aggregator.state_dict()), np.uint8),
    }
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=composite(ocp.args.PyTreeSave(tree)))
        manager.wait_until_finished()
        restored = jm.MetricsAggregator()
        items = checkpoint.restore(
            manager, 1, None, metric=jm.Mean("loss"), aggregator=restored
        )
        item = checkpoint.args(None, metric=metric, aggregator=aggregator)
        manager.save(2, args=composite(item))
        manager.wait_until_finished()
        earlier, later = (
            (tmp_path / step / "jaxmetrics" / "_METADATA").read_text() for step in "12"
        )
    assert items["metric"].compute() == 2.0
    assert restored.get_metrics_for_logging()["train_d/tokens"] == 5.0
    assert earlier == later, "the item has the structure of earlier versions"


def test_numbers_of_a_tree_come_back_as_numbers(tmp_path):
    tree = {"position": 123, "rate": 1.5, "on": True, "w": np.arange(3)}
    template = {"position": 0, "rate": 0.0, "on": False, "w": np.zeros(3, int)}
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=composite(checkpoint.args(None, tree=tree)))
        manager.wait_until_finished()
        restored = checkpoint.restore(manager, 1, None, tree=template)["tree"]
    assert restored.pop("w").tolist() == [0, 1, 2]
    assert restored == {"position": 123, "rate": 1.5, "on": True}
    assert list(map(type, restored.values())) == [bool, int, float]
