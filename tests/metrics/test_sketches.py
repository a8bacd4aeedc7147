"""What each sketch promises, on distributions that differ in kind."""

import collections
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxmetrics as jm
from jaxmetrics.metrics.sketches import _cells, _distinct

NAN, INF = float("nan"), float("inf")
COUNT = 40_000
TAILS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


def lognormal(rng):
    return rng.lognormal(0, 2, COUNT)


def normal(rng):
    return rng.normal(2, 3, COUNT)


def pareto(rng):
    return 1e-3 * (1 + rng.pareto(1.1, COUNT))


def integers(rng):
    return rng.integers(0, 5000, COUNT)


def constant(rng):
    return np.full(COUNT, 0.3)


def bimodal(rng):
    draws = rng.normal(-50, 1, COUNT), rng.normal(1e4, 10, COUNT), np.zeros(COUNT)
    return np.choose(rng.integers(0, 3, COUNT), draws)


DISTRIBUTIONS = (lognormal, normal, pareto, integers, constant, bimodal)
every_distribution = pytest.mark.parametrize(
    "draw", DISTRIBUTIONS, ids=lambda draw: draw.__name__
)


@functools.cache
def drawn(draw):
    return draw(np.random.default_rng(5)).astype(np.float32)


@jax.jit
def scanned(state, batches):
    return jax.lax.scan(lambda s, b: (s.update(**b), None), state, batches)[0]


def observed(metric, batches=1, **outputs):
    """The state after some batches; one program for each metric and shape."""
    parts = {n: x.reshape(batches, -1, *x.shape[1:]) for n, x in outputs.items()}
    return scanned(metric.empty(), parts)


# Quantiles


@every_distribution
@pytest.mark.parametrize("bound", [0.01, 0.002])
def test_every_quantile_is_within_the_bound(draw, bound):
    values = drawn(draw)
    found = observed(jm.Quantiles(q=TAILS, relative_error=bound), values=values)
    *told, low, high = found.compute().values()
    right = np.quantile(values.astype(np.float64), TAILS, method="inverted_cdf")
    np.testing.assert_allclose(told, right, rtol=bound, atol=1e-9)
    assert (low, high) == (values.min(), values.max())


def test_the_bound_is_met_at_the_widest_bin_and_no_better():
    worst = np.float32([1, 1.0199, 1.5])  # just below the end of the first bin
    (told, *_) = observed(jm.Quantiles(q=(0.5,)), values=worst).compute().values()
    assert 0.0095 < abs(told / 1.0199 - 1) <= 0.01


def test_values_out_of_range_are_zero_or_the_extremes_and_counted():
    sketch = jm.Quantiles(q=(0.0, 0.1, 0.5, 0.9, 1.0), low=1e-3, high=1e3)
    values = [-1e9, -1e8, 1e-5, 0.0, -1e-5, 5e8, 2e9]
    state = observed(sketch, values=np.float32(values))
    told = [float(x) for x in state.compute().values()]
    np.testing.assert_allclose(told, [-1e9, -1e9, 0, 2e9, 2e9, -1e9, 2e9])
    assert state.plain()["outside"] == 4


def test_what_is_not_finite_has_no_rank_and_is_counted():
    values = np.float32([1, NAN, INF, -INF, 2, 3])
    state = observed(jm.Quantiles(q=(0.5,)), values=values)
    found = state.compute()
    assert (found["min"], found["max"], state.plain()["nonfinite"]) == (1, 3, 3)
    assert found["p50"] == pytest.approx(2, rel=0.01)


def test_quantiles_are_named_by_their_percentage():
    names = list(jm.Quantiles(q=(0.05, 0.5, 0.999, 1.0)).compute())
    assert names == ["p05", "p50", "p99.9", "p100", "min", "max"]


def test_a_rank_that_is_a_whole_number_is_that_one():
    # 0.07 * 100 is 7.000000000000001 in float64
    values = np.arange(1, 101, dtype=np.float32)
    state = observed(jm.Quantiles(q=(0.07,)), values=values)
    assert state.compute()["p07"] == pytest.approx(7, rel=0.01)
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert under_jit["p07"] == pytest.approx(7, rel=0.01)


@pytest.mark.parametrize(
    "configuration",
    [
        dict(q=0.5),
        dict(q=(1.5,)),
        dict(relative_error=0.0),
        dict(relative_error=1e-4),
        dict(low=0.0),
        dict(low=2.0, high=1.0),
        dict(high=INF),
    ],
    ids=str,
)
def test_quantiles_that_cannot_be_are_refused(configuration):
    with pytest.raises(ValueError, match="Quantiles: "):
        jm.Quantiles(**configuration)


# DistinctCount


