"""A metric of one's own that reads rows and not their mask is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from support.forms import mesh_of

import jaxmetrics as jm

VALUES, MASK = np.arange(16, dtype=np.float32), np.arange(16) < 13


class Total(jm.Metric):
    """A sum that forgets its mask if it is asked to."""

    careless: bool = False
    total: jm.Array = jm.sum_leaf()
    rows: jm.Array = jm.count_leaf()
    batches: jm.Array = jm.count_leaf()

    def observe(self, *, values, scale=1.0, mask=None):
        total = values.sum() if self.careless else jm.total(values * scale, mask)
        return dict(total=total, rows=jm.count_elements(values, mask), batches=1)

    def compute(self):
        return self.total


def forms():
    """Ways to observe one batch, by name; each returns the value."""

    def in_shard_map(metric):
        def update(v, m):
            return metric.from_model_output(values=v, mask=m).reduce("data")

        of_all = jax.shard_map(
            update, mesh=mesh_of(), in_specs=P("data"), out_specs=P()
        )
        return jax.jit(of_all)(VALUES, MASK).compute()

    outputs = dict(values=VALUES, mask=MASK)
    return {
        "evaluate": lambda metric: jm.evaluate(metric, **outputs),
        "jit": lambda m: jax.jit(lambda o: m.update(**o))(outputs).compute(),
        "collection": lambda m: jm.evaluate(jm.Collection(a=m), **outputs)["a"],
        "wrapped": lambda m: jm.evaluate(jm.Masked(m), **outputs, valid=MASK),
        "deferred": lambda m: m.deferred(mesh_of()).update(**outputs).compute(),
        "shard_map": in_shard_map,
    }


@pytest.mark.parametrize("form", forms())
def test_a_leaf_that_ignores_the_mask_is_named_in_every_form(form):
    observed = forms()[form]
    assert observed(Total()) == VALUES[:13].sum()
    message = r"Total.observe does not use 'mask' for leaf 'total'.*\['values'\]"
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            observed(Total(careless=True))


def test_without_a_mask_or_with_one_of_a_scalar_nothing_is_refused():
    careless = Total(careless=True)
    assert jm.evaluate(careless, values=VALUES) == VALUES.sum()
    assert jm.evaluate(careless, values=np.float32(2.0), mask=np.True_) == 2


def test_arrays_that_are_no_rows_need_no_mask():
    assert jm.evaluate(Total(), values=VALUES, scale=2.0, mask=MASK) == 156

    class Edges(jm.Metric):
        low: jm.Array = jm.min_leaf()
        count: jm.Array = jm.count_leaf()

        def observe(self, *, values, edges, mask=None):
            inside = values > edges[0]
            return dict(low=edges.min(), count=jm.count_where(inside, mask))

        def compute(self):
            return self.count

    assert jm.evaluate(Edges(), values=VALUES, edges=np.arange(3.0), mask=MASK) == 12


def test_an_array_of_the_classes_may_be_as_long_as_the_batch():
    class Costs(jm.Metric):
        largest: jm.Array = jm.max_leaf()
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, probs, costs, mask=None):
            return dict(largest=costs.max(), total=jm.total(probs @ costs, mask))

        def compute(self):
            return self.total

    for rows in (4, 3):  # of 3 classes
        probs, mask = np.full((rows, 3), 0.5), np.arange(rows) > 0
        value = jm.evaluate(Costs(), probs=probs, costs=np.ones(3), mask=mask)
        assert value == 1.5 * (rows - 1)


def test_a_mask_may_be_used_within_a_jitted_function_or_by_hand():
    @jax.jit
    def masked_sum(values, mask):
        return jnp.where(mask, values, 0).sum()

    class ByHand(jm.Metric):
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, values, mask=None):
            return dict(total=masked_sum(values, mask))

        def compute(self):
            return self.total

    assert jm.evaluate(ByHand(), values=VALUES, mask=MASK) == VALUES[:13].sum()


def test_a_mask_that_no_leaf_uses_is_refused_for_constants_too():
    class Size(jm.Metric):
        rows: jm.Array = jm.count_leaf()

        def observe(self, *, values, mask=None):
            return dict(rows=len(values))

        def compute(self):
            return self.rows

    assert jm.evaluate(Size(), values=VALUES) == 16
    with pytest.raises(ValueError, match="Size.observe does not use 'mask' for any"):
        jm.evaluate(Size(), values=VALUES, mask=MASK)
