"""CountMin and TopItems: error bounds on skewed and uniform integers."""

import collections
import functools
import math

import numpy as np
import pytest
from support.samples import COUNT, observed

import jaxmetrics as jm


def zipf(rng):
    return np.minimum(rng.zipf(1.3, COUNT), 10**6)


def geometric(rng):
    return rng.geometric(0.02, COUNT) - 200


def uniform(rng):
    return rng.integers(-(2**31), 2**31 - 1, COUNT)


def one_item_in_noise(rng):
    return np.where(rng.random(COUNT) < 0.02, -7, uniform(rng))


def one_item(rng):
    return np.full(COUNT, 7)


every_distribution = pytest.mark.parametrize(
    "draw",
    (zipf, geometric, uniform, one_item_in_noise, one_item),
    ids=lambda draw: draw.__name__,
)


@functools.cache
def sample(draw):
    return draw(np.random.default_rng(6)).astype(np.int32)


@every_distribution
def test_an_estimate_is_never_too_low_and_rarely_beyond_the_bound(draw):
    values = sample(draw)
    items, exact = np.unique(values, return_counts=True)
    sketch = observed(jm.CountMin(width=512, depth=4), values=values)
    excess = sketch.estimate(items) - exact
    assert excess.min() >= 0
    assert (excess > math.e * COUNT / 512).mean() <= math.exp(-4)


@every_distribution
def test_frequent_items_are_found_with_their_counts(draw):
    values = sample(draw)
    top = observed(jm.TopItems(k=10), values=values).compute()
    exact = collections.Counter(values.tolist())
    frequent = {item for item, n in exact.most_common(10) if n > 0.005 * COUNT}
    assert frequent <= set(top["items"].tolist())
    assert (np.diff(top["counts"]) <= 0).all()
    for item, count in zip(top["items"].tolist(), top["counts"].tolist()):
        assert exact[item] <= count <= exact[item] + math.e * COUNT / 1024


def test_with_few_bits_larger_items_are_counted_separately():
    values = np.int32([3, 3, 3, 9, 9, 16, -1, 1000])
    state = observed(jm.TopItems(k=3, bits=4, width=32), values=values)
    top = state.compute()
    assert top["items"].tolist() == [3, 9, -1]
    assert top["counts"].tolist() == [3, 2, 0]
    assert state.plain()["outside"] == 3


def test_queries_are_keyed_by_the_integer_and_estimate_keeps_the_shape():
    values = np.int32([[4, 4], [-1, 4]])
    sketch = observed(jm.CountMin(queries=(-1, 4)), values=values)
    assert sketch.compute() == {"-1": 1, "4": 3}
    assert sketch.estimate([[4, -1, 5]]).tolist() == [[3, 1, 0]]


def test_integers_beyond_32_bits_have_no_estimate():
    metric = jm.CountMin("ids").update(ids=np.full(3, 5))
    assert metric.estimate([5, -1, 2**32 - 1]).tolist() == [3, 0, 0]
    with pytest.raises(ValueError, match="4294967301, but values have 32 bits"):
        metric.estimate([2**32 + 5])
    with pytest.raises(ValueError, match="CountMin: queries hold 4294967301"):
        jm.CountMin("ids", queries=(5, 2**32 + 5))


@pytest.mark.parametrize("metric", [jm.CountMin(), jm.TopItems()], ids=repr)
def test_values_that_are_not_integers_are_refused(metric):
    with pytest.raises(TypeError, match="values must be integers, got float32"):
        metric.update(values=np.float32([1.5]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: jm.CountMin(width=0), "CountMin: width must be from 1"),
        (lambda: jm.TopItems(bits=33), "TopItems: bits is 33, but must be"),
        (lambda: jm.TopItems(k=0), "TopItems: k is 0, but must be"),
        (lambda: jm.TopItems(depth=0), "TopItems: width must be from 1"),
    ],
)
def test_an_impossible_configuration_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("sketch", [jm.TopItems("n"), jm.Worst("n"), jm.Reservoir("n")])
def test_unsigned_integers_are_refused_where_they_would_come_out_negative(sketch):
    numbers = np.uint32([2**31 + 5])
    with pytest.raises(TypeError, match=r"uint32, but are returned as int32.*astype"):
        sketch.update(n=numbers, ids=numbers)
    narrow = jm.TopItems("n", bits=31).update(n=numbers)
    assert narrow.plain()["outside"] == 1
