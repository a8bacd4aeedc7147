"""Parts of a sample, merged in hundreds of orders and groupings, are one sample."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from support.figures import figure, seed
from support.laws import assert_value, draw, host

import jaxmetrics as jm

PARTS, ROWS = 8, 64
LAWS = {"associativity", "commutativity", "permutation", "identity in bits"}
CASES = [case for case in cases.sample(43) if not LAWS & case.without.keys()]
ORDERS = figure(500, 5000)


class Careless(jm.Metric):
    """A mean of means, as a control: how it is merged shows."""

    mean: jm.Array = jm.leaf()

    def observe(self, *, values, mask=None):
        return dict(mean=jnp.mean(values))

    def merge(self, other):
        return self.replace(mean=(self.mean + other.mean) / 2)

    def compute(self):
        return self.mean


@jax.jit
def observed(metrics, outputs):
    """The states of the parts of each metric's outputs, stacked."""

    def states(metric, outputs):
        return jax.vmap(lambda given: metric.from_model_output(**given))(outputs)

    return {name: states(metrics[name], given) for name, given in outputs.items()}


@jax.jit
def merged(metrics, states, orders, sizes):
    """The parts in each order, the first so many of them apart from the others."""

    def in_order(states, empty, order, size):
        def step(two, at):
            index, place = at
            part = jax.tree.map(lambda x: x[index], states)
            first, rest = two
            both = first.merge(part), rest.merge(part)
            early = place < size
            first = jax.tree.map(
                lambda new, old: jnp.where(early, new, old), both[0], first
            )
            rest = jax.tree.map(
                lambda new, old: jnp.where(early, old, new), both[1], rest
            )
            return (first, rest), None

        two, _ = lax.scan(step, (empty, empty), (order, jnp.arange(PARTS)))
        return two[0].merge(two[1])

    return {
        name: lax.map(
            lambda at, mine=mine, empty=metrics[name]: in_order(mine, empty, *at),
            (orders, sizes),
            batch_size=50,
        )
        for name, mine in states.items()
    }


def totals_of(metrics, outputs):
    """The totals of metrics, `[orders, ...]`; the first is in the rows' order."""
    rng = np.random.default_rng(seed())
    orders = np.stack([rng.permutation(PARTS) for _ in range(ORDERS)])
    orders[0] = np.arange(PARTS)
    sizes = rng.integers(0, PARTS + 1, ORDERS)
    parts = {
        name: {
            output: x.reshape(PARTS, ROWS // PARTS, *x.shape[1:])
            for output, x in given.items()
        }
        for name, given in outputs.items()
    }
    return host(merged(metrics, observed(metrics, parts), orders, sizes))


@pytest.fixture(scope="module")
def totals():
    metrics = {case.name: case.metric for case in CASES}
    return totals_of(metrics, {case.name: draw(case, ROWS) for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_order_and_grouping_gives_one_total(case, totals):
    total = totals[case.name]
    if case.by_value:
        values = total.compute()
        assert_value(case, values, np.broadcast_to(values[:1], np.shape(values)))
    elif case.exact:
        for leaf in jax.tree.leaves(total):
            bits = leaf.view(np.uint32) if leaf.dtype == np.float32 else leaf
            assert (bits == bits[:1]).all(), case.name
    else:
        for value in jax.tree.leaves(total.plain()):
            assert_value(case, value, np.broadcast_to(value[:1], np.shape(value)))


def test_a_mean_of_means_depends_on_the_order():
    values = np.arange(ROWS, dtype=np.float32)
    total = totals_of({"careless": Careless()}, {"careless": {"values": values}})
    assert len(np.unique(total["careless"].mean)) > min(ORDERS // 2, 1000)
