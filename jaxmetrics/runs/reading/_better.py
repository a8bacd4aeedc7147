"""Directions of the keys of several runs: by request, as recorded, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaxmetrics.record import NO_DIRECTIONS, Better, direction


def directions(
    keys: Iterable[str],
    better: Mapping[str, Better] = NO_DIRECTIONS,
    recorded: Iterable[Mapping[str, Better]] = (),
) -> dict[str, Better]:
    """Return the direction of each key for which one is known.

    Args:
      keys: Keys whose names are looked at.
      better: Directions by key, which take precedence over all others.
      recorded: Directions that runs recorded, by key; those of the first run that has
        one for a key count.

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
    first: dict[str, Better] = {}
    for of_run in recorded:
        first = {**of_run, **first}
    for key in keys:
        found = direction(key, first)
        if found is not None:
            known.setdefault(key, found)
    return known
