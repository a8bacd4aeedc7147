"""Learning rates are read from the state of an optimizer."""

import sys

import jax
import optax
import pytest
from support.training import LABELS, PARAMS, injected, updated

from jaxmetrics.telemetry import learning_rates


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


def test_the_rate_is_that_of_the_last_update():
    schedule = optax.linear_schedule(1.0, 0.0, 10)
    for times, rate in {1: 1.0, 3: 0.8}.items():
        plain = updated(optax.adam(schedule), times)
        assert learning_rates(plain, schedule)["lr/lr"] == pytest.approx(rate)
        with_injection = updated(injected(schedule, optax.adam), times)
        assert learning_rates(with_injection)["lr/lr"] == pytest.approx(rate)


def test_schedules_are_passed_by_label():
    slow, fast = (optax.linear_schedule(x, 0.0, 10) for x in (0.1, 1.0))
    tx = {"slow": optax.sgd(slow), "fast": optax.sgd(fast)}
    state = updated(optax.multi_transform(tx, LABELS), 2)
    rates = learning_rates(state, {"slow": slow, "fast": fast})
    assert rates == {"lr/slow": pytest.approx(0.09), "lr/fast": pytest.approx(0.9)}
    with pytest.raises(ValueError, match=r"for \['other'\].*\['fast', 'slow'\]"):
        learning_rates(state, {"other": slow})
    with pytest.raises(ValueError, match=r"step counts for \[\]"):
        learning_rates(optax.sgd(0.5).init(PARAMS), slow)


def test_without_optax_injected_rates_are_read_and_a_schedule_names_the_extra(
    monkeypatch,
):
    state = updated(injected(0.5))
    monkeypatch.setitem(sys.modules, "optax", None)
    assert learning_rates(state)["lr/lr"] == 0.5
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[optax\]"):
        learning_rates(state, lambda step: 0.1)
