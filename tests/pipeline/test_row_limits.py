"""Size limits of a row."""

import math

import numpy as np
import pytest

from jaxmetrics.pipeline._row_limits import (
    MAX_BYTES,
    MAX_MEDIA_BYTES,
    MAX_VALUES,
    media_within_limits,
    within_limits,
)
from jaxmetrics.record import Media, dumps
from jaxmetrics.record._reader import LINE_LIMIT


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


@pytest.mark.parametrize("kind", ["text", "table", "histogram"])
def test_media_beyond_the_maximum_bytes_are_left_out_and_tables_cut(kind):
    text = "\x00" * 2**16  # six bytes each in JSON
    bins = np.zeros(2**17), np.zeros(2**17 + 1)
    table = ["text"], [[text]] * 20
    value = {"text": text, "table": table, "histogram": bins}[kind]
    values = {f"train/{place}": value for place in range(50)}
    kept, left_out = media_within_limits(kind, values)
    ((limit, keys),) = left_out.items()
    assert limit == f"a {kind} record of more than {MAX_MEDIA_BYTES:,} bytes"
    lines = {"text": 39, "table": 39, "histogram": 1}[kind]  # that fit
    if kind == "table":
        assert [len(rows) for _, rows in kept.values()] == [20, 19] + [0] * 48
        assert keys == list(values)[1:]
    else:
        assert list(kept) == list(values)[:lines] and keys == list(values)[lines:]
    line = Media(1, "train", kept, 0.0, kind=kind).line()
    assert len(dumps(line if kind != "histogram" else {})) < LINE_LIMIT


def test_values_beyond_the_maximum_bytes_are_left_out():
    values = {f"{number:0600}": 0.5 for number in range(2000)}
    kept, left_out = within_limits(values)
    ((limit, keys),) = left_out.items()
    assert limit == f"a row of more than {MAX_BYTES:,} bytes"
    assert list(kept) + keys == list(values)
    assert 600 * len(kept) < MAX_BYTES < 700 * len(kept)
