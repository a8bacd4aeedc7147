"""Values that `compute` sees, and how metrics are shown."""

import jax
import jax.numpy as jnp
import numpy as np
from support.metrics import Positives

import jaxmetrics as jm


def test_compute_sees_integers_and_float64_on_the_host_and_float32_in_jit():
    state = Positives().update(values=[0.25]).replace(count=2**53 + 1)
    assert state.compute()["count"] == 2**53 + 1
    assert state.compute()["root"].dtype == np.float64
    inside = jax.jit(lambda m: m.compute())(state)
    assert inside["root"].dtype == jnp.float32 and inside["root"] == 0.5


def test_repr_is_the_call_then_what_was_counted():
    assert repr(jm.TopKAccuracy(k=5)) == "TopKAccuracy(k=5)"
    assert repr(jm.Mean("loss")) == "Mean('loss')"
    assert repr(Positives().on(values="x")) == "Positives().on(values='x')"
    seen = jm.Mean("loss").update(loss=[1.0, 2.0])
    assert repr(seen) == "Mean('loss', total=3.0, count=2)"
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), seen)
    assert repr(stacked) == "Mean('loss', total=float32[2, 2], count=uint32[2, 2])"
    shown = []
    jax.eval_shape(lambda m: shown.append(repr(m)) or m, seen)
    assert shown == ["Mean('loss', total=traced, count=traced)"]


def test_a_donated_state_is_shown_as_such():
    state = jm.Count().place(jax.sharding.Mesh(np.array(jax.devices()), "d"))
    jax.jit(lambda m: m.update(values=1.0), donate_argnums=0)(state)
    assert repr(state) == "Count(count=donated)"
