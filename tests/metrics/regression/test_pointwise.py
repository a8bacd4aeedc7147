"""Means of an error per entry: by hand, without cancelling, entries out of range."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

NAN, INF = math.nan, math.inf
MEANS = (
    jm.MeanSquaredLogError,
    jm.RootMeanSquaredLogError,
    jm.MeanAbsolutePercentageError,
    jm.SymmetricMeanAbsolutePercentageError,
    jm.WeightedMeanAbsolutePercentageError,
    jm.LogCoshError,
    jm.HuberLoss,
    jm.PinballLoss,
    jm.MeanBiasError,
    jm.MinkowskiDistance,
    jm.TweedieDeviance,
    jm.MaxError,
    jm.CriticalSuccessIndex,
    jm.ExplainedVariance,
    jm.RelativeSquaredError,
    jm.NormalizedRootMeanSquaredError,
)
every_metric = pytest.mark.parametrize("metric", MEANS)
WITHOUT_OUTPUTS = {jm.CriticalSuccessIndex}
OUTPUTS = dict(preds=np.float32([1, 2, 7]), targets=np.float32([1, 4, 3]))


@every_metric
def test_without_data_or_all_masked_the_value_is_nan(metric):
    masked = metric().update(**OUTPUTS, mask=np.zeros(3, bool))
    assert math.isnan(masked.compute()) and math.isnan(metric().compute())


@every_metric
def test_nan_in_padding_does_not_leak(metric):
    padded = {n: np.float32([*x, NAN]) for n, x in OUTPUTS.items()}
    mask = np.array([True, True, True, False])
    value = metric().update(**padded, mask=mask).compute()
    assert value == pytest.approx(jm.evaluate(metric(), **OUTPUTS), rel=1e-6)


@pytest.mark.parametrize("metric", [m for m in MEANS if m not in WITHOUT_OUTPUTS])
def test_a_nan_prediction_makes_the_value_nan(metric):
    value = jm.evaluate(metric(), preds=[1.0, NAN, 2.0], targets=[1.0, 1.0, 3.0])
    assert math.isnan(value)


@every_metric
def test_shapes_that_differ_are_refused(metric):
    with pytest.raises(ValueError, match="the shapes must be equal"):
        metric().update(preds=np.ones((4, 1)), targets=np.ones(4))


@pytest.mark.parametrize("metric", [m for m in MEANS if m not in WITHOUT_OUTPUTS])
def test_outputs_and_averages_are_checked(metric):
    with pytest.raises(ValueError, match="needs the number of outputs"):
        metric(average="none")
    with pytest.raises(ValueError, match="average is 'mean', but must be one of"):
        metric(outputs=2, average="mean")
    with pytest.raises(ValueError, match="got 0"):
        metric(outputs=0)
    with pytest.raises(ValueError, match="last axis must be the 3 outputs"):
        metric(outputs=3).update(preds=np.ones((4, 2)), targets=np.ones((4, 2)))


@pytest.mark.parametrize("metric", [m for m in MEANS if m not in WITHOUT_OUTPUTS])
def test_each_output_is_a_series_of_its_own(metric):
    preds = np.float32([[1, 5], [2, 2], [7, 3]])
    targets = np.float32([[1, 4], [4, 2], [3, 9]])
    value = jm.evaluate(metric(outputs=2, average="none"), preds=preds, targets=targets)
    right = [
        jm.evaluate(metric(), preds=preds[:, i], targets=targets[:, i]) for i in (0, 1)
    ]
    np.testing.assert_allclose(value, right, rtol=1e-6)
    mean = jm.evaluate(metric(outputs=2), preds=preds, targets=targets)
    assert mean == pytest.approx(np.mean(right), rel=1e-6)


def test_values_without_a_logarithm_are_invalid():
    outputs = dict(preds=[1.0, -1.0, 0.0, 3.0], targets=[1.0, 0.0, -2.0, 1.0])
    state = jm.MeanSquaredLogError().update(**outputs)
    assert state.plain()["invalid"] == 2
    assert state.compute() == pytest.approx(math.log(2) ** 2 / 2)
    root = jm.RootMeanSquaredLogError().update(**outputs)
    assert root.diagnostics() == dict(invalid=2)


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_the_log_error_does_not_cancel_at_an_offset(offset):
    rng = np.random.default_rng(0)
    targets = (offset + rng.gamma(2, 1, 500)).astype(np.float32)
    preds = (targets + rng.uniform(0, 2, 500)).astype(np.float32)
    value = jm.evaluate(jm.MeanSquaredLogError(), preds=preds, targets=targets)
    right = sk.mean_squared_log_error(targets.astype(float), preds.astype(float))
    assert value == pytest.approx(right, rel=2e-6)


def test_the_log_error_of_a_tiny_ratio_is_finite():
    outputs = dict(preds=np.float32([1e30]), targets=np.float32([0]))
    value = jm.evaluate(jm.MeanSquaredLogError(), **outputs)
    assert value == pytest.approx(math.log(1e30) ** 2, rel=1e-5)


@pytest.mark.parametrize("error", [1e-5, 1e-2, 0.999, 1.001, 50, 1e4])
def test_log_cosh_is_exact_for_small_and_for_large_errors(error):
    error = np.float32(error)  # Keras' log(2) + log(cosh) form gives 0 for 1e-5
    value = jm.evaluate(jm.LogCoshError(), preds=[error], targets=[0.0])
    e = float(error)
    right = math.log1p(2 * math.sinh(e / 2) ** 2) if e < 40 else e - math.log(2)
    assert value == pytest.approx(right, rel=1e-6)


def test_percentage_errors_at_zero_targets():
    zero = dict(preds=[1.0, 0.0], targets=[0.0, 0.0])
    mape = jm.MeanAbsolutePercentageError
    assert jm.evaluate(mape(), **zero) == 2.0**51  # scikit-learn's epsilon
    assert jm.evaluate(mape(epsilon=0.5), **zero) == 1
    smape = jm.SymmetricMeanAbsolutePercentageError
    assert jm.evaluate(smape(), **zero) == 1  # (2 + 0) / 2
    wmape = jm.WeightedMeanAbsolutePercentageError
    assert jm.evaluate(wmape(), **zero) == INF
    assert math.isnan(jm.evaluate(wmape(), preds=[0.0], targets=[0.0]))


def test_percentage_errors_are_ratios_by_hand():
    outputs = dict(preds=[1.0, 6.0], targets=[-2.0, 4.0])
    assert jm.evaluate(jm.MeanAbsolutePercentageError(), **outputs) == 1
    symmetric = jm.SymmetricMeanAbsolutePercentageError()
    assert jm.evaluate(symmetric, **outputs) == pytest.approx((2 + 0.4) / 2)
    weighted = jm.WeightedMeanAbsolutePercentageError()
    assert jm.evaluate(weighted, **outputs) == 5 / 6


def test_huber_is_continuous_at_delta_and_linear_beyond():
    losses = [
        float(jm.evaluate(jm.HuberLoss(2.0), preds=[e], targets=[0.0]))
        for e in (1.0, 2.0, 4.0, 1e30)
    ]
    assert losses == pytest.approx([0.5, 2, 6, 2e30])


def test_pinball_weighs_the_sides_by_the_quantile():
    loss = jm.PinballLoss(0.9)
    assert jm.evaluate(loss, preds=[0.0], targets=[1.0]) == pytest.approx(0.9)
    assert jm.evaluate(loss, preds=[1.0], targets=[0.0]) == pytest.approx(0.1)
    assert jm.evaluate(jm.PinballLoss(), **OUTPUTS) == 1  # half of MeanAbsoluteError


def test_the_bias_is_positive_where_predictions_are_too_large():
    assert jm.evaluate(jm.MeanBiasError(), preds=[3.0], targets=[1.0]) == 2


def test_minkowski_is_a_sum_not_a_mean():
    metric = jm.MinkowskiDistance(1)
    state = metric.update(**OUTPUTS).update(**OUTPUTS)
    assert state.compute() == 12
    weighted = jm.MinkowskiDistance(1, weighted=True)
    assert jm.evaluate(weighted, **OUTPUTS, weights=[5.0, 0.5, 0.25]) == 2


def test_the_largest_error_is_exact_and_keeps_a_nan():
    state = jm.MaxError().update(preds=[1.0, 2.0], targets=[1.5, 2.0])
    assert state.compute() == 0.5
    assert math.isnan(state.update(preds=[NAN], targets=[0.0]).compute())
    assert state.update(preds=[INF], targets=[0.0]).compute() == INF


POWERS = (-1, -0.5, 0, 1, 1.2, 1.9, 2, 2.5, 3, 4)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_deviances_are_those_of_scikit_learn_and_do_not_cancel(power, spread):
    rng = np.random.default_rng(0)
    targets = rng.gamma(2, 500, 400).astype(np.float32)
    preds = (targets * np.exp(rng.normal(0, spread, 400))).astype(np.float32)
    value = jm.evaluate(jm.TweedieDeviance(power), preds=preds, targets=targets)
    right = _deviance(targets, preds, power)
    assert value == pytest.approx(right, rel=5e-6)


def _deviance(targets, preds, power):
    """Return scikit-learn's deviance, in the precision of long double."""
    y, m = targets.astype(np.longdouble), preds.astype(np.longdouble)
    if power == 1:
        return float((2 * (y * np.log(y / m) - y + m)).mean())
    if power == 2:
        return float((2 * (np.log(m / y) + y / m - 1)).mean())
    p = np.longdouble(power)
    parts = y ** (2 - p) / ((1 - p) * (2 - p)), y * m ** (1 - p) / (1 - p)
    return float((2 * (parts[0] - parts[1] + m ** (2 - p) / (2 - p))).mean())


