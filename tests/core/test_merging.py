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
    "windows": jm.ByGroup(jm.Windowed(jm.Mean("v"), 2), by="group", groups=2),
    "best": jm.BestOf(jm.Mean("v")),
    "collection": jm.Collection(loss=jm.Mean("v"), n=jm.Count("v")),
}
OUTPUTS = dict(v=LOSSES, valid=LOSSES > 2, group=np.arange(12) % 2)

every_metric = pytest.mark.parametrize("name", METRICS)


def state_of(name):
    metric = METRICS[name]
    return metric.update(**metric.reads().select(OUTPUTS))


def scaled(factor):
    return OUTPUTS | dict(v=LOSSES * np.float32(factor))


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


@every_metric
def test_ensembles_merge_member_by_member(name):
    metric = METRICS[name]
    states = [metric.empty(), state_of(name)]
    for i in (1, 2):  # members that differ
        states.append(states[-1].update(**metric.reads().select(scaled(10 * i))))

    def stacked(members):
        return jax.tree.map(lambda *x: jnp.stack(x), *members)

    first, second = states[1:3], states[2:4]
    merged = stacked(first).merge(stacked(second)).compute()
    expected = [a.merge(b).compute() for a, b in zip(first, second)]
    jax.tree.map(
        lambda x, *members: np.testing.assert_allclose(x, members, rtol=1e-6),
        merged,
        *expected,
    )


def test_a_stack_of_windows_is_not_updated_as_one():
    stack = stack_of(state_of("window"))
    with pytest.raises(ValueError, match=r"stack of windows of shape \(2,\).*jax.vmap"):
        stack.update(v=LOSSES)


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
