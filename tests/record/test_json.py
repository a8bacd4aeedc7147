"""Strict JSON, written and read."""

import datetime
import enum
import json
import math
import uuid

import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import _json, dumps, loads, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")],
)
def test_non_finite_values_are_written_as_strings_and_read_back(value, text):
    for number_type in (float, np.float32, ml_dtypes.bfloat16):
        assert dumps([number_type(value)]) == f'["{text}"]'
    back = number(loads(dumps(value)))
    assert type(back) is float
    assert back == value or math.isnan(back) and math.isnan(value)


@pytest.mark.parametrize(
    "value", [0.1, 5e-324, 1.7976931348623157e308, -0.0, 1e16, 2.0**53 + 2]
)
def test_floats_are_read_back_to_the_bit(value):
    assert math.copysign(1, loads(dumps(value))) == math.copysign(1, value)
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.10000000149011612"),
        (np.float16(0.1), "0.0999755859375"),
        (ml_dtypes.bfloat16(0.1), "0.10009765625"),
        (ml_dtypes.float8_e4m3fn(0.5), "0.5"),
        (np.float64(0.1), "0.1"),
        (np.int32(-3), "-3"),
        (np.uint64(2**63 - 1), "9223372036854775807"),
        (np.uint64(2**64 - 1), '"18446744073709551615"'),
        (np.bool_(True), "true"),
        (np.array(2.5, np.float32), "2.5"),
        (np.str_("x"), '"x"'),
    ],
)
def test_numpy_scalars_are_widened_and_exact(value, text):
    assert dumps(value) == text


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_integers_of_64_bits_are_numbers(value):
    assert dumps(value) == str(value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**300])
def test_larger_integers_are_written_as_strings_and_read_back_exactly(value):
    assert dumps(value) == f'"{value}"'
    assert number(loads(dumps(value))) == value


@pytest.mark.parametrize(
    "text", ["nan", "inf", "12", "-", "1e5", "", "9" * 18, "0" * 30, "1" + "0" * 18]
)
def test_other_text_is_not_taken_for_a_number(text):
    assert number(text) == text


def test_values_that_are_not_text_are_returned_unchanged():
    assert number(3) == 3
    assert number(None) is None


def test_text_is_ascii_on_one_line():
    text = dumps({"a\nb": "é\u2028\U0001f600"})
    assert text.isascii()
    assert "\n" not in text
    assert loads(text) == {"a\nb": "é\u2028\U0001f600"}


@pytest.mark.parametrize("text", ["\ud800", "a\udcff/\U0001f600", "\ude00\ud83d"])
def test_lone_surrogates_are_escaped_so_that_strict_readers_take_the_text(text):
    escaped = text.encode("utf-8", "backslashreplace").decode()
    written = dumps({text: [text, {"a": text}]})
    expected = {escaped: [escaped, {"a": escaped}]}
    assert orjson.loads(written) == loads(written) == expected
    by_others = json.dumps({text: [text, {"a": text}]})
    raw = json.dumps({text: [text, {"a": text}]}, ensure_ascii=False)
    for read in (by_others, by_others.replace("ud", "uD"), by_others.encode(), raw):
        assert loads(read) == expected


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"train/loss": object()}, r"object at value\['train/loss'\]"),
        ({"a": [1, {"b": b"x"}]}, r"bytes at value\['a'\]\[1\]\['b'\]"),
        ({"a": np.zeros(2)}, r"ndarray at value\['a'\]"),
        ({"a": 1j}, "complex"),
        ({"a": np.complex64(1)}, "complex64"),
        ({"a": {1, 2}}, "set"),
        ({"a": np.datetime64("2020-01-01")}, "datetime64"),
        ({"a": {3: 1}}, r"key 3 of type int in value\['a'\]"),
    ],
)
def test_types_that_json_does_not_have_are_refused_with_their_place(value, where):
    with pytest.raises(TypeError, match=where):
        dumps(value)


