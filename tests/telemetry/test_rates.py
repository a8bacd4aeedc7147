"""Learning rates are read from the state of an optimizer."""

import inspect
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.training import LABELS, PARAMS, injected, updated

from jaxmetrics.telemetry import learning_rates

contrib = optax.contrib
SCHEDULE = optax.linear_schedule(1.0, 0.0, 10)


def plateau():
    """Return a transformation that halves the updates at each repeated loss."""
    return contrib.reduce_on_plateau(patience=1, factor=0.5)


def injected_around(make):
    return optax.inject_hyperparams(make)(learning_rate=0.1)


def around_a_branch(learning_rate):
    body = optax.chain(optax.sgd(learning_rate), plateau())
    return optax.partition({"slow": body, "fast": optax.sgd(learning_rate)}, LABELS)


def applied(tx, times):
    """Return what gradients of 1 were multiplied by in the last update, and the state.

    The loss that the optimizer sees never improves.
    """
    params = jax.tree.map(jnp.zeros_like, PARAMS)
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    if not isinstance(tx, optax.MultiSteps):
        tx = optax.with_extra_args_support(tx)

    @jax.jit
    def update(state):
        extra = dict(value=jnp.float32(0), grad=ones, value_fn=distance_to_1)
        return tx.update(ones, state, params, **extra)

    state = tx.init(params)
    for _ in range(times):
        updates, state = update(state)
    return {name: -float(part["w"].ravel()[0]) for name, part in updates.items()}, state


def distance_to_1(params):
    return sum(jnp.sum((x - 1) ** 2) for x in jax.tree.leaves(params)) - 24.0


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
def test_injected_learning_rates_are_returned_by_label(tx, expected):
    rates = jax.jit(learning_rates)(updated(optax.with_extra_args_support(tx)))
    assert {key: float(x) for key, x in rates.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tx", "body", "head"),
    [
        (optax.chain(injected(0.1), plateau()), "lr", "lr"),
        (optax.chain(plateau(), injected(0.1)), "lr", "lr"),
        (optax.named_chain(("a", injected(0.1)), ("b", plateau())), "a", "a"),
        (optax.MultiSteps(optax.chain(injected(0.1), plateau()), 1), "lr", "lr"),
        (
            injected_around(
                lambda learning_rate: optax.chain(optax.sgd(learning_rate), plateau())
            ),
            "lr",
            "lr",
        ),
        (
            optax.inject_hyperparams(lambda lr: optax.chain(optax.sgd(lr), plateau()))(
                lr=0.1
            ),
            "lr",
            "lr",
        ),
        (
            optax.chain(
                optax.partition({"slow": injected(0.1), "fast": injected(0.2)}, LABELS),
                plateau(),
            ),
            "slow",
            "fast",
        ),
        (
            optax.partition(
                {"slow": optax.chain(injected(0.1), plateau()), "fast": injected(0.2)},
                LABELS,
            ),
            "slow",
            "fast",
        ),
        (injected_around(around_a_branch), "slow", "lr"),
        (
            optax.chain(
                injected(0.1), optax.masked(plateau(), {"body": True, "head": False})
            ),
            "lr_1",
            "lr",
        ),
        (optax.apply_if_finite(optax.chain(injected(0.1), plateau()), 3), "lr", "lr"),
        (optax.flatten(optax.chain(injected(0.1), plateau())), "lr", "lr"),
        (optax.inject_hyperparams(optax.scale)(step_size=-0.1), "lr", "lr"),
        (
            optax.chain(
                injected(0.1), optax.inject_hyperparams(optax.scale)(step_size=0.5)
            ),
            "lr",
            "lr",
        ),
        (
            optax.chain(injected(2.0), optax.scale_by_backtracking_linesearch(9)),
            "lr",
            "lr",
        ),
        (
            optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(9)),
            "lr",
            "lr",
        ),
    ],
    ids=[
        *("plateau", "plateau first", "named_chain", "MultiSteps", "inside injection"),
        *("injected lr", "around partition", "in a branch", "in a branch of injection"),
        *("masked", "apply_if_finite", "flatten", "scale", "rate and scale"),
        *("rate and line search", "line search"),
    ],
)
def test_the_rate_is_what_the_updates_were_multiplied_by(tx, body, head):
    multipliers, state = applied(tx, times=3)
    rates = learning_rates(state)
    assert rates.keys() == {f"lr/{body}", f"lr/{head}"}
    np.testing.assert_allclose(rates[f"lr/{body}"], multipliers["body"], rtol=1e-6)
    np.testing.assert_allclose(rates[f"lr/{head}"], multipliers["head"], rtol=1e-6)


@pytest.mark.parametrize(
    "tx",
    [
        contrib.mechanize(injected(0.1), weight_decay=0.0, s_init=1e-2),
        contrib.schedule_free_sgd(0.5),
        contrib.schedule_free(injected(0.5), 0.5),
        optax.inject_hyperparams(contrib.schedule_free_sgd)(learning_rate=0.5),
    ],
    ids=["mechanize", "schedule_free", "injected inside", "injected outside"],
)
def test_rates_of_optimizers_that_average_are_right_in_the_first_update(tx):
    # Later updates also move the averages.
    multipliers, state = applied(tx, times=1)
    rates = learning_rates(state)
    assert rates == {"lr/lr": pytest.approx(multipliers["body"], rel=1e-6)}


