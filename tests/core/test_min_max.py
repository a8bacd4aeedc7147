"""The smallest and largest value over single updates."""

import math

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from support.forms import mesh_of

import jaxmetrics as jm

BATCHES = ([3.0, 5.0], [1.0, 3.0], [9.0, 1.0])


def after(batches, metric=jm.MinMax(jm.Mean("loss"))):  # noqa: B008
    for loss in batches:
        metric = metric.update(loss=loss)
    return metric


def test_extremes_are_those_of_single_updates():
    value = after(BATCHES).compute()
    assert value == {"value": pytest.approx(22 / 6), "min": 2.0, "max": 5.0}


def test_one_update_is_both_extremes():
    assert after(BATCHES[:1]).compute() == {"value": 4.0, "min": 4.0, "max": 4.0}
    single = jm.MinMax(jm.Mean("loss")).from_model_output(loss=[3.0, 5.0])
    assert single.compute() == {"value": 4.0, "min": 4.0, "max": 4.0}


def test_nothing_is_nan_and_an_update_without_data_does_not_count():
    assert all(map(math.isnan, jm.MinMax(jm.Mean("loss")).compute().values()))
    state = after(BATCHES).update(loss=[0.0], mask=[False])
    assert state.compute() == after(BATCHES).compute()
    state = jm.MinMax(jm.Sum("loss")).update(loss=[-1.0])
    assert state.compute() == {"value": -1.0, "min": -1.0, "max": -1.0}


def test_merge_is_commutative_and_associative():
    a, b, c = (after([batch]) for batch in BATCHES)
    value = after(BATCHES).compute()
    for state in (a.merge(b).merge(c), c.merge(a.merge(b)), b.merge(c).merge(a)):
        assert state.compute() == value


def test_an_infinite_value_is_an_extreme():
    value = after([[np.inf], [2.0]]).compute()
    assert value == {"value": math.inf, "min": 2.0, "max": math.inf}


def test_it_has_no_deferred_form():
    with pytest.raises(TypeError, match="MinMax has no deferred form.*whole batches"):
        jm.MinMax(jm.Mean("loss")).deferred(mesh_of())


def test_a_value_that_is_not_one_number_is_refused():
    recall = jm.Recall(classes=2, average="none")
    outputs = dict(logits=np.eye(2, dtype=np.float32), labels=[0, 1])
    wrong = r"MinMax needs a metric that computes one number, but Recall computes an ar"
    with pytest.raises(ValueError, match=wrong):
        jm.MinMax(recall).update(**outputs)
    with pytest.raises(ValueError, match="ByGroup computes several"):
        jm.MinMax(jm.ByGroup(jm.Mean("x"))).update(x=[1.0], domain=[0])


def test_two_batches_that_are_merged_are_two_updates():
    total = jm.MinMax(jm.Sum("loss"))
    state = total.from_model_output(loss=1.0).merge(total.from_model_output(loss=2.0))
    expected = {"value": 3.0, "min": 1.0, "max": 2.0}
    assert state.compute() == state.merge(total).compute() == expected


@pytest.mark.parametrize("metric", [jm.MinMax, jm.BestOf])
def test_a_part_of_an_update_is_refused_in_shard_map(metric):
    """The value of each device's rows is not that of the update."""
    state, loss = metric(jm.Mean("loss")), np.arange(8.0, dtype=np.float32)

    def total(state, loss):
        return state.update(loss=loss).reduce("data")

    program = jax.shard_map(
        total, mesh=mesh_of(), in_specs=(P(), P("data")), out_specs=P()
    )
    with pytest.raises(ValueError, match=r"Reduce the update, then merge it"):
        jax.jit(program)(state, loss)
