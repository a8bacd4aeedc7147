"""Parameters, errors and encodings of answers, without a server."""

import gzip
import json
import math

import numpy as np
import pytest
from starlette.requests import Request

from jaxmetrics.runs.view import _app
from jaxmetrics.runs.view._app import BadRequestError, MissingError, TooLargeError
from jaxmetrics.runs.view._root import OutsideRootError


def request(query="", **headers):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    query = query.encode()
    return Request({"type": "http", "headers": pairs, "query_string": query})


def answer_to(error, **headers):
    handlers = _app.make_app(None, None, None, None).exception_handlers
    kind = next(kind for kind in type(error).__mro__ if kind in handlers)
    return handlers[kind](request(**headers), error)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (BadRequestError("Got x."), 400, "Got x."),
        (OutsideRootError("It is outside."), 403, "It is outside."),
        (MissingError("There is no run."), 404, "There is no run."),
        (FileNotFoundError(2, "No such file", "a"), 404, "a: No such file."),
        (TooLargeError("It is large."), 413, "It is large."),
        (PermissionError(13, "Permission denied"), 500, "Permission denied."),
        (OSError("It is gone."), 500, "It is gone."),
        (ValueError("Line 3 is damaged."), 500, "Line 3 is damaged."),
        (RuntimeError("It failed."), 500, "It failed."),
    ],
    ids=repr,
)
def test_each_error_has_its_status_and_its_text(error, status, text):
    answer = answer_to(error)
    assert (answer.status_code, json.loads(answer.body)) == (status, {"error": text})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize("encodings", ["gzip", "br, gzip;q=0.5", "br", ""])
@pytest.mark.parametrize(("size", "is_long"), [(1024, False), (1025, True)])
def test_answers_of_more_than_1024_bytes_are_compressed_if_accepted(
    size, is_long, encodings
):
    error = BadRequestError("x" * (size - len('{"error":""}')))
    answer = answer_to(error, **{"accept-encoding": encodings})
    compressed = is_long and "gzip" in encodings
    assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert len(body) == size and json.loads(body)["error"] == str(error)


@pytest.mark.parametrize(
    ("query", "value"),
    [("", 7), ("n=3", 3), ("n=1", 2), ("n=2", 2), ("n=9", 9), ("n=10", 9)],
)
def test_an_integer_is_within_its_limits(query, value):
    assert _app._integer(request(query), "n", 7, 2, 9) == value


@pytest.mark.parametrize("query", ["", "n=", "n=1.5", "n=x"])
def test_a_missing_or_wrong_integer_is_an_error(query):
    with pytest.raises(BadRequestError, match="Got n=.*; expected an integer"):
        _app._integer(request(query), "n", None, 0, 9)


@pytest.mark.parametrize(
    ("query", "value"),
    [("", None), ("x=", None), ("x=-1.5", -1.5), ("x=1e999", math.inf)],
)
def test_a_number_may_be_absent_or_infinite(query, value):
    assert _app._number(request(query), "x") == value


@pytest.mark.parametrize("text", ["nan", "many"])
def test_what_is_no_number_is_an_error(text):
    with pytest.raises(BadRequestError, match=f"Got x='{text}'; expected a number"):
        _app._number(request(f"x={text}"), "x")


@pytest.mark.parametrize(
    "odd", [{}, {"big": 2**64}, {"text": "\ud800"}], ids=["plain", "big", "surrogate"]
)
def test_arrays_are_lists_and_what_is_not_finite_is_null(odd):
    content = {"a": np.array([1.0, math.nan]), "b": [(np.int64(3), math.inf)]}
    parsed = json.loads(_app._json(content | odd))
    assert {name: parsed[name] for name in "ab"} == {"a": [1, None], "b": [[3, None]]}
    assert parsed.keys() == {*content, *odd}
