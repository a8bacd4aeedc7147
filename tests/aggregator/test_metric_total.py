"""Registered metrics compute the totals of their type."""

import jax
import numpy as np
import pytest
from support.aggregator import DISTRIBUTION, INF, MAX, MEAN, NAN, SUM, results

import jaxmetrics as jm


def registered(metric, *updates, agg_type="custom", weights=None):
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler(agg_type, metric)
    for values in updates:
        aggregator.update("d", agg_type, x=values, weights=weights)
    return results(aggregator)


def test_a_registered_metric_computes_the_total():
    values = np.random.default_rng(4).normal(3, 1, 40_000)
    logged = registered(jm.Std, *np.split(values, 400))
    assert logged["x"] == pytest.approx(values.std(), rel=1e-6)
    assert registered(jm.Max("loss"), [1, 5], [2.5])["x"] == 5.0
    assert registered(jm.NonFiniteCount, [1.0, NAN], [INF])["x"] == 2.0


def test_a_metric_can_replace_a_built_in_type():
    quantiles = jm.Quantiles(q=(0.5,))
    values = np.random.default_rng(5).lognormal(size=3000)
    logged = registered(quantiles, values, agg_type=DISTRIBUTION)
    assert logged["x/p50"] == pytest.approx(np.median(values), rel=0.011)


def test_a_window_counts_values_and_not_updates():
    recent = jm.Windowed(jm.Mean(), window=3)
    assert registered(recent, [1.0, 2.0, 3.0, 4.0], [8.0])["x"] == 5.0


def test_a_weighted_metric_requires_weights():
    logged = registered(jm.Mean(weighted=True), [1.0, 5.0], weights=[3.0, 1.0])
    assert logged["x"] == 2.0
    with pytest.raises(ValueError, match="needs them"):
        registered(jm.Mean(weighted=True), [1.0])
    for weight in (1e39, 1e-50):  # inf and 0 in float32
        with pytest.raises(ValueError, match="d/x got weights from .*Scale all"):
            registered(jm.Mean(weighted=True), [1.0, 2.0], weights=[0.0, weight])


def test_registering_anything_but_a_metric_is_an_error():
    aggregator = jm.MetricsAggregator()
    for value in (object(), dict, jm.Collection(a=jm.Mean())):
        with pytest.raises(TypeError, match="expected a metric"):
            aggregator.register_handler("custom", value)
    with pytest.raises(ValueError, match=r"\['labels', 'logits'\].*one output"):
        aggregator.register_handler("custom", jm.Accuracy())


def test_registering_after_the_first_value_is_an_error():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=[1])
    with pytest.raises(ValueError, match="after values of that type, of d/x"):
        aggregator.register_handler(SUM, jm.Sum)


def test_values_that_a_metric_cannot_read_are_refused_in_the_update():
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler("custom", jm.Max)
    with pytest.raises(ValueError, match="d/x.*beyond 32 bits"):
        aggregator.update("d", "custom", x=[2**40])
    assert aggregator.get_metrics_for_logging() == {}


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_metric_is_computed_on_the_host_when_a_mesh_is_set(kind):
    axis = jax.sharding.AxisType[kind]
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",), axis_types=(axis,))
    with jax.set_mesh(mesh):
        aggregator = jm.MetricsAggregator()
        aggregator.register_handler("custom", jm.Std)
        aggregator.update("d", "custom", x=[1.0, 3.0])
        state = aggregator.state_dict()
        aggregator.load_state_dict(state)
        aggregator.update("d", "custom", x=[5.0])
        logged = results(aggregator)["x"]
    assert logged == pytest.approx(np.std([1, 3, 5]))


def test_by_group_on_devices_gives_the_same_values():
    rng, names = np.random.default_rng(6), ("code", "web", "books")
    domain, loss = rng.integers(0, 3, 256), rng.integers(0, 64, 256) / 8
    by_domain = {
        MEAN: jm.ByGroup(jm.Mean("loss"), by="domain", groups=names),
        SUM: jm.ByGroup(jm.Sum("loss"), by="domain", groups=names),
        MAX: jm.ByGroup(jm.Max("loss"), by="domain", groups=names),
    }
    for agg_type, metric in by_domain.items():
        update = jax.jit(lambda m, x, d: m.update(loss=x, domain=d))
        on_device = update(metric, loss.astype(np.float32), domain).compute()
        aggregator = jm.MetricsAggregator()
        for i, name in enumerate(names):
            aggregator.update(name, agg_type, mask=domain == i, loss=loss)
        logged = aggregator.get_metrics_for_logging()
        for name in names:
            assert logged[f"train_{name}/loss"] == on_device[name], (agg_type, name)


def test_without_a_cpu_backend_the_first_device_computes(monkeypatch):
    local_devices = jax.local_devices

    def without_cpu(backend=None):
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return local_devices()

    monkeypatch.setattr(jax, "local_devices", without_cpu)
    assert registered(jm.Max("loss"), [1, 5], [2.5])["x"] == 5.0
