"""The largest values: ties, infinities, NaN, any split."""

import jax
import numpy as np
import pytest
from support.samples import observed

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


def rows(state):
    computed = state.compute()
    return list(zip(computed["values"].tolist(), computed["ids"].tolist()))


@pytest.mark.parametrize("batches", [1, 4, 20])
def test_ties_are_kept_by_the_lowest_ids_under_any_split(batches):
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 3, 200).astype(np.float32)
    ids = rng.permutation(200).astype(np.int32)
    state = observed(jm.Worst(k=50), batches, values=values, ids=ids)
    right = sorted(zip((-values).tolist(), ids.tolist()))[:50]
    assert rows(state) == [(-value, number) for value, number in right]


def test_infinities_are_ordered_and_nan_is_invalid():
    values = np.float32([-INF, -0.0, 1e-45, INF, NAN, 0.0, -1.0])
    state = jm.Worst(k=8).update(values=values, ids=np.arange(7))
    order = [number for _, number in rows(state)]
    assert order[:1] == [3] and order[-4:] == [6, 0, -1, -1]
    assert state.diagnostics() == dict(invalid=1)
    assert np.isnan(state.compute()["values"][-2:]).all()


def test_nothing_and_masked_rows():
    empty = jm.Worst(k=1)
    assert np.isnan(empty.compute()["values"]).all()
    outputs = dict(values=[NAN, 1.0], ids=[7, 8])
    state = empty.update(**outputs, mask=[False, True])
    assert rows(state) == [(1, 8)] and state.diagnostics() == {}


def test_negative_ids_are_ids():
    state = jm.Worst(k=2).update(values=[1.0, 2.0], ids=[-1, -5])
    assert rows(state) == [(2, -5), (1, -1)]


def test_under_jit_it_is_the_same():
    state = jm.Worst(k=2).update(values=[1.0, 2.0, 3.0], ids=[0, 1, 2])
    computed = jax.jit(lambda state: state.compute())(state)
    assert computed["values"].tolist() == [3, 2] and computed["ids"].tolist() == [2, 1]


def test_bad_configurations_and_ids_are_refused():
    with pytest.raises(ValueError, match="Worst: k is 0"):
        jm.Worst(k=0)
    with pytest.raises(ValueError, match="each value needs an id"):
        jm.Worst().update(values=[1.0, 2.0], ids=[1])
    with pytest.raises(TypeError, match="ids must be integers"):
        jm.Worst().update(values=[1.0], ids=[1.0])