def test_a_cycle_is_refused():
    cycle = {}
    cycle["self"] = cycle
    with pytest.raises(ValueError, match="contains itself"):
        dumps(cycle)


def test_an_integer_that_python_will_not_print_is_refused():
    with pytest.raises(ValueError, match=r"bits at value\['a'\]"):
        dumps({"a": 10**5000})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "{'a': 1}",
        "1 2",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        "[-" + "9" * 5000 + "]",
        b"\xff\xfe{\x00",
        b'"\xc3"',
        b"\xef\xbb\xbf{}",
        b"\x00",
        '"\x01"',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_anything_but_strict_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        loads(text)


def test_bytes_are_decoded_as_utf8_only():
    assert loads('{"a":"é"}'.encode()) == {"a": "é"}
    with pytest.raises(ValueError):
        loads('{"a":1}'.encode("utf-16"))


def test_the_python_reader_of_strict_json_agrees():
    def refuse(constant):
        raise AssertionError(constant)

    row = {"a": math.nan, "b": [np.float32(1.5), None, True], "c": {"d": "x"}}
    back = json.loads(dumps(row), parse_constant=refuse)
    assert back == {"a": "NaN", "b": [1.5, None, True], "c": {"d": "x"}}


@pytest.mark.parametrize(
    "value",
    [
        {np.str_("a"): 1},
        {"a": "\u00e9\u2028"},
        ['\x7f\x00"'],
        [2**63 - 1, -(2**63)],
        1e-5,
        1e16,
        5e-324,
    ],
)
def test_text_is_that_of_the_standard_library_or_reads_the_same(value):
    text = dumps(value)
    assert text.isascii()
    assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize("depth", [200, 300, 400])
def test_deep_values_are_written(depth):
    value = []
    for _ in range(depth):
        value = [value]
    assert dumps(value) == "[" * (depth + 1) + "]" * (depth + 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ('{"a":-9223372036854775809}', {"a": -(2**63) - 1}),
        ("[1,\t-9223372036854775809]", [1, -(2**63) - 1]),
        ('"\\ud800"', "\\ud800"),
        ("1e999", math.inf),
    ],
)
def test_texts_that_a_faster_reader_would_change_or_refuse_are_read(text, value):
    assert loads(text) == value


DIGITS = st.text("0123456789", min_size=1, max_size=24)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "-", "+"]),
    DIGITS | st.integers(2**63 - 9, 2**64 + 9).map(str) | st.just("0"),
    st.just("") | DIGITS.map(".{}".format),
    st.just("")
    | st.builds("{}{}".format, st.sampled_from(["e", "E-", "e+"]), DIGITS)
    | st.builds("e{}".format, st.integers(-345, 310)),
)
TEXTS = st.text(max_size=4) | st.text(
    '\ud83d\ude00\\"/\x00\x1f\x7f\xe9\ufeff', max_size=4
)
STRINGS = st.builds(json.dumps, TEXTS, ensure_ascii=st.booleans()).map(
    lambda text: text.encode("utf-8", "surrogatepass").decode("latin-1")
)
WORDS = st.sampled_from(["true", "null", "NaN", "-Infinity", "1", "{", "}", "[]", ""])
SCALARS = NUMBERS | STRINGS | WORDS
SPACES = st.sampled_from(["", "", "", " ", "\t\r", "\n", "\x0c", "\xa0"])


def pairs(values):
    return st.builds("{}{}:{}".format, SPACES, STRINGS, values)


def objects(values):
    members = st.lists(pairs(values), max_size=4).map(",".join)
    return st.builds("{{{}}}{}".format, members, SPACES)


def arrays(values):
    return st.lists(values, max_size=4).map(lambda items: f"[{','.join(items)}]")


VALUES = st.recursive(SCALARS, lambda v: objects(v) | arrays(v), max_leaves=8)
LATIN = st.builds("{}{}".format, SPACES, objects(SCALARS) | VALUES)
EDITS = st.lists(
    st.tuples(
        st.integers(0, 80),
        st.integers(0, 3),
        st.binary(max_size=2) | NUMBERS.map(str.encode) | st.just(b"\\ud83d"),
    ),
    max_size=2,
)


