"""Integers that float32 would round, which metrics compare as they are."""

import numpy as np
import pytest

import jaxmetrics as jm

X = np.int32([3, 1, 2, 2])
INTEGER_PAIRS = [
    (jm.WinRate(), dict(chosen=X, rejected=X[::-1])),
    (jm.RewardMargin(), dict(chosen=X, rejected=np.int32([2, 2, 2, 1]))),
    (jm.IntervalCoverage(), dict(lower=X - 1, upper=X, targets=X[::-1])),
    (jm.RankHistogram(2), dict(preds=np.stack([X, X + 1], -1), targets=X[::-1])),
]


@pytest.mark.parametrize(("metric", "outputs"), INTEGER_PAIRS)
def test_integers_are_compared_as_they_are(metric, outputs):
    """Float32 has no odd integers beyond 2^24: they would tie with their neighbours."""
    right = jm.evaluate(metric, **outputs)
    offset = {name: x + 2**24 for name, x in outputs.items()}
    np.testing.assert_array_equal(jm.evaluate(metric, **offset), right)
