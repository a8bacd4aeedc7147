"""Contributions have the kind and shape that a leaf declares."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm


def test_a_contribution_of_another_shape_or_name_is_refused():
    class Wrong(jm.Metric, scalars=True):
        classes: int = 5
        counts: jm.Array = jm.count_leaf("classes classes")
        named: bool = True

        def observe(self, *, values):
            name = "counts" if self.named else "count"
            return {name: jnp.zeros(3, jnp.uint32)}

    message = r"Wrong.counts: has shape \(3,\) but is declared \(5, 5\) \(classes"
    with pytest.raises(ValueError, match=message):
        Wrong().update(values=1.0)
    with pytest.raises(TypeError, match=r"returned \['count'\]; the leaves are"):
        Wrong(named=False).update(values=1.0)


def test_a_leaf_has_a_32_bit_type():
    with pytest.raises(TypeError, match="got dtype float64; a leaf has a 32-bit type"):
        jm.leaf(dtype=np.float64)


def test_a_count_refuses_floats_and_negative_numbers():
    with pytest.raises(TypeError, match="Count.count: a count takes integers"):
        jm.Count().replace(count=0.5)
    with pytest.raises(ValueError, match="a count is never negative, got -1"):
        jm.Count().replace(count=-1)


def test_the_layout_of_leaves_is_derived_once_and_kept_by_copies():
    metric = jm.ConfusionMatrix(3)
    layout = metric._layout
    state = metric.update(logits=np.eye(3, dtype=np.float32), labels=[0, 1, 2])
    assert state._layout is layout and state.identity()._layout is layout
    assert metric.on(logits="x")._layout is not layout
