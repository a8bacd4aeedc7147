"""Rank correlations: ties, bounds of histograms, exact buffers."""

import math

import jax
import numpy as np
import pytest
import scipy.stats

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

NAN, INF = math.nan, math.inf
EXACT = dict(exact=True, capacity=2000)
BOTH = {
    jm.SpearmanCorrelation: scipy.stats.spearmanr,
    jm.KendallTau: scipy.stats.kendalltau,
}
every_metric = pytest.mark.parametrize("metric", BOTH)


def correlated(rng, rows, noise, ties):
    targets = rng.normal(0, 1, rows)
    preds = targets * rng.choice([-1, 1]) + noise * rng.normal(0, 1, rows)
    drawn = preds, targets
    if ties:
        drawn = [np.round(x * ties) / ties for x in drawn]
    return dict(zip(("preds", "targets"), np.float32(drawn)))


@every_metric
@pytest.mark.parametrize("ties", [0, 4, 1])
@pytest.mark.parametrize("rows", [2, 3, 50, 1500])
def test_the_exact_form_is_scipys(metric, rows, ties):
    outputs = correlated(np.random.default_rng(rows), rows, 0.7, ties)
    state = metric(**EXACT)
    for part in np.array_split(np.arange(rows), 3):
        state = state.update(**{name: x[part] for name, x in outputs.items()})
    right = BOTH[metric](outputs["preds"], outputs["targets"]).statistic
    assert state.compute() == pytest.approx(right, abs=1e-12)
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert under_jit == pytest.approx(right, abs=1e-6)
    assert state.bounds() == (state.compute(), state.compute())


def tau_a(x, y):
    """Return concordant less discordant pairs by all pairs."""
    i, j = np.triu_indices(len(x), 1)
    return np.mean(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]), dtype=float)


@pytest.mark.parametrize("ties", [0, 4, 1])
def test_variants_of_kendall_by_pairs_and_scipy(ties):
    outputs = correlated(np.random.default_rng(ties), 300, 0.7, ties)
    right = {
        "a": tau_a(**dict(zip("xy", outputs.values()))),
        "c": scipy.stats.kendalltau(*outputs.values(), variant="c").statistic,
    }
    for variant, value in right.items():
        state = jm.KendallTau(variant=variant, **EXACT).update(**outputs)
        assert state.compute() == pytest.approx(value, abs=1e-12)
        under_jit = jax.jit(lambda state: state.compute())(state)
        assert under_jit == pytest.approx(value, abs=1e-6)
    for bins in (3, 64):
        metric = jm.KendallTau(variant="a", low=-2.5, high=2.5, bins=bins)
        low, high = metric.update(**outputs).bounds()
        assert low - 1e-12 <= right["a"] <= high + 1e-12


def test_kendall_of_constants_and_of_a_histogram_without_distinct_values():
    constant = dict(preds=np.ones(4), targets=np.arange(4.0))
    for variant, value in (("a", 0), ("b", NAN), ("c", NAN)):
        metric = jm.KendallTau(variant=variant, **EXACT)
        assert jm.evaluate(metric, **constant) == pytest.approx(value, nan_ok=True)
        assert math.isnan(jm.evaluate(metric, preds=np.ones(1), targets=np.ones(1)))
    with pytest.raises(ValueError, match="number of distinct values"):
        jm.KendallTau(variant="c", low=0, high=1)
    with pytest.raises(ValueError, match="variant"):
        jm.KendallTau(variant="d", **EXACT)


@every_metric
@pytest.mark.parametrize("bins", [2, 5, 64])
@pytest.mark.parametrize("rows", [3, 40, 1000])
@pytest.mark.parametrize("noise", [0, 0.3, 3])
def test_the_bounds_of_a_histogram_contain_the_exact_value(metric, bins, rows, noise):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        outputs = correlated(rng, rows, noise, rng.choice([0, 0, 7]))
        state = metric(low=-2.5, high=2.5, bins=bins).update(**outputs)
        right = BOTH[metric](outputs["preds"], outputs["targets"]).statistic
        low, high = state.bounds()
        assert low - 1e-12 <= right <= high + 1e-12
        value = state.compute()
        assert np.isnan(value) or low - 1e-12 <= value <= high + 1e-12


@every_metric
def test_64_bins_are_close_to_the_exact_value(metric):
    outputs = correlated(np.random.default_rng(0), 20_000, 0.5, 0)
    state = metric(low=-4.0, high=4.0).update(**outputs)
    right = BOTH[metric](outputs["preds"], outputs["targets"]).statistic
    error = abs(state.compute() - right)
    assert error < (0.002 if metric is jm.SpearmanCorrelation else 0.025)
    low, high = state.bounds()
    assert high - low < 0.17


@every_metric
def test_a_wide_bound_is_a_diagnostic(metric):
    outputs = correlated(np.random.default_rng(0), 100, 1, 0)
    coarse = metric(low=-4.0, high=4.0, bins=3).update(**outputs)
    low, high = coarse.bounds()
    assert coarse.diagnostics() == dict(bounds_width=high - low)
    assert metric(**EXACT).update(**outputs).diagnostics() == {}