@pytest.mark.parametrize(
    ("power", "invalid"), [(-1, 2), (0, 0), (1, 3), (1.5, 3), (2, 4), (3, 4)]
)
def test_entries_out_of_the_range_of_a_power_are_invalid(power, invalid):
    preds = np.float32([1, -1, 0, 2, 2, 3])
    targets = np.float32([1, 1, 1, -1, 0, 2])
    state = jm.TweedieDeviance(power).update(preds=preds, targets=targets)
    assert state.plain()["invalid"] == invalid
    valid = preds > 0 if power else np.ones(6, bool)
    valid &= targets > 0 if power >= 2 else targets >= 0 if power >= 1 else True
    right = sk.mean_tweedie_deviance(targets[valid], preds[valid], power=power)
    assert state.compute() == pytest.approx(right, rel=1e-6)


def test_events_at_the_threshold_count_and_no_event_is_nan():
    metric = jm.CriticalSuccessIndex(1.0)
    assert jm.evaluate(metric, preds=[1.0, 1.0], targets=[1.0, 0.0]) == 0.5
    assert math.isnan(jm.evaluate(metric, preds=[0.0], targets=[0.0]))
    state = metric.update(preds=[NAN, 1.0], targets=[1.0, 1.0])
    assert state.compute() == 1 and state.plain()["invalid"] == 1


