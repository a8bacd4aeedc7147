"""Directions of the keys of several runs, by their names and by request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaxmetrics.record import Better, direction


def directions(keys: Iterable[str], better: Mapping[str, Better]) -> dict[str, Better]:
    """Return the direction of each key for which one is known.

    Args:
      keys: Keys whose names are looked at.
      better: Directions by key, which take precedence over names.

    Raises:
      ValueError: A direction is neither `"min"` nor `"max"`.
    """
    for key, value in better.items():
        if value not in ("min", "max"):
            raise ValueError(
                f"compare() got better={{{key!r}: {value!r}}}; expected 'min' or "
                f"'max'. Choose one of them."
            )
    known: dict[str, Better] = dict(better)
    for key in keys:
        by_name = direction(key)
        if by_name is not None:
            known.setdefault(key, by_name)
    return known
