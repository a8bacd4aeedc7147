"""Values are packed as bytes and unpacked unchanged."""

import math
import random

import numpy as np
import pytest

from jaxmetrics.record import pack, unpack


def test_values_that_cannot_be_packed_are_an_error():
    for value in (object(), np.array([None]), np.array(["text"])):
        with pytest.raises(TypeError, match="pack"):
            pack({"x": [value]})


def test_bits_and_large_integers_survive_packing():
    bits = np.array([math.nan, -0.0, 5e-324, math.inf])
    value = {
        "a": [bits, np.zeros((0, 3), np.uint32)],
        "n": 2**200,
        "x": -math.inf,
        "s": "NaN",
    }
    unpacked = unpack(pack(value))
    np.testing.assert_array_equal(unpacked["a"][0].view(np.int64), bits.view(np.int64))
    assert unpacked["a"][1].shape == (0, 3) and unpacked["a"][1].dtype == np.uint32
    assert (unpacked["n"], unpacked["x"], unpacked["s"]) == (2**200, -math.inf, "NaN")


def test_unpacked_arrays_can_be_written_to_and_share_no_memory():
    packed = pack([np.arange(3), np.arange(3)])
    first, second = unpack(packed)
    first[:] = 9
    assert second.tolist() == [0, 1, 2]
    assert unpack(packed)[0].tolist() == [0, 1, 2]


def test_tuples_are_unpacked_as_lists():
    assert unpack(pack({"a": (1, (2.5, None))})) == {"a": [1, [2.5, None]]}


def test_damaged_bytes_are_unpacked_or_refused():
    source = random.Random(1)
    packed = pack({"a": np.arange(4.0), "b": [1, "x", np.zeros((2, 3), np.uint8)]})
    refused = 0
    for _ in range(3000):
        data = bytearray(packed)
        for _ in range(source.randint(1, 3)):
            data[source.randrange(len(data) - 40)] = source.randrange(256)
        try:
            unpack(bytes(data[: source.choice((None, source.randrange(len(data))))]))
        except ValueError as error:
            assert str(error).startswith("unpack() got")
            refused += 1
    assert 0 < refused < 3000
