"""Distributions are exact while small, then within 1/256."""

import math

import jax
import numpy as np
import pytest
from support.aggregator import DISTRIBUTION, INF, NAN, aggregate

from jaxmetrics import AggregationType, MetricsAggregator
from jaxmetrics.aggregator import _aggregator as module

DRAWS = {
    "lengths": lambda rng, n: rng.integers(1, 8192, n),
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 3, n),
    "negative": lambda rng, n: -rng.pareto(1.5, n) - 1e-9,
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.4, 0, rng.normal(0, 1e6, n)),
    "extreme": lambda rng, n: 10.0 ** rng.uniform(-300, 300, n),
}


PERCENTS = (5, 50, 95, 99)


def statistics_of(values):
    values = np.asarray(values, np.float64)
    logged = {"mean": values.mean(), "min": values.min(), "max": values.max()}
    logged |= {
        f"p{p:02}": np.sort(values)[-(-p * len(values) // 100) - 1] for p in PERCENTS
    }
    with np.errstate(over="ignore"):
        return logged | {"std": values.std()}


def distribution(*updates):
    logged = aggregate(DISTRIBUTION, *updates)
    return {name.removeprefix("x_stat_"): value for name, value in logged.items()}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("n", [1, 2, 20, 1024])
def test_a_small_distribution_is_exact(draw, n):
    values = DRAWS[draw](np.random.default_rng(n), n)
    expected = statistics_of(values)
    logged = distribution(*np.array_split(values, min(n, 7)))
    for name in ("min", "max", "p05", "p50", "p95", "p99"):
        assert logged[name] == expected[name], name
    assert logged["mean"] == pytest.approx(expected["mean"], rel=1e-12, abs=1e-300)
    assert logged["std"] == pytest.approx(expected["std"], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("draw", DRAWS)
def test_percentiles_of_many_values_are_within_the_bound(draw):
    values = DRAWS[draw](np.random.default_rng(1), 50_000)
    expected = statistics_of(values)
    logged = distribution(values)
    for percent in PERCENTS:
        true = expected[f"p{percent:02}"]
        error = abs(logged[f"p{percent:02}"] - true)
        assert error <= abs(true) / 256, percent
    assert (logged["min"], logged["max"]) == (expected["min"], expected["max"])
    assert logged["mean"] == pytest.approx(expected["mean"], rel=1e-9)
    assert logged["std"] == pytest.approx(expected["std"], rel=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("edge", [1.0, math.nextafter(1 + 1 / 128, 0)])
def test_a_value_in_bins_is_the_middle_of_its_bin(edge, sign):
    p50 = distribution([-1e3, 1e3], np.full(3000, sign * edge))["p50"]
    assert p50 == sign * (1 + 1 / 256)


@pytest.mark.parametrize("parts", [2, 13, 600])
def test_percentiles_do_not_depend_on_how_values_are_split(parts):
    values = np.random.default_rng(2).normal(size=3000)
    whole, split = distribution(values), distribution(*np.array_split(values, parts))
    for percent in PERCENTS:
        assert split[f"p{percent:02}"] == whole[f"p{percent:02}"]
    assert split["std"] == pytest.approx(whole["std"], rel=1e-12)


def test_the_deviation_of_values_far_from_zero_does_not_cancel():
    values = 1e9 + np.random.default_rng(3).normal(size=5000)
    assert distribution(*np.split(values, 5))["std"] == pytest.approx(values.std())


def test_a_distribution_counts_values_that_are_not_finite_separately():
    logged = distribution([1.0, NAN, 3.0], [INF])
    assert (logged["mean"], logged["p99"], logged["x_nonfinite"]) == (2.0, 3.0, 2.0)
    empty = distribution([NAN])
    assert math.isnan(empty["p50"]) and math.isnan(empty["std"])


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("kind", ["distribution", "mean", "sum"])
def test_totals_restored_at_any_step_have_every_bit_of_uninterrupted_ones(
    kind, early, monkeypatch
):
    jax.devices()  # as in a training, where it is known that this process is alone
    values = np.random.default_rng(0).lognormal(0, 3, 60)

    def totals(restore_after):
        aggregator = MetricsAggregator()
        for step, value in enumerate(values):
            aggregator.update("d", AggregationType(kind), n=value)
            if step in restore_after:
                state = aggregator.state()
                aggregator = MetricsAggregator()
                with monkeypatch.context() as before_jax:
                    if early:
                        before_jax.setattr(module, "identity_is_known", lambda: False)
                    aggregator.load_state(state)
        return aggregator.get_metrics_for_logging()

    whole = totals(())
    for first in range(0, 60, 7):
        assert totals((first, first + 3)) == whole