def test_events_are_counted_beyond_two_to_the_24():
    metric = jm.CriticalSuccessIndex(1.0).replace(hits=2**24, misses=2**24)
    state = metric.update(preds=[1.0], targets=[1.0])
    assert state.compute() == (2**24 + 1) / (2**25 + 1)


@pytest.mark.parametrize("kind", [np.int32, np.uint32])
def test_an_integer_one_below_the_threshold_is_no_event(kind):
    least = 2**30 + 1
    outputs = dict(
        preds=np.array([least - 1, least, least, 0], kind),
        targets=np.array([least, least, least - 1, 0], kind),
    )
    for threshold in (least, least - 0.5):
        metric = jm.CriticalSuccessIndex(float(threshold))
        assert jm.evaluate(metric, **outputs) == 1 / 3
    for threshold in (2.0**33, math.inf):
        metric = jm.CriticalSuccessIndex(threshold)
        assert math.isnan(jm.evaluate(metric, **outputs))
    for threshold in (-(2.0**33), -math.inf):
        metric = jm.CriticalSuccessIndex(threshold)
        assert jm.evaluate(metric, **outputs) == 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: jm.HuberLoss(0.0), "HuberLoss: delta is 0.0, but must be positive"),
        (lambda: jm.PinballLoss(95.0), "quantile is 95.0, but must be in"),
        (lambda: jm.MinkowskiDistance(0.5), "p is 0.5, but must be a finite"),
        (lambda: jm.TweedieDeviance(0.5), "power is 0.5, but no distribution"),
        (lambda: jm.MeanAbsolutePercentageError(0.0), "epsilon is 0.0, but must"),
        (lambda: jm.CriticalSuccessIndex(NAN), "threshold is nan"),
        (
            lambda: jm.NormalizedRootMeanSquaredError(normalization="max"),
            "normalization is 'max', but must be one of",
        ),
    ],
)
def test_impossible_configurations_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("offset", [1 << 24, 1 << 30, 3 << 30, -(1 << 31)])
@pytest.mark.parametrize(
    "metric",
    [
        jm.MeanSquaredError(),
        jm.RootMeanSquaredError(),
        jm.MeanAbsoluteError(),
        jm.MeanBiasError(),
        jm.HuberLoss(),
        jm.PinballLoss(0.25),
        jm.LogCoshError(),
        jm.MinkowskiDistance(3),
        jm.MaxError(),
        jm.MedianAbsoluteError(),
        jm.TweedieDeviance(),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_integers_are_subtracted_before_they_are_rounded(metric, offset):
    """Errors of large integers, such as times in seconds, are those of small ones."""
    small = dict(preds=np.array([0, 1, 2, 7]), targets=np.array([1, 1, 5, 0]))
    kind = np.uint32 if offset > 1 << 30 else np.int32
    large = {name: jnp.asarray((x + offset).astype(kind)) for name, x in small.items()}
    assert jm.evaluate(metric, **large) == jm.evaluate(metric, **small)
