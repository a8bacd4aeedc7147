"""States add up only if they have the same leading axes."""

import clu.metrics
import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.forms import mesh_of

import jaxmetrics as jm

LOSSES = np.arange(12.0, dtype=np.float32)
METRICS = {
    "sum and count": jm.Mean("v"),
    "moments": jm.Std("v"),
    "extreme": jm.Max("v"),
    "own merge": jm.Last("v"),
    "child": jm.Masked(jm.Mean("v"), mask="valid"),
    "children": jm.ByGroup(jm.Mean("v"), by="group", groups=2),
    "window": jm.Windowed(jm.Mean("v"), window=3),
    "best": jm.BestOf(jm.Mean("v")),
    "collection": jm.Collection(loss=jm.Mean("v"), n=jm.Count("v")),
}
OUTPUTS = dict(v=LOSSES, valid=LOSSES > 2, group=np.arange(12) % 2)

every_metric = pytest.mark.parametrize("name", METRICS)


def state_of(name):
    metric = METRICS[name]
    return metric.update(**metric.reads().select(OUTPUTS))


def stack_of(state, count=2):
    return jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * count), state)


@every_metric
def test_a_total_does_not_merge_with_a_stack(name):
    state = state_of(name)
    for a, b in ((state, stack_of(state)), (stack_of(state), state)):
        with pytest.raises(ValueError, match=r"of different shapes: .*\.reduce\(\)"):
            a.merge(b)
        with pytest.raises(ValueError, match="of different shapes"):
            jax.jit(lambda a, b: a.merge(b))(a, b)


def test_the_refusal_names_the_metric_the_leaf_and_both_shapes():
    message = (
        r"Cannot merge states of Mean\('loss'\) of different shapes: 'total' is "
        r"\(2,\) in one and \(8, 2\) in the other\. If one is a stack of states that "
        r"were not reduced yet, merge with its \.reduce\(\)\."
    )
    with pytest.raises(ValueError, match=message):
        jm.Mean("loss").merge(stack_of(jm.Mean("loss"), 8))


def test_shards_merge_into_a_total_after_their_reduction():
    total = jm.Mean("v").update(v=np.float32([100.0]))
    shards = jax.vmap(lambda v: jm.Mean("v").from_model_output(v=v))(
        LOSSES.reshape(4, 3)
    )
    merged = total.merge(shards.reduce())
    assert merged.compute() == 166 / 13


def test_ensembles_merge_member_by_member():
    ensemble = stack_of(jm.Mean("v").update(v=LOSSES), 3)
    merged = ensemble.merge(ensemble)
    np.testing.assert_array_equal(merged.plain()["count"], [24, 24, 24])


def test_one_member_does_not_broadcast_over_an_ensemble():
    state = jm.Mean("v").update(v=LOSSES)
    with pytest.raises(ValueError, match=r"is \(3, 2\) in one and \(1, 2\)"):
        stack_of(state, 3).merge(stack_of(state, 1))


def test_deferred_states_of_different_shapes_do_not_merge():
    deferred = jm.Mean("v").deferred(mesh_of())
    half = jax.tree.map(lambda x: x[:4], deferred)
    with pytest.raises(ValueError, match=r"is \(8, 2\) in one and \(4, 2\)"):
        deferred.merge(half)


def test_a_collection_of_clu_does_not_merge_a_total_with_a_stack():
    @flax.struct.dataclass
    class Metrics(clu.metrics.Collection):
        loss: jm.Mean("v")

    total = Metrics.single_from_model_output(v=LOSSES)
    with pytest.raises(ValueError, match=r"merge with its \.reduce\(\)"):
        total.merge(stack_of(total))
