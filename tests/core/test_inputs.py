"""Outputs become arrays of 32-bit types, and no integer is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

WIDE = {  # 64-bit integers whose low 32 bits are other valid ones; value, and in place
    "sum": (jm.Sum("x"), dict(x=[2**32 + 1, 2]), 2**32 + 3),
    "max": (jm.Max("x"), dict(x=[2**32 + 1, 2]), 2**31 - 1),
    "min": (jm.Min("x"), dict(x=[-(2**32) - 1, 2]), -(2**31)),
    "last": (jm.Last("x"), dict(x=[2, 2**32 + 1]), 2**31 - 1),
    "binary labels": (
        jm.Accuracy(task="binary", scores="preds"),
        dict(preds=[1, 0], labels=[2**32 + 1, 0]),
        1.0,
    ),
    "groups": (
        jm.ByGroup(jm.Sum("x"), groups=2),
        dict(x=[5, 7], domain=[2**32 + 1, 1]),
        {"0": 0, "1": 7},
    ),
}


@pytest.mark.filterwarnings("ignore:Entries that could not be scored")
@pytest.mark.parametrize("name", WIDE)
def test_integers_of_64_bits_are_refused_on_devices_and_not_cut_under_jit(name):
    metric, outputs, value = WIDE[name]
    with jax.enable_x64(True):
        outputs = {key: jnp.asarray(x, jnp.int64) for key, x in outputs.items()}
        with pytest.raises(ValueError, match="has integers beyond 32 bits"):
            metric.update(**outputs)
        assert jax.jit(lambda o: metric.update(**o))(outputs).compute() == value


@pytest.mark.parametrize("kind", ["on device", "under jit"])
def test_integers_of_64_bits_sum_exactly(kind):
    with jax.enable_x64(True):
        values = jnp.asarray([2**24 + 1, 2**24 + 1], jnp.int64)
        if kind == "on device":
            assert jm.evaluate(jm.Sum("x"), x=values) == 2**25 + 2
            return
        for metric in (jm.Sum("x"), jm.Sum("x").reproducible()):
            state = jax.jit(lambda x, m=metric: m.update(x=x))(values)
            assert state.compute() == 2**25 + 2


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_a_list_of_arrays_is_one_array(array):
    logits = [array([[2.0, 1.0]]), array([[0.0, 1.0]])]
    labels, mask = [array([0]), array([0])], [array([True]), array([False])]
    state = jm.Accuracy().update(logits=logits, labels=labels, mask=mask)
    assert state.compute() == 1
    assert state.plain()["total"] == 1


def test_arrays_that_differ_in_shape_are_a_tree():
    from jaxmetrics.core import as_32bit

    tree = [np.ones(2, np.float64), np.ones(3, np.float64)]
    read = as_32bit("grads", tree)
    assert [x.shape for x in read] == [(2,), (3,)]
    pair = as_32bit("pair", (np.ones(2, bool), np.ones(2, np.float32)))
    assert isinstance(pair, tuple) and pair[0].dtype == bool