@every_distribution
def test_distinct_values_are_within_four_standard_errors(draw):
    values = drawn(draw)
    right = np.unique(values).size
    found = observed(jm.DistinctCount(precision=12), values=values).compute()
    assert abs(found / right - 1) < 4 * 1.04 / 64


def test_the_standard_error_holds_from_few_to_many():
    """Over 128 samples each; no switch between estimators shows as a bias."""
    precision, samples = 8, 128
    sketch = jm.DistinctCount(precision=precision)
    error = 1.04 / 2 ** (precision / 2)

    @jax.jit
    def relative_errors(start, ranks):
        def one(offset):
            state = sketch.from_model_output(values=offset + ranks)
            return state.compute() / ranks.size - 1

        return jax.vmap(one)(start)

    for right in (1, 10, 100, 300, 640, 1280, 5000):
        start = np.arange(samples, dtype=np.int32) * 1_000_003
        found = np.asarray(relative_errors(start, np.arange(right, dtype=np.int32)))
        assert np.sqrt((found**2).mean()) < 1.25 * error, right
        assert abs(found.mean()) < 3.5 * error / math.sqrt(samples), right


@pytest.mark.parametrize("right", [1e7, 1e9, 2e9, 3e9])
def test_billions_are_told_although_a_hash_has_32_bits(right):
    """Registers drawn as hashes without replacement would leave them."""
    sketch = jm.DistinctCount(precision=12)
    rate = -(2**32) * math.log1p(-right / 2**32) / sketch.size
    waits = np.random.default_rng(3).exponential(size=sketch.size)
    runs = np.clip(np.ceil(np.log2(rate / waits)), 0, 32 - 12 + 1)
    found = sketch.replace(registers=runs).compute()
    assert found == pytest.approx(right, rel=3 * 1.04 / 64)


def test_full_registers_are_all_values_that_there_are():
    full = jm.DistinctCount(precision=4).replace(registers=np.full(16, 29.0))
    assert full.compute() == 2**32


def test_zero_has_no_sign_and_what_is_not_finite_is_counted_apart():
    values = np.float32([0, -0.0, NAN, INF, -INF, 1])
    state = observed(jm.DistinctCount(), values=values)
    assert round(state.compute()) == 2 and state.plain()["nonfinite"] == 3


def test_integers_are_told_apart_where_float32_is_not():
    near = np.arange(2**24, 2**24 + 100, dtype=np.int32)
    found = observed(jm.DistinctCount(), values=near).compute()
    assert found == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("precision", [3, 17])
def test_a_precision_out_of_range_is_refused(precision):
    with pytest.raises(ValueError, match="from 4 to 16, got"):
        jm.DistinctCount(precision=precision)


# CountMin and TopItems


def zipf(rng):
    return np.minimum(rng.zipf(1.3, COUNT), 10**6)


def geometric(rng):
    return rng.geometric(0.02, COUNT) - 200


def uniform(rng):
    return rng.integers(-(2**31), 2**31 - 1, COUNT)


def one_in_noise(rng):
    return np.where(rng.random(COUNT) < 0.02, -7, uniform(rng))


def one(rng):
    return np.full(COUNT, 7)


every_items = pytest.mark.parametrize(
    "draw", (zipf, geometric, uniform, one_in_noise, one), ids=lambda d: d.__name__
)


@functools.cache
def drawn_items(draw):
    return draw(np.random.default_rng(6)).astype(np.int32)


@every_items
def test_an_estimate_is_never_low_and_seldom_beyond_the_bound(draw):
    values = drawn_items(draw)
    items, right = np.unique(values, return_counts=True)
    sketch = observed(jm.CountMin(width=512, depth=4), values=values)
    over = sketch.estimate(items) - right
    assert over.min() >= 0
    assert (over > math.e * COUNT / 512).mean() <= math.exp(-4)


@every_items
def test_frequent_items_are_found_with_their_counts(draw):
    values = drawn_items(draw)
    found = observed(jm.TopItems(k=10), values=values).compute()
    right = collections.Counter(values.tolist())
    frequent = {item for item, n in right.most_common(10) if n > 0.005 * COUNT}
    assert frequent <= set(found["items"].tolist())
    assert (np.diff(found["counts"]) <= 0).all()
    for item, count in zip(found["items"].tolist(), found["counts"].tolist()):
        assert right[item] <= count <= right[item] + math.e * COUNT / 1024


def test_ids_of_few_bits_take_less_and_others_are_counted_apart():
    values = np.int32([3, 3, 3, 9, 9, 16, -1, 1000])
    state = observed(jm.TopItems(k=3, bits=4, width=32), values=values)
    found = state.compute()
    assert found["items"].tolist() == [3, 9, -1]
    assert found["counts"].tolist() == [3, 2, 0]
    assert state.plain()["outside"] == 3


