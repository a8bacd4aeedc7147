"""NonFiniteCount, by hand."""

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


def test_nan_and_infinities_are_counted_unless_masked():
    values = [[1, NAN], [INF, -INF]]
    assert jm.evaluate(jm.NonFiniteCount(), values=values) == 3
    masked = dict(values=values, mask=[True, False])
    assert jm.evaluate(jm.NonFiniteCount(), **masked) == 1


def test_integers_are_finite():
    assert jm.evaluate(jm.NonFiniteCount("labels"), labels=[1, 2]) == 0
