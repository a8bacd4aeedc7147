"""Sums of one batch: as precise as the state, for any split, size and cell."""

import functools
import math
import re

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.forms import mesh_of

import jaxmetrics as jm
from jaxmetrics.core._cell_sum import _by_comparison, sum_cells
from jaxmetrics.core._pair_sum import pair_sum

pytestmark = pytest.mark.sampled(3)


UNIT = 2.0**-48
FLUSHED = 2.0**-126  # devices take smaller numbers for 0
SEEDS = st.integers(0, 2**32 - 1)
FEW_EXAMPLES = hypothesis.settings(max_examples=25, deadline=None, derandomize=True)

update = jax.jit(lambda metric, outputs: metric.update(**outputs))


def drawn(seed, shape, orders):
    """Return values of both signs, over some orders of magnitude, half of them paired.

    Large values cancel, so that the sum is far below that of the magnitudes.
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 10.0 ** rng.uniform(
        -orders / 2, orders / 2, shape
    )
    values = values.astype(np.float32).ravel()
    half = values.size // 2
    values[half : 2 * half] = -values[:half] * np.float32(1 + 2.0**-20)
    return rng.permutation(values).reshape(shape)


def exact(values):
    """Return sum and sum of magnitudes of float32 values."""
    values = np.asarray(values, np.float64).ravel()
    return math.fsum(values), math.fsum(np.abs(values))


def total_of(pair):
    """Return the float64 value of a pair, or of a pair of arrays."""
    return np.asarray(pair[0], np.float64) + np.asarray(pair[1], np.float64)


@hypothesis.given(SEEDS, st.sampled_from([0, 6, 60]), st.sampled_from([1, 8, 32, 256]))
@FEW_EXAMPLES
def test_sum_and_mean_are_precise_in_any_split(seed, orders, batches):
    values = drawn(seed, (1024,), orders)
    metrics = jm.Collection(sum=jm.Sum("values"), mean=jm.Mean("values"))
    for batch in np.split(values, batches):
        metrics = update(metrics, dict(values=batch))
    value, (total, magnitude) = metrics.compute(), exact(values)
    limit = (batches + 8) * UNIT * magnitude + values.size * FLUSHED
    assert abs(value["sum"] - total) <= limit
    assert abs(value["mean"] - total / values.size) <= limit / values.size + 1e-16


@hypothesis.given(SEEDS, st.sampled_from([0, 6, 60]))
@FEW_EXAMPLES
@pytest.mark.parametrize("shape", [(40_000,), (20_001,), (64, 700), (3, 33, 301)])
def test_one_large_batch_is_as_precise(shape, seed, orders):
    values = drawn(seed, shape, orders)
    total, magnitude = exact(values)
    got = update(jm.Sum(), dict(values=values)).compute()
    assert abs(got - total) <= 9 * UNIT * magnitude + values.size * FLUSHED


def test_kept_axes_are_summed_one_by_one():
    values = drawn(0, (4096, 3, 5), 6)
    hi, lo = jax.jit(lambda x: jm.total(x, keep=2).pair())(values)
    assert hi.shape == (3, 5)
    wanted, magnitude = np.vectorize(exact, signature="(n)->(),()")(values.T)
    error = np.abs(total_of((hi, lo)) - wanted.T)
    assert (error <= 9 * UNIT * magnitude.T).all()


@pytest.mark.parametrize(("shape", "keep"), [((1000,), 0), ((1024, 64), 1)])
def test_products_are_rounded_once_before_they_are_summed(shape, keep):
    """A fused multiplication and addition would take several values of one product."""
    a, b = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)
    total, magnitude = np.vectorize(exact, signature="(n)->(),()")((a * b).T)
    limit = 9 * UNIT * magnitude
    pair = jax.jit(lambda a, b: jm.total(a * b, keep=keep).pair())(a, b)
    assert (np.abs(total_of(pair) - total) <= limit).all()
    weighted = jax.jit(lambda a, b: jm.total(a, None, b, keep).pair())(a, b)
    assert (np.abs(total_of(weighted) - total) <= limit).all()


@pytest.mark.parametrize("size", [3, 1 << 15])
@pytest.mark.parametrize(
    ("special", "expected"),
    [
        ([np.inf], np.inf),
        ([-np.inf], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan], np.nan),
        ([np.nan, np.inf], np.nan),
    ],
)
def test_infinities_and_nan_pass(size, special, expected):
    values = np.ones(size, np.float32)
    values[: len(special)] = special
    got = update(jm.Sum(), dict(values=values)).compute()
    np.testing.assert_equal(got, expected)
    hi, lo = jm.total(values).pair()
    np.testing.assert_equal(float(lo), 0.0)


def test_constants_are_not_folded_away():
    small = np.full(1 << 15, 1e-9, np.float32)

    def total(x):
        return jm.total(jnp.concatenate([jnp.ones(1 << 15, jnp.float32), x])).pair()

    values = np.concatenate([np.ones(1 << 15, np.float32), small])
    wanted, magnitude = exact(values)
    assert abs(total_of(jax.jit(total)(small)) - wanted) <= 9 * UNIT * magnitude
    constant = jax.jit(lambda: jm.total(jnp.full(1 << 15, 0.1, jnp.float32)).pair())()
    assert total_of(constant) == float(np.float32(0.1)) * (1 << 15)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_integers_sum_exactly(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(
        limits.min, limits.max, 40_000, dtype, endpoint=True
    )
    assert update(jm.Sum(), dict(values=values)).compute() == values.sum(dtype=object)


class CountOfTotals(jm.Metric):
    """Sums of integers by column."""

    columns: int = 3
    counts: jm.Array = jm.count_leaf("columns")

    def observe(self, *, values, mask=None):
        return dict(counts=jm.total(values, mask, keep=1))

    def compute(self):
        return self.counts


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_a_count_takes_sums_of_integers_beyond_32_bits(dtype):
    """The float next to 2^32 - 1 is 2^32: the rest of -1 borrows from the high limb."""
    largest = np.iinfo(dtype).max
    values = np.full((5000, 3), largest, dtype)
    values[2:, 1], values[:, 2] = 0, 0
    values[0, 2], values[1, 2] = largest, largest % 7
    metric, mask = CountOfTotals(), np.arange(5000) < 4999
    got = update(metric, dict(values=values, mask=mask)).compute()
    assert got.tolist() == values[:-1].sum(0, dtype=np.int64).tolist()
    with pytest.raises(TypeError, match="a count takes integers, got a sum of float32"):
        metric.update(values=values.astype(np.float32))


def test_sums_and_means_can_be_differentiated():
    values = np.linspace(1, 2, 1 << 15, dtype=np.float32).reshape(8, -1)

    def mean_square(x):
        return jm.Mean("x").update(x=x * x).compute()

    slope = jax.jit(jax.grad(mean_square))(values)
    np.testing.assert_allclose(slope, 2 * values / values.size, rtol=1e-6)
    index = np.arange(4, dtype=np.int32) % 2
    weighted = jax.grad(lambda w: jm.count_at(index, (2,), None, w).pair()[0][1])
    np.testing.assert_array_equal(weighted(np.ones(4, np.float32)), index)


def collectives(compiled):
    """Return the number of elements of the output of each collective."""
    found = re.findall(
        r"= \(?(\w+\[[\d,]*\]).*? (all-\w+|reduce-scatter|collective-permute)\(",
        compiled.as_text(),
    )
    shapes = [re.findall(r"\d+", shape.split("[")[1]) for shape, _ in found]
    return [math.prod(map(int, shape)) for shape in shapes]


@pytest.mark.parametrize("shape", [(1 << 17,), (8 * 625 * 8,), (64, 2048)])
def test_a_sharded_batch_stays_where_it_is(shape):
    sharding = NamedSharding(mesh_of(), P("data"))
    values = jax.device_put(drawn(1, shape, 6), sharding)
    compiled = jax.jit(lambda x: jm.total(x).pair()).lower(values).compile()
    moved = collectives(compiled)
    assert moved and max(moved) <= 256
    total, magnitude = exact(values)
    assert abs(total_of(compiled(values)) - total) <= 9 * UNIT * magnitude


def test_a_shard_sums_without_a_collective():
    values = jax.device_put(
        drawn(1, (1 << 17,), 6), NamedSharding(mesh_of(), P("data"))
    )

    def sums(x):
        return jnp.stack(jm.total(x).pair())[None]

    spec = P("data")
    for check_vma in (False, True):
        body = jax.shard_map(
            sums, mesh=mesh_of(), in_specs=spec, out_specs=spec, check_vma=check_vma
        )
        compiled = jax.jit(body).lower(values).compile()
        assert collectives(compiled) == []
        total, magnitude = exact(values)
        got = math.fsum(np.asarray(compiled(values), np.float64).ravel())
        assert abs(got - total) <= 9 * UNIT * magnitude


@hypothesis.given(SEEDS, st.sampled_from([0, 6, 60]))
@FEW_EXAMPLES
def test_each_cell_is_precise_beside_much_larger_ones(seed, orders):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, 9, 5000).astype(np.int32)
    weights = drawn(seed, (5000,), 6) * np.float32(10.0) ** np.float32(index - 4)
    pair = _jitted_cells(weights, index, 8)
    for by in (pair, _jitted_comparison(weights, index)):
        for cell in range(8):
            total, magnitude = exact(weights[index == cell])
            got = total_of(by)[cell]
            assert abs(got - total) <= 9 * UNIT * magnitude + 5000 * FLUSHED


_jitted_cells = jax.jit(sum_cells, static_argnums=2)
_jitted_comparison = jax.jit(functools.partial(_by_comparison, cells=8))


@pytest.mark.parametrize("rows", [4, 1 << 15])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_stays_in_its_cell(bad, rows):
    index, weights = np.full(rows, 9, np.int32), np.ones(rows, np.float32)
    index[:4], weights[:4] = [0, 1, 1, 2], [1, bad, 2, 3]
    hi, lo = jm.count_at(index, (4,), None, weights).pair()
    np.testing.assert_array_equal(hi, np.float32([1, bad, 3, 0]))
    np.testing.assert_array_equal(lo, 0)


def test_a_sharded_count_by_cell_moves_tables_only():
    sharding = NamedSharding(mesh_of(), P("data"))
    rows = 1 << 17
    index = np.arange(rows, dtype=np.int32) % 15
    index, weights = jax.device_put((index, np.full(rows, 0.1, np.float32)), sharding)

    def counts(index, weights):
        return jm.count_at(index, (15,), None, weights).pair()

    compiled = jax.jit(counts).lower(index, weights).compile()
    assert max(collectives(compiled)) <= 15 * 16
    got = total_of(compiled(index, weights))
    wanted = np.bincount(index) * float(np.float32(0.1))
    np.testing.assert_allclose(got, wanted, rtol=9 * UNIT)


ROWS = 1 << 25


def in_one_batch(metric, outputs):
    """Return the value of one batch."""
    return update(metric, outputs).compute()


def in_batches(metric, outputs):
    """Return the value of 32 batches."""
    parts = {name: np.split(output, 32) for name, output in outputs.items()}
    for i in range(32):
        metric = update(metric, {name: part[i] for name, part in parts.items()})
    return metric.compute()


@pytest.mark.parametrize("fed", [in_one_batch, in_batches])
def test_a_batch_of_any_size_keeps_the_promise(fed):
    """Of 2^25 rows, of which a float32 sum of ones would stop at 2^24."""
    probs = np.float32(0.7) + np.float32(0.3) * np.random.default_rng(0).random(
        ROWS, np.float32
    )
    labels = (probs < 0.9).astype(np.int32)
    wide = probs.astype(np.float64)
    weighted = np.full(ROWS, 0.75, np.float32)
    metrics = jm.Collection(
        mean=jm.Mean("probs"),
        weights=jm.Sum("labels", weighted=True),
        ones=jm.Histogram("probs", low=0, high=1, bins=2),
        ece=jm.ExpectedCalibrationError(
            1, task="binary", scores="probs", ignore_index=-100
        ),
    )
    value = fed(metrics, dict(probs=probs, labels=labels, weights=weighted))
    relative = 40 * UNIT + 1e-15
    assert value["mean"] == pytest.approx(wide.mean(), rel=relative)
    assert value["weights"] == 0.75 * labels.sum()
    assert value["ones/counts"].tolist() == [0, ROWS]
    gap = abs(labels.sum() - wide.sum())
    assert value["ece"] == pytest.approx(gap / ROWS, rel=1e-9)


def test_a_scalar_and_an_empty_batch():
    assert total_of(pair_sum((jnp.float32(3),), ())) == 3
    assert jm.total(np.zeros((0, 4), np.float32)).value() == 0
    assert jm.total(np.float32(2)).value() == 2


def test_the_sum_of_many_arrays_compiles_to_one_compensated_sum():
    arrays = [np.full(1 << 15, 1.0 + i, np.float32) for i in range(40)]
    sums = jax.jit(lambda xs: sum(map(jm.total, xs)).pair())
    assert total_of(sums(arrays)) == sum(map(np.sum, arrays))
    compiled = sums.lower(arrays).compile().as_text()
    assert compiled.count("reduce(") <= len(arrays) + 4
