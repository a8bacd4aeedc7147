"""Format numbers for tables, plots and terminals."""

from __future__ import annotations

import math


def format_number(value: float) -> str:
    """Return a value with 6 digits; nan and infinity are words.

    >>> format_number(0.123456789), format_number(123456.7), format_number(3e-4)
    ('0.123457', '123,457', '0.0003')
    >>> format_number(float("nan"))
    'nan'
    """
    if not math.isfinite(value) or abs(value) < 1e5 or abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.0f}"


def format_bytes(size: float) -> str:
    """Return a size in MiB, or in GiB from 10 GiB on.

    >>> format_bytes(512 * 2**20), format_bytes(80 * 2**30)
    ('512 MiB', '80.0 GiB')
    """
    if size < 1000 * 2**20:
        return f"{size / 2**20:.4g} MiB"
    if size < 10 * 2**30:
        return f"{size / 2**20:,.0f} MiB"
    return f"{size / 2**30:,.1f} GiB"