def test_a_query_is_told_by_its_digits_and_estimate_keeps_the_shape():
    values = np.int32([[4, 4], [-1, 4]])
    sketch = observed(jm.CountMin(queries=(-1, 4)), values=values)
    assert sketch.compute() == {"-1": 1, "4": 3}
    assert sketch.estimate([[4, -1, 5]]).tolist() == [[3, 1, 0]]


@pytest.mark.parametrize("metric", [jm.CountMin(), jm.TopItems()], ids=repr)
def test_items_that_are_no_integers_are_refused(metric):
    with pytest.raises(TypeError, match="values are integers, got float32"):
        metric.update(values=np.float32([1.5]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: jm.CountMin(width=0),
        lambda: jm.CountMin(queries=(1.5,)),
        lambda: jm.TopItems(bits=33),
        lambda: jm.TopItems(k=0),
        lambda: jm.TopItems(depth=0),
        lambda: jm.Reservoir(capacity=0),
        lambda: jm.Covariance(size=0),
    ],
)
def test_sketches_that_cannot_be_are_refused(make):
    with pytest.raises(ValueError, match="[a-zA-Z]+: .*(is from|is at least|a tuple)"):
        make()


# Reservoir


@every_distribution
def test_the_sample_has_the_ranks_of_the_whole(draw):
    values, ids = drawn(draw), np.arange(COUNT, dtype=np.int32)
    state = observed(jm.Reservoir(capacity=1024), 8, values=values, ids=ids)
    found = state.compute()
    np.testing.assert_array_equal(values[found["ids"]], found["values"])
    whole = np.sort(values)
    for q in TAILS:
        value = np.quantile(found["values"], q, method="inverted_cdf")
        ranks = [
            np.searchsorted(whole, value, side) / COUNT for side in ("left", "right")
        ]
        off = max(ranks[0] - q, q - ranks[1], 0)
        assert off < 4 * math.sqrt(q * (1 - q) / 1024) + 1 / 1024


