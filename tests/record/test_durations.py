"""Durations and rates as text."""

import pytest

from jaxmetrics.record import duration, rate


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (3599.6, "1h00m"),
        (86_399.0, "23h59m"),
        (86_400.0, "1d00h"),
        (8.64e7, "1000d00h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "standard", "compact"),
    [
        (1.0, "1.0 steps/s", "1.0/s"),
        (99.94, "99.9 steps/s", "99.9/s"),
        (12_345.6, "12,346 steps/s", "12,346/s"),
        (0.5, "2.0 s/step", "2.0s/step"),
        (1e-3, "1,000 s/step", "1,000s/step"),
    ],
)
def test_rates(per_second, standard, compact):
    assert rate(per_second) == standard
    assert rate(per_second, compact=True) == compact
