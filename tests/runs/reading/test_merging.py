"""Series are merged by x as sets are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxmetrics.runs.reading import at_common_x, merged_x

STEPS = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 9), max_size=9)
SETS = STEPS.map(lambda steps: np.array(sorted(set(steps)), np.int64))


@given(st.lists(STEPS, max_size=4), st.integers(1, 2))
def test_merged_x_are_the_different_values_of_all_arrays(lists, times):
    arrays = [np.array(steps, np.int64) for steps in lists] * times
    expected = sorted({x for steps in lists for x in steps})
    assert merged_x(arrays).tolist() == expected


@given(SETS, SETS, st.booleans())
def test_series_have_the_values_at_the_x_of_both(first, second, equal):
    second = first.copy() if equal else second
    x, a, b = at_common_x((first, first * 0.5), (second, second * 0.25))
    assert x.tolist() == sorted(set(first.tolist()) & set(second.tolist()))
    np.testing.assert_array_equal([a, b], [x * 0.5, x * 0.25])


def test_equal_x_are_compared_and_not_sorted(monkeypatch):
    sorts, concatenate = [], np.concatenate

    def count(arrays):
        sorts.append(len(arrays))
        return concatenate(arrays)

    monkeypatch.setattr(np, "concatenate", count)
    monkeypatch.delattr(np, "intersect1d")
    x, y = np.arange(3), np.ones(3)
    assert merged_x([x.copy() for _ in range(5)]).tolist() == [0, 1, 2]
    assert len(sorts) == 1
    assert at_common_x((x, y), (x.copy(), y))[0] is x