@every_metric
def test_values_in_bins_of_their_own_have_equal_bounds(metric):
    outputs = dict(preds=np.float32([0, 2, 1, 3]), targets=np.float32([0, 1, 2, 3]))
    state = metric(low=0.0, high=4.0, bins=4).update(**outputs)
    right = BOTH[metric](outputs["preds"], outputs["targets"]).statistic
    assert np.array(state.bounds()) == pytest.approx([right, right])


@every_metric
def test_targets_may_have_a_range_of_their_own(metric):
    outputs = correlated(np.random.default_rng(0), 500, 0.5, 0)
    one = metric(low=-4.0, high=4.0).update(**outputs)
    scaled = dict(outputs, targets=100 * outputs["targets"])
    other = metric(low=-4.0, high=4.0, target_low=-400.0, target_high=400.0)
    assert other.update(**scaled).compute() == pytest.approx(one.compute(), abs=1e-3)


@every_metric
@pytest.mark.parametrize("options", [EXACT, dict(low=0.0, high=1.0)])
def test_a_constant_no_data_and_one_entry_are_nan(metric, options):
    empty = metric(**options)
    assert math.isnan(empty.compute())
    assert all(math.isnan(x) for x in empty.bounds())
    outputs = dict(preds=[0.1, 0.5, 0.9], targets=[0.3, 0.3, 0.3])
    assert math.isnan(empty.update(**outputs).compute())
    assert math.isnan(empty.update(preds=[0.5], targets=[0.5]).compute())
    assert math.isnan(empty.update(**outputs, mask=[False] * 3).compute())


@every_metric
@pytest.mark.parametrize("options", [EXACT, dict(low=0.0, high=4.0, bins=4)])
def test_a_nan_is_invalid_and_an_infinity_is_the_largest(metric, options):
    outputs = dict(preds=[0.0, 1.0, 2.0, INF, NAN], targets=[0.0, 1.0, 3.0, 2.0, 2.0])
    state = metric(**options).update(**outputs)
    assert state.diagnostics()["invalid"] == 1
    right = BOTH[metric]([0, 1, 2, 3], [0, 1, 3, 2]).statistic
    assert state.compute() == pytest.approx(right)
    masked = metric(**options).update(**outputs, mask=[True] * 4 + [False])
    assert masked.diagnostics().get("invalid", 0) == 0


@every_metric
def test_more_rows_than_the_capacity_are_an_error(metric):
    state = metric(exact=True, capacity=2).update(preds=[1.0] * 3, targets=[1.0] * 3)
    with pytest.raises(ValueError, match="capacity 2 saw 3 rows"):
        state.compute()
    assert math.isnan(jax.jit(lambda state: state.compute())(state))


@every_metric
def test_counts_beyond_two_to_the_24(metric):
    empty = metric(low=0.0, high=2.0, bins=2)
    counts = np.array([[2**24, 1], [0, 2**24]])
    state = empty.with_fields(state=empty.state.replace(counts=counts))
    state = state.update(preds=[0.0], targets=[1.0])
    n = 2**24
    assert state.state.plain()["counts"].tolist() == [[n, 2], [0, n]]
    # Pearson's correlation of two binary series, for both coefficients.
    right = n / (n + 2)
    assert state.compute() == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(), "low is None and high None, but the histogram needs the range"),
        (dict(exact=True), "exact=True needs capacity"),
        (dict(low=0.0, high=1.0, capacity=5), "capacity is 5, but without exact=True"),
        (dict(low=1.0, high=1.0), "the range is 1.0 to 1.0"),
        (dict(low=0.0, high=1.0, target_low=2.0), "the range is 2.0 to 1.0"),
        (dict(low=0.0, high=1.0, bins=1), "bins is 1, but must be at least 2"),
    ],
)
@every_metric
def test_bad_configurations_are_refused(metric, options, match):
    with pytest.raises(ValueError, match=f"{metric.__name__}: {match}"):
        metric(**options)


def test_both_coefficients_share_the_histogram():
    options = dict(low=0.0, high=1.0)
    metrics = jm.Collection(
        spearman=jm.SpearmanCorrelation(**options), kendall=jm.KendallTau(**options)
    )
    assert list(metrics.plain()) == ["spearman.state/counts", "spearman.state/invalid"]


@every_metric
def test_the_bounds_do_not_depend_on_which_series_is_which(metric):
    outputs = correlated(np.random.default_rng(0), 500, 2, 0)
    outputs["preds"] = np.round(outputs["preds"])
    exchanged = dict(preds=outputs["targets"], targets=outputs["preds"])
    empty = metric(low=-4.0, high=4.0, bins=16)
    bounds = np.array(empty.update(**outputs).bounds())
    right = np.array(empty.update(**exchanged).bounds())
    assert bounds == pytest.approx(right, abs=1e-12)
