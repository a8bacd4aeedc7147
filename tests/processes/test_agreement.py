"""Metrics that differ between processes are found, with the first difference."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics import processes
from jaxmetrics.processes import _agreement, require_same_metrics


def difference(a, b):
    return a - b


def mesh_of(devices):
    return jax.sharding.Mesh(np.array(devices), ("data",))


@pytest.fixture
def other_process(monkeypatch):
    """Return a function that sets the metrics of process 1, which this one meets."""

    def hold(metrics):
        def exchange(tag, payload):
            assert tag == "metrics"
            calls.append(payload)
            description, texts = _agreement._describe(metrics)
            form = _agreement.dumps(description).encode()
            digest = _agreement.hashlib.sha256(form).digest()
            full = _agreement.dumps([description, texts]).encode()
            return {0: payload, 1: digest if len(calls) == 1 else full}

        calls = []
        monkeypatch.setattr(processes._exchange, "exchange", exchange)
        return calls

    return hold


def collection(classes=4):
    return jm.Collection(
        loss=jm.Mean("loss"),
        matrix=jm.ConfusionMatrix(classes),
        gap=jm.Compose(difference, a=jm.Mean("x"), b=jm.Mean("y")),
    )


def test_equal_metrics_take_one_exchange(other_process):
    calls = other_process(collection())
    require_same_metrics("log_step()", collection())
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: collection(5),
            r"metric 'matrix' is ConfusionMatrix\(classes=5\) on process 1, and "
            r"ConfusionMatrix\(classes=4\) on process 0",
        ),
        (lambda: jm.Mean("loss"), "metric 'loss' is absent on process 1, and Mean"),
        (
            lambda: collection().place(mesh_of(jax.devices())),
            "the placement is .* on process 1",
        ),
    ],
    ids=["configuration", "absent", "placement"],
)
def test_a_difference_is_an_error_that_names_it(other_process, other, message):
    other_process(other())
    with pytest.raises(ValueError, match=f"differ from process 0: {message}"):
        require_same_metrics("log_step()", collection())


def test_the_order_of_names_is_compared(other_process):
    a, b = jm.Mean("a"), jm.Mean("b")
    other_process(jm.Collection(b=b, a=a))
    with pytest.raises(ValueError, match="on process 1, and .* on process 0"):
        require_same_metrics("log_step()", jm.Collection(a=a, b=b))


def test_metrics_of_one_process_need_no_agreement(monkeypatch):
    monkeypatch.setattr(processes._exchange, "exchange", None)
    agreement = processes.Agreement()
    placed = collection().place(mesh_of(jax.devices()))
    for metrics in (collection(), placed, jm.Mean, {"loss": 1.0}, None):
        assert agreement.mismatch(metrics) is None
