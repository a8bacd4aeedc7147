"""An optax transformation records statistics of updates."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from support.training import GRADS, LABELS, PARAMS, injected, updated

from jaxmetrics.telemetry import learning_rates, monitor, monitored, norms


def test_a_monitor_around_an_optimizer_measures_grads_updates_and_params():
    values = monitored(updated(monitor(around=optax.sgd(0.1))))
    updates = jax.tree.map(lambda x: -0.1 * x, GRADS)
    reference = norms(GRADS, updates, PARAMS)
    assert values.keys() == reference.keys()
    for key, value in reference.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-6, err_msg=key)


def test_a_monitor_changes_no_update():
    plain, monitored_adam = optax.adam(0.1), monitor(around=optax.adam(0.1))
    expected, _ = plain.update(GRADS, plain.init(PARAMS), PARAMS)
    updates, _ = monitored_adam.update(GRADS, monitored_adam.init(PARAMS), PARAMS)
    jax.tree.map(np.testing.assert_array_equal, updates, expected)


def test_a_monitor_last_in_a_chain_measures_updates_and_params():
    tx = optax.chain(optax.scale(-3.0), monitor(groups={"head": "head/**"}))
    values = monitored(updated(tx))
    assert {key.split("/")[0] for key in values} == {"update", "param"}
    assert values["update/ratio/head"] == pytest.approx(1.5)


def test_the_latest_statistics_are_kept_between_two_measurements():
    tx = optax.chain(monitor(groups={}, every=2))
    state, ratios = tx.init(PARAMS), []
    for factor in (1.0, 2.0, 3.0, 4.0):
        grads = jax.tree.map(lambda x, f=factor: f * x, PARAMS)
        _, state = jax.jit(tx.update)(grads, state, PARAMS)
        ratios.append(float(monitored(state)["update/ratio"]))
    np.testing.assert_allclose(ratios, [np.nan, 2, 2, 4], rtol=1e-6)


def test_statistics_of_params_are_nan_without_params():
    tx = monitor(groups={})
    _, state = tx.update(GRADS, tx.init(PARAMS))
    values = monitored(state)
    assert np.isfinite(values["update/norm"]) and np.isnan(values["param/norm"])
    assert np.isnan(values["update/ratio"])


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
def test_the_structure_of_the_state_is_constant_inside_other_optimizers(wrap):
    tx = optax.with_extra_args_support(wrap(optax.adamw(0.1)))
    assert any(np.isfinite(x) for x in monitored(updated(tx, times=4)).values())


def test_keys_of_monitors_under_labels_end_with_the_label():
    tx = optax.multi_transform({"slow": monitor({}), "fast": monitor({})}, LABELS)
    values = monitored(updated(tx))
    assert values["param/norm/slow"] == 4
    assert values["param/norm/fast"] == pytest.approx(2 * 8**0.5)
    with pytest.raises(ValueError, match="without a monitor"):
        monitored(optax.sgd(0.1).init(PARAMS))


def test_the_optimizer_of_nnx_is_supported():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    tx = optax.chain(injected(0.5), monitor(groups={}))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    assert float(learning_rates(optimizer.opt_state)["lr/lr"]) == 0.5
    values = monitored(optimizer.opt_state)
    assert values["update/norm"] == pytest.approx(0.5 * 6**0.5)


def test_a_period_below_1_is_refused():
    with pytest.raises(ValueError, match="every=-1"):
        monitor(every=-1)


def test_without_optax_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[optax\]"):
        monitor()
