"""Statistics of a step are computed every N steps."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.training import GRADS, PARAMS, injected, updated

from jaxmetrics.telemetry import collect, norms


def test_statistics_are_nan_between_two_collections():
    @jax.jit
    def step(count):
        return collect(count, grads=GRADS, params=PARAMS, every=200)

    for count in (0, 1, 199, 200):
        values = step(count)
        collected = bool(values.pop("health/collected"))
        assert collected == (count in (0, 200))
        for key, value in norms(grads=GRADS, params=PARAMS).items():
            expected = value if collected else np.nan
            np.testing.assert_allclose(values[key], expected, rtol=1e-6, err_msg=key)
    assert step._cache_size() == 1


def test_a_step_between_two_collections_runs_no_reduction():
    tree = {f"w{i}": jax.ShapeDtypeStruct((64, 33), np.float32) for i in range(3)}

    def step(count, grads):
        return collect(count, grads=grads, every=200)

    text = jax.jit(step).lower(jnp.int32(0), tree).compile().as_text()
    computations = re.split(r"\n(?=\S)", text)
    (entry,) = [part for part in computations if part.startswith("ENTRY")]
    (branches,) = re.findall(r"conditional\(.*", entry)
    assert "reduce" not in entry.replace(branches, "")
    assert "reduce" in text  # otherwise the assertion above could not fail


def test_learning_rates_are_collected_too():
    state = updated(injected(0.25))
    values = collect(0, opt_state=state)
    assert values["lr/lr"] == 0.25 and set(values) == {"lr/lr", "health/collected"}
    assert np.isnan(collect(1, opt_state=state)["lr/lr"])


def test_no_tree_and_a_period_below_1_are_refused():
    with pytest.raises(ValueError, match="nothing to measure"):
        collect(0)
    with pytest.raises(ValueError, match="every=0"):
        collect(0, grads=GRADS, every=0)


def test_a_sharded_step_adds_one_all_reduce_for_all_statistics():
    mesh = Mesh(np.array(jax.devices()), ("fsdp",))
    sharded = NamedSharding(mesh, P("fsdp"))
    params = jax.device_put(
        {f"w{i}": np.ones((64, 64), "f4") for i in range(3)}, sharded
    )
    x = jax.device_put(np.ones((16, 64), np.float32), sharded)
    tx = optax.adam(1e-3)

    def step(params, state, count, x, collecting):
        def loss(params):
            return sum((x @ w).mean() for w in params.values())

        grads = jax.grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        trees = dict(grads=grads, updates=updates, params=params)
        return params, state, collect(count, **trees) if collecting else {}

    step = jax.jit(step, donate_argnums=(0, 1), static_argnums=4)
    arguments = params, jax.jit(tx.init)(params), jnp.int32(0), x

    def collectives(collecting):
        text = step.lower(*arguments, collecting).compile().as_text()
        kinds = re.findall(r" (all-[a-z]+|reduce-scatter)(?:-start)?\(", text)
        return Counter(kinds)

    assert collectives(True) - collectives(False) == Counter({"all-reduce": 1})