def test_an_estimated_rate_multiplies_the_injected_rate():
    _, state = applied(optax.inject_hyperparams(contrib.prodigy)(learning_rate=0.5), 1)
    estimate = state.inner_state.estim_lr
    assert learning_rates(state) == {"lr/lr": pytest.approx(0.5 * estimate)}
    assert learning_rates(state.inner_state) == {"lr/lr": estimate}


def test_the_adversarial_rate_of_sam_is_not_a_learning_rate():
    state = contrib.sam(injected(0.1), injected(5.0)).init(PARAMS)
    assert learning_rates(state) == {"lr/lr": pytest.approx(0.1)}


def test_a_scale_of_an_unknown_rate_is_returned_as_a_scale():
    tx = optax.chain(optax.adam(0.1), plateau())
    _, state = applied(tx, times=3)
    assert learning_rates(state) == {"lr/scale": 0.25}
    assert learning_rates(state, 0.1) == {"lr/lr": pytest.approx(0.025)}
    tx = optax.partition({"slow": tx, "fast": injected(0.1)}, LABELS)
    _, state = applied(tx, times=2)
    expected = {"lr/slow/scale": 0.5, "lr/fast": pytest.approx(0.1)}
    assert learning_rates(state) == expected


def test_each_state_of_optax_with_a_number_called_a_rate_is_known():
    states = {
        state
        for module in (optax, contrib, optax.schedules, optax.transforms)
        for _, state in inspect.getmembers(module, inspect.isclass)
        if hasattr(state, "_fields")
    }
    rates = {
        state.__name__
        for state in states
        if any(re.search("rate|lr|scale|^step_size$", field) for field in state._fields)
    }
    not_rates = {"COCOBState"}  # its scale is the largest gradient of each parameter
    assert rates - not_rates == {
        "DAdaptAdamWState",
        "ProdigyState",
        "ReduceLROnPlateauState",
        "ScaleByBacktrackingLinesearchState",
        "ScaleByZoomLinesearchState",
        "ScheduleFreeState",
    }
    inner = {state.__name__ for state in states if "hyperparams" in state._fields}
    assert inner == {"InjectHyperparamsState", "InjectStatefulHyperparamsState"}


def test_the_rate_is_that_of_the_last_update():
    for times, rate in {1: 1.0, 3: 0.8}.items():
        plain = updated(optax.adam(SCHEDULE), times)
        assert learning_rates(plain, SCHEDULE)["lr/lr"] == pytest.approx(rate)
        with_injection = updated(injected(SCHEDULE, optax.adam), times)
        assert learning_rates(with_injection)["lr/lr"] == pytest.approx(rate)


@pytest.mark.parametrize("make", [contrib.madgrad, contrib.momo, contrib.prodigy])
def test_schedules_of_optimizers_with_a_count_of_their_own_are_evaluated(make):
    _, state = applied(make(SCHEDULE), times=3)
    scale = getattr(state, "estim_lr", 1.0)
    expected = {"lr/lr": pytest.approx(0.8 * scale)}
    assert learning_rates(state, SCHEDULE) == expected


def test_a_schedule_is_scaled_as_an_injected_rate():
    multipliers, state = applied(optax.chain(optax.sgd(SCHEDULE), plateau()), times=3)
    rates = learning_rates(state, SCHEDULE)
    assert rates == {"lr/lr": pytest.approx(multipliers["body"])}


def test_schedules_are_passed_by_label():
    slow, fast = (optax.linear_schedule(x, 0.0, 10) for x in (0.1, 1.0))
    tx = {"slow": optax.sgd(slow), "fast": optax.sgd(fast)}
    state = updated(optax.multi_transform(tx, LABELS), 2)
    rates = learning_rates(state, {"slow": slow, "fast": fast})
    assert rates == {"lr/slow": pytest.approx(0.09), "lr/fast": pytest.approx(0.9)}
    assert learning_rates(state, {"slow": 0.5, "fast": fast})["lr/slow"] == 0.5
    with pytest.raises(ValueError, match=r"for \['other'\].*\['fast', 'slow'\]"):
        learning_rates(state, {"other": slow})
    with pytest.raises(ValueError, match=r"step counts for \[\]"):
        learning_rates(optax.sgd(0.5).init(PARAMS), slow)


def test_constants_by_label_are_scaled_as_their_updates():
    tx = {"slow": optax.chain(optax.sgd(0.5), plateau()), "fast": optax.sgd(2.0)}
    multipliers, state = applied(optax.multi_transform(tx, LABELS), times=3)
    rates = learning_rates(state, {"slow": 0.5, "fast": 2.0})
    assert {name: rates[f"lr/{LABELS[name]}"] for name in LABELS} == multipliers


def test_a_schedule_is_evaluated_at_the_first_count():
    state = tuple(optax.ScaleByScheduleState(jnp.int32(count)) for count in (4, 9))
    assert learning_rates(state, lambda count: count) == {"lr/lr": 3}


def test_a_module_with_hyperparameters_of_its_own_is_not_an_injection():
    class Module(dict):
        hyperparams = {"learning_rate": 3.0}

    state = (Module(w=jnp.ones(2)), injected(0.5).init(PARAMS))
    assert learning_rates(state) == {"lr/lr": 0.5}


def test_rates_need_no_optax(monkeypatch):
    state, scheduled = updated(injected(0.5)), updated(optax.sgd(SCHEDULE))
    monkeypatch.setitem(sys.modules, "optax", None)
    assert learning_rates(state) == {"lr/lr": 0.5}
    assert learning_rates(scheduled, lambda step: 0.25) == {"lr/lr": 0.25}
