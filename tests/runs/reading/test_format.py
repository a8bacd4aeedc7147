import pytest

from jaxmetrics.runs.reading._format import format_bytes, format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (99_999.5, "99999.5"), (100_000.4, "100,000"), (-2e6, "-2,000,000")]
    + [(1e15, "1e+15"), (float("inf"), "inf")],
)
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("mebibytes", "text"),
    [(0.5, "0.5 MiB"), (512.25, "512.2 MiB"), (10_239, "10,239 MiB")]
    + [(10_240, "10.0 GiB")],
)
def test_bytes(mebibytes, text):
    assert format_bytes(mebibytes * 2**20) == text


def test_a_thousand_mebibytes_have_a_separator():
    assert format_bytes(1000 * 2**20) == "1,000 MiB"