def test_any_split_and_order_draws_the_same_rows():
    values, ids = drawn(normal)[:6000], np.arange(6000, dtype=np.int32)
    order = np.random.default_rng(7).permutation(6000)
    whole = observed(jm.Reservoir(capacity=64), values=values, ids=ids)
    split = observed(
        jm.Reservoir(capacity=64), 60, values=values[order], ids=ids[order]
    )
    for mine, its in zip(jax.tree.leaves(whole), jax.tree.leaves(split), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_another_seed_draws_another_sample():
    given = dict(values=drawn(normal)[:6000], ids=np.arange(6000, dtype=np.int32))
    first, second = (
        observed(jm.Reservoir(capacity=64, seed=s), **given).compute()["ids"]
        for s in (0, 1)
    )
    assert np.intersect1d(first, second).size < 5


def test_a_reservoir_that_is_not_full_holds_everything_finite():
    values, ids = np.float32([2, NAN, 5, INF]), np.int32([40, 41, 42, 43])
    state = observed(jm.Reservoir(capacity=8), values=values, ids=ids)
    found = state.compute()
    assert sorted(found["ids"].tolist()) == [-1] * 6 + [40, 42]
    assert sorted(found["values"][:2].tolist()) == [2, 5]
    assert np.isnan(found["values"][2:]).all()
    plain = state.plain()
    assert (plain["seen"], plain["nonfinite"]) == (2, 2)


def test_rows_of_one_id_and_value_are_kept_as_often_as_they_came():
    given = dict(values=np.ones(50, np.float32), ids=np.full(50, 3, np.int32))
    found = observed(jm.Reservoir(capacity=16), **given).compute()
    assert found["ids"].tolist() == [3] * 16


def test_an_id_for_each_value_is_required():
    with pytest.raises(ValueError, match="ids have shape .* each value needs an id"):
        jm.Reservoir().update(values=np.ones((4, 2), np.float32), ids=np.arange(4))
    with pytest.raises(TypeError, match="ids are integers, got float32"):
        jm.Reservoir().update(values=np.ones(4), ids=np.ones(4, np.float32))


# Moments and Covariance


@every_distribution
def test_moments_are_those_of_scipy(draw):
    values = drawn(draw)
    found = observed(jm.Moments(), 8, values=values).compute()
    wide = values.astype(np.float64)
    spread = wide.std()
    right = [wide.mean(), wide.var()]
    if draw is constant:
        assert found["variance"] <= 1e-14 and found["mean"] == wide[0]
        return
    right += [scipy.stats.skew(wide), scipy.stats.kurtosis(wide)]
    np.testing.assert_allclose(list(found.values()), right, rtol=1e-5, atol=1e-6)
    assert spread > 0


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_an_offset_cancels_no_moment_and_no_covariance(offset):
    rng = np.random.default_rng(8)
    spread = [[1, 0.5, 0], [0.5, 2, -3], [0, -3, 100]]
    rows = rng.multivariate_normal([0, 0, 0], spread, 5000) + offset
    rows = rows.astype(np.float32)
    keep = rng.random(5000) < 0.8
    wide = rows[keep].astype(np.float64)

    found = observed(jm.Covariance(size=3), 10, values=rows, mask=keep).compute()
    np.testing.assert_allclose(found["mean"], wide.mean(0), rtol=0, atol=1e-6)
    larger = np.maximum.outer(wide.var(0), wide.var(0))
    off = np.abs(found["covariance"] - np.cov(wide.T, ddof=0)) / larger
    assert off.max() < 1e-6

    moments = observed(jm.Moments(), 10, values=rows, mask=keep).compute()
    wide = wide.ravel()
    right = wide.mean(), wide.var(), scipy.stats.skew(wide), scipy.stats.kurtosis(wide)
    np.testing.assert_allclose(list(moments.values()), right, rtol=1e-5, atol=1e-6)


def test_moments_do_not_drift_over_many_merges():
    values = np.random.default_rng(9).gamma(2, 1, (20_000, 2)).astype(np.float32)
    found = observed(jm.Moments(), 20_000, values=values.reshape(-1)).compute()
    wide = values.astype(np.float64).ravel()
    right = wide.mean(), wide.var(), scipy.stats.skew(wide), scipy.stats.kurtosis(wide)
    np.testing.assert_allclose(list(found.values()), right, rtol=2e-5)


def test_moments_of_a_constant_have_no_shape():
    found = observed(jm.Moments(), values=np.full(8, np.float32(2))).compute()
    assert (found["mean"], found["variance"]) == (2, 0)
    assert np.isnan(found["skewness"]) and np.isnan(found["kurtosis"])


def test_a_row_with_a_nan_is_left_out_of_the_covariance_and_counted():
    rows = np.float32([[1, 2], [NAN, 0], [3, 6], [0, INF]])
    state = observed(jm.Covariance(size=2), values=rows)
    assert state.compute()["covariance"].tolist() == [[1, 2], [2, 4]]
    assert state.plain()["nonfinite"] == 2


def test_rows_of_another_size_are_refused():
    with pytest.raises(ValueError, match="last axis is to be of size 3"):
        jm.Covariance(size=3).update(values=np.ones((4, 2), np.float32))


# By platform


@pytest.mark.parametrize("cells", [1, 64, 257, 6003])
def test_a_product_counts_cells_as_a_scatter_does(cells):
    rng = np.random.default_rng(10)
    index = jnp.asarray(rng.integers(-2, cells + 3, 9000), jnp.int32)
    index = jnp.where(index < 0, cells, index)
    scatter = jax.jit(_cells.cells_by_scatter, static_argnums=1)(index, cells)
    product = jax.jit(_cells.cells_by_product, static_argnums=1)(index, cells)
    np.testing.assert_array_equal(scatter, product)
    right = np.bincount(index, minlength=cells)[:cells]
    np.testing.assert_array_equal(product, right)


@pytest.mark.parametrize("bits", [3, 17, 32])
def test_a_product_counts_bits_as_a_scatter_does(bits):
    rng = np.random.default_rng(11)
    index = rng.integers(0, 40, 5000).astype(np.int32)
    words = rng.integers(0, 2**bits, 5000).astype(np.uint32)
    scatter = jax.jit(_cells.bits_by_scatter, static_argnums=(2, 3))
    product = jax.jit(_cells.bits_by_product, static_argnums=(2, 3))
    found = scatter(index, words, 37, bits)
    np.testing.assert_array_equal(found, product(index, words, 37, bits))
    inside = words[index == 8]
    right = [inside.size, *((inside >> bit & 1).sum() for bit in range(bits))]
    assert found[8].tolist() == right


def test_a_comparison_finds_the_largest_as_a_scatter_does():
    rng = np.random.default_rng(12)
    index = jnp.asarray(rng.integers(0, 300, 2000), jnp.int32)
    values = jnp.asarray(rng.integers(0, 30, 2000), jnp.int32)
    scatter = _distinct.largest_by_scatter(index, values, 300)
    comparison = _distinct.largest_by_comparison(index, values, 300)
    np.testing.assert_array_equal(scatter, comparison)


@pytest.mark.parametrize(
    "metric",
    [jm.Quantiles(), jm.DistinctCount(), jm.CountMin(), jm.TopItems()],
    ids=lambda metric: type(metric).__name__,
)
def test_a_tpu_scatters_nothing_and_a_cpu_does(metric):
    given = np.zeros(512, np.int32)
    traced = jax.jit(lambda x: metric.update(values=x)).trace(given)
    for platform, scatters in (("cpu", True), ("tpu", False)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.scatter" in text) is scatters
