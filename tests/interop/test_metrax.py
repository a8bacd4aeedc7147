"""A logger is used as a logging backend of metrax."""

import inspect

import jax
import jax.numpy as jnp
import metrax.logging
import numpy as np
import pytest

from jaxmetrics.interop.metrax import LoggingBackend


@pytest.mark.parametrize("method", ["log_scalar", "close"])
def test_every_method_has_the_arguments_of_metrax(method):
    def kinds(owner):
        signature = inspect.signature(getattr(owner, method))
        return [
            (p.kind, p.name if p.kind != p.VAR_KEYWORD else "")
            for p in signature.parameters.values()
        ]

    assert kinds(LoggingBackend) == kinds(metrax.logging.LoggingBackend)


def test_scalars_keep_their_names(logger, logged):
    backend = LoggingBackend(logger)
    backend.log_scalar("/train/loss", jnp.float32(0.5), step=100)
    backend.log_scalar("actor/train/kl", np.ones((1, 1)), step=100, unit="nats")
    backend.log_scalar("learning_rate", 0.1, step=np.int64(100))
    backend.log_scalar("eval/loss", 0.25, step=100)
    assert logged() == [
        (100, "train", {"train/loss": 0.5}),
        (100, "train", {"actor/train/kl": 1.0}),
        (100, "train", {"learning_rate": 0.1}),
        (100, "eval", {"eval/loss": 0.25}),
    ]


def test_a_scalar_without_a_step_belongs_to_the_last_one(logger, logged):
    backend = LoggingBackend(logger)
    backend.log_scalar("loss", 1.0, step=jnp.int32(7))
    backend.log_scalar("loss", 2.0)
    backend.log_scalar("io/write_seconds", 3.0)
    assert logged() == [
        (7, "train", {"loss": 1.0}),
        (7, "train", {"loss": 2.0}),
        (7, "io", {"io/write_seconds": 3.0}),
    ]


@pytest.mark.parametrize("step", [-1, 2.5])
def test_a_step_that_is_refused_is_not_that_of_later_scalars(logger, logged, step):
    backend = LoggingBackend(logger)
    backend.log_scalar("loss", 1.0, step=3)
    with pytest.raises((TypeError, ValueError), match="step"):
        backend.log_scalar("loss", 2.0, step=step)
    backend.log_scalar("loss", 3.0)
    assert [step for step, _, _ in logged()] == [3, 3]


def test_before_the_first_step_only_training_values_take_one(logger, logged):
    backend = LoggingBackend(logger)
    backend.log_scalar("io/read_seconds", 3.0)
    backend.log_scalar("train/loss", 1.0)
    backend.log_scalar("train/loss", 2.0)
    records = logged()
    assert [(step, split) for step, split, _ in records[1:]] == [
        (1, "train"),
        (2, "train"),
    ]
    assert records[0][1:] == ("io", {"io/read_seconds": 3.0})


def test_what_jax_reports_of_itself_is_logged_on_request(logger, logged):
    event = "/jax/orbax/write/gbytes"
    LoggingBackend(logger).log_scalar(event, 1.0)
    LoggingBackend(logger, events="train/*").log_scalar(event, 2.0)
    LoggingBackend(logger, events=("train/*", "jax/*")).log_scalar(event, 3.0)
    LoggingBackend(logger, events="*").log_scalar("/jaxy/loss", 4.0, step=1)
    values = [values for _, _, values in logged()]
    assert values == [{"jax/orbax/write/gbytes": 3.0}, {"jaxy/loss": 4.0}]


def test_a_step_may_be_logged_again_after_a_flush(logger, logged):
    backend = LoggingBackend(logger)
    for value in (1.0, 2.0):
        backend.log_scalar("eval/loss", value, step=5)
        assert logger.flush()
    backend.log_scalar("train/loss", 3.0, step=4)
    assert [step for step, _, _ in logged()] == [5, 5, 4]


def test_a_closed_backend_ignores_what_comes(logger, memory, logged):
    # A trainer that closes its backends may leave them registered with JAX.
    backend = LoggingBackend(logger)
    backend.log_scalar("train/loss", 1.0, step=1)
    backend.close()
    assert [r.step for r in memory.records] == [1]
    backend.log_scalar("train/loss", 2.0, step=2)
    backend.close()
    logger.log_step(3, loss=3.0)
    assert [step for step, _, _ in logged()] == [1, 3]


def test_a_value_that_is_no_number_is_named(logger):
    with pytest.raises(TypeError, match="'train/loss'"):
        LoggingBackend(logger).log_scalar("train/loss", np.ones(3), step=1)
    with pytest.raises(TypeError, match="step"):
        LoggingBackend(logger).log_scalar("train/loss", 1.0, step="one")


def test_jax_reports_to_it_as_to_other_backends(logger, logged):
    backend = LoggingBackend(logger)
    jax.monitoring.register_scalar_listener(backend.log_scalar)
    try:
        jax.monitoring.record_scalar("/train/loss", 0.5, step=1)
    finally:
        jax.monitoring.unregister_scalar_listener(backend.log_scalar)
    assert logged() == [(1, "train", {"train/loss": 0.5})]
