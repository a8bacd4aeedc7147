"""Format durations and rates for people."""

from __future__ import annotations

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def rate(per_second: float, compact: bool = False) -> str:
    """Return a rate of steps as text: steps per second, or seconds per step if slower.

    Args:
      per_second: Steps per second, positive.
      compact: If true, leave out the spaces and the word "steps". Default False.

    >>> rate(3.21), rate(0.05), rate(1234.0), rate(0.05, compact=True)
    ('3.2 steps/s', '20.0 s/step', '1,234 steps/s', '20.0s/step')
    """
    number, unit = (per_second, "/s") if per_second >= 1 else (1 / per_second, "s/step")
    text = f"{number:,.0f}" if number >= 100 else f"{number:.1f}"
    if compact:
        return text + unit
    return f"{text} steps/s" if unit == "/s" else f"{text} {unit}"


def duration(seconds: float, fraction: bool = False) -> str:
    """Return a duration in its two largest units.

    Args:
      seconds: Duration, non-negative.
      fraction: If true, durations below a minute have 3 significant digits.

    >>> duration(9.7), duration(3720), duration(200_000)
    ('10s', '1h02m', '2d07h')
    >>> duration(9.7, fraction=True), duration(0.01234, fraction=True)
    ('9.7s', '0.0123s')
    """
    if fraction and (rounded := float(f"{seconds:.3g}")) < 60:
        return f"{rounded:g}s"
    whole = round(seconds)
    for (unit, size), (smaller, part) in zip(_UNITS, _UNITS[1:]):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"