def edited(text, edits):
    """Return text in bytes, with some of them replaced."""
    data = text.encode("latin-1")
    for start, length, new in edits:
        data = data[:start] + new + data[start + length :]
    return data


def outcome(function, value):
    """Return the representation of a result, in which -0.0 is not 0, or the refusal."""
    try:
        return repr(function(value))
    except ValueError as error:
        return str(error)


def assert_parsers_agree(data):
    assert outcome(loads, data) == outcome(_json._loads_exactly, data)
    try:
        fast = repr(orjson.loads(_json.orjson_lines(data)))
    except ValueError:
        return
    assert fast == outcome(_json._loads_exactly, data)


@settings(max_examples=200, deadline=None)
@given(st.builds(edited, LATIN, EDITS) | st.binary())
def test_the_fast_parser_and_the_exact_one_agree(data):
    assert_parsers_agree(data)


@settings(deadline=None)
@given(st.floats() | st.floats(1e-5, 1e-2), st.integers(-(2**70), 2**70))
def test_the_parsers_agree_on_numbers_that_were_written(real, integer):
    assert_parsers_agree(json.dumps({"a": real, "b": [integer]}).encode())


@settings(deadline=None)
@given(
    st.lists(NUMBERS, min_size=1, max_size=5),
    st.sampled_from(["{}", '{{"a":{}}}', "[1,{}]", "[1,\t{}]", ' {{"a": [{}]}}']),
)
def test_the_parser_of_a_chunk_is_exact_for_each_of_its_lines(numbers, form):
    lines = [form.format(number).encode() for number in numbers]
    parsed = _json.orjson_lines(b"\n".join(lines)).split(b"\n")
    for line, fast in zip(lines, parsed, strict=True):
        try:
            value = repr(orjson.loads(fast))
        except ValueError:
            continue
        assert value == outcome(_json._loads_exactly, line)


PLAIN = (
    st.sampled_from([None, True, "null", math.nan, math.inf, -math.inf, 0.1, -0.0])
    | st.sampled_from(
        [2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400]
    )
    | st.integers(-(2**54), 2**54)
    | st.floats()
)
ODD = (
    TEXTS
    | st.builds(np.float32, st.floats(width=32))
    | st.builds(np.str_, TEXTS)
    | st.lists(st.floats(), max_size=2)
)
NAMES = st.sampled_from(["step", "a/b", "\xe9", "\ud800", np.str_("c")])


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b"]), PLAIN)
    | st.dictionaries(NAMES, PLAIN | ODD, max_size=3)
)
def test_a_mapping_of_scalars_is_written_as_any_other_value(value):
    assert dumps(value) == _json._encode(_json._plain(value))


class Record(dict):
    pass


def test_types_that_the_encoder_knows_and_json_does_not_are_refused():
    for value in (datetime.date(2020, 1, 1), uuid.UUID(int=0), Colour.RED):
        with pytest.raises(TypeError, match="expected numbers"):
            dumps({"a": 1, "b": value})
    with pytest.raises(TypeError, match="keys are strings"):
        dumps({1: 1})
    assert dumps(Record(a=math.nan)) == '{"a":"NaN"}'


class Colour(enum.Enum):
    RED = "red"


def test_a_line_of_scalars_is_written_without_a_copy(monkeypatch):
    monkeypatch.delattr(_json, "_plain")
    line = {"step": 1, "split": "val", "a": 0.5, "b": 2**53 - 1, "c": True, "d": "nul"}
    assert json.loads(dumps(line)) == line


@pytest.mark.parametrize(
    "text", ["[" * 1000 + "]" * 1000, '{"a":' * 999 + "1" + "}" * 999]
)
def test_nesting_that_a_faster_reader_would_take_is_refused(text):
    with pytest.raises(ValueError, match="nested too deep"):
        loads(text)
