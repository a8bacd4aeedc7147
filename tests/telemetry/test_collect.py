"""What is collected in a step, in some steps only, and inside optimizers."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.telemetry import collect, learning_rates, monitor, monitored, norms

PARAMS = {"body": {"w": jnp.ones((4, 4))}, "head": {"w": jnp.full(8, 2.0)}}
GRADS = jax.tree.map(lambda x: 0.5 * x, PARAMS)
LABELS = {"body": "slow", "head": "fast"}


def injected(rate, make=optax.sgd):
    return optax.inject_hyperparams(make)(learning_rate=rate)


def updated(tx, times=1):
    """The state after some updates in jit, each of which keeps its structure."""
    state, update = tx.init(PARAMS), jax.jit(tx.update)
    before = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), state)
    for _ in range(times):
        _, state = update(GRADS, state, PARAMS)
        assert before == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    return state


# Collecting


def test_only_collecting_steps_measure():
    @jax.jit
    def step(count):
        return collect(count, grads=GRADS, params=PARAMS, every=200)

    for count in (0, 1, 199, 200):
        found = step(count)
        on = bool(found.pop("health/collected"))
        assert on == (count in (0, 200))
        for key, value in norms(grads=GRADS, params=PARAMS).items():
            expected = value if on else np.nan
            np.testing.assert_allclose(found[key], expected, rtol=1e-6, err_msg=key)
    assert step._cache_size() == 1


def test_an_idle_step_runs_none_of_the_work():
    tree = {f"w{i}": jax.ShapeDtypeStruct((64, 33), np.float32) for i in range(3)}

    def step(count, grads):
        return collect(count, grads=grads, every=200)

    text = jax.jit(step).lower(jnp.int32(0), tree).compile().as_text()
    computations = re.split(r"\n(?=\S)", text)
    (entry,) = [part for part in computations if part.startswith("ENTRY")]
    (branches,) = re.findall(r"conditional\(.*", entry)
    assert "reduce" not in entry.replace(branches, "")
    assert "reduce" in text  # else the line above would see nothing in any program


def test_learning_rates_are_collected_too():
    state = updated(injected(0.25))
    found = collect(0, opt_state=state)
    assert found["lr/lr"] == 0.25 and set(found) == {"lr/lr", "health/collected"}
    assert np.isnan(collect(1, opt_state=state)["lr/lr"])


def test_collecting_nothing_or_never_is_refused():
    with pytest.raises(ValueError, match="nothing to measure"):
        collect(0)
    with pytest.raises(ValueError, match="every=0"):
        collect(0, grads=GRADS, every=0)
    with pytest.raises(ValueError, match="every=-1"):
        monitor(every=-1)


# Optimizers


def test_a_monitor_around_an_optimizer_sees_all_three():
    found = monitored(updated(monitor(around=optax.sgd(0.1))))
    updates = jax.tree.map(lambda x: -0.1 * x, GRADS)
    reference = norms(GRADS, updates, PARAMS)
    assert found.keys() == reference.keys()
    for key, value in reference.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-6, err_msg=key)


def test_a_monitor_changes_no_update():
    plain, seen = optax.adam(0.1), monitor(around=optax.adam(0.1))
    expected, _ = plain.update(GRADS, plain.init(PARAMS), PARAMS)
    found, _ = seen.update(GRADS, seen.init(PARAMS), PARAMS)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_last_in_a_chain_it_sees_updates_and_params():
    tx = optax.chain(optax.scale(-3.0), monitor(groups={"head": "head/**"}))
    found = monitored(updated(tx))
    assert {key.split("/")[0] for key in found} == {"update", "param"}
    assert found["update/ratio/head"] == pytest.approx(1.5)


def test_between_two_measurements_the_last_one_is_kept():
    tx = optax.chain(monitor(groups={}, every=2))
    state, seen = tx.init(PARAMS), []
    for factor in (1.0, 2.0, 3.0, 4.0):
        grads = jax.tree.map(lambda x, f=factor: f * x, PARAMS)
        _, state = jax.jit(tx.update)(grads, state, PARAMS)
        seen.append(float(monitored(state)["update/ratio"]))
    np.testing.assert_allclose(seen, [np.nan, 2, 2, 4], rtol=1e-6)


def test_without_params_what_needs_them_is_nan():
    tx = monitor(groups={})
    _, state = tx.update(GRADS, tx.init(PARAMS))
    found = monitored(state)
    assert np.isfinite(found["update/norm"]) and np.isnan(found["param/norm"])
    assert np.isnan(found["update/ratio"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.MultiSteps(optax.chain(tx, monitor()), 2),
        lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx, monitor(every=3)),
        lambda tx: optax.apply_if_finite(monitor(around=tx), 3),
        lambda tx: optax.multi_transform({"slow": tx, "fast": monitor()}, LABELS),
    ],
    ids=["MultiSteps", "chain", "apply_if_finite", "multi_transform"],
)
def test_the_state_keeps_its_structure_inside_other_optimizers(wrap):
    tx = optax.with_extra_args_support(wrap(optax.adamw(0.1)))
    assert any(np.isfinite(x) for x in monitored(updated(tx, times=4)).values())


def test_monitors_under_labels_are_told_apart():
    tx = optax.multi_transform({"slow": monitor({}), "fast": monitor({})}, LABELS)
    found = monitored(updated(tx))
    assert found["param/norm/slow"] == 4
    assert found["param/norm/fast"] == pytest.approx(2 * 8**0.5)
    with pytest.raises(ValueError, match="no monitor"):
        monitored(optax.sgd(0.1).init(PARAMS))


# Learning rates


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (injected(0.5, optax.adam), {"lr/lr": 0.5}),
        (optax.chain(optax.clip(1.0), injected(0.5)), {"lr/lr": 0.5}),
        (optax.MultiSteps(injected(0.5), 2), {"lr/lr": 0.5}),
        (optax.masked(injected(0.5), {"body": True, "head": False}), {"lr/lr": 0.5}),
        (
            optax.multi_transform(
                {"slow": injected(0.1), "fast": injected(1.0)}, LABELS
            ),
            {"lr/slow": 0.1, "lr/fast": 1.0},
        ),
        (optax.named_chain(("a", injected(0.5)), ("b", optax.sgd(1.0))), {"lr/a": 0.5}),
        (optax.chain(injected(0.5), injected(0.25)), {"lr/lr": 0.5, "lr/lr_1": 0.25}),
        (optax.sgd(0.5), {}),
    ],
    ids="plain chain MultiSteps masked multi_transform named_chain two none".split(),
)
def test_injected_learning_rates_are_found(tx, expected):
    found = jax.jit(learning_rates)(updated(optax.with_extra_args_support(tx)))
    assert {key: float(x) for key, x in found.items()} == pytest.approx(expected)


def test_a_schedule_and_an_injected_one_name_the_rate_of_the_last_update():
    schedule = optax.linear_schedule(1.0, 0.0, 10)
    for times, rate in {1: 1.0, 3: 0.8}.items():
        plain = updated(optax.adam(schedule), times)
        assert learning_rates(plain, schedule)["lr/lr"] == pytest.approx(rate)
        keeps = updated(injected(schedule, optax.adam), times)
        assert learning_rates(keeps)["lr/lr"] == pytest.approx(rate)


def test_schedules_by_label():
    slow, fast = (optax.linear_schedule(x, 0.0, 10) for x in (0.1, 1.0))
    tx = {"slow": optax.sgd(slow), "fast": optax.sgd(fast)}
    state = updated(optax.multi_transform(tx, LABELS), 2)
    found = learning_rates(state, {"slow": slow, "fast": fast})
    assert found == {"lr/slow": pytest.approx(0.09), "lr/fast": pytest.approx(0.9)}
    with pytest.raises(ValueError, match=r"of \['other'\].*\['fast', 'slow'\]"):
        learning_rates(state, {"other": slow})
    with pytest.raises(ValueError, match=r"counts the steps of schedules of \[\]"):
        learning_rates(optax.sgd(0.5).init(PARAMS), slow)


def test_the_optimizer_of_nnx_is_read_as_well():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    tx = optax.chain(injected(0.5), monitor(groups={}))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    assert float(learning_rates(optimizer.opt_state)["lr/lr"]) == 0.5
    seen = monitored(optimizer.opt_state)
    assert seen["update/norm"] == pytest.approx(0.5 * 6**0.5)


def test_in_a_sharded_step_all_statistics_are_one_exchange():
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
    given = params, jax.jit(tx.init)(params), jnp.int32(0), x

    def has(collecting):
        text = step.lower(*given, collecting).compile().as_text()
        kinds = re.findall(r" (all-[a-z]+|reduce-scatter)(?:-start)?\(", text)
        return Counter(kinds)

    assert has(True) - has(False) == Counter({"all-reduce": 1})
