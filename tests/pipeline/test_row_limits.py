"""Size limits of a row."""

import math

import pytest

from jaxmetrics.pipeline._row_limits import MAX_BYTES, MAX_VALUES, within_limits


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_1023_bits_is_kept_and_a_longer_one_left_out(sign):
    longest = {"a": sign * (2**1023 - 1)}
    assert within_limits(longest) == (longest, {})
    assert math.isfinite(longest["a"])
    limit = "an integer of more than 1023 bits"
    longer = {"a": sign * 2**1023, "b": 1}
    assert within_limits(longer) == ({"b": 1}, {limit: ["a"]})


def test_values_beyond_the_maximum_number_are_left_out_in_order():
    values = {f"k{number}": 0.5 for number in range(MAX_VALUES + 2)}
    kept, left_out = within_limits(values)
    assert list(kept) == list(values)[:MAX_VALUES]
    assert left_out == {"a row of more than 10,000 values": ["k10000", "k10001"]}


def test_values_beyond_the_maximum_bytes_are_left_out():
    values = {f"{number:0600}": 0.5 for number in range(2000)}
    kept, left_out = within_limits(values)
    ((limit, keys),) = left_out.items()
    assert limit == f"a row of more than {MAX_BYTES:,} bytes"
    assert list(kept) + keys == list(values)
    assert 600 * len(kept) < MAX_BYTES < 700 * len(kept)
