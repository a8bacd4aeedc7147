"""Flatten nested mappings to names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(
    value: object, name: str = "", separator: str = "/"
) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings with their joined names, in order.

    Everything but a mapping is a leaf, and so is an empty mapping.

    Args:
      value: Mapping, or a leaf.
      name: Name of the value, put before those of its parts.
      separator: Text between the parts of a name.

    >>> dict(flatten({"lr": 0.1, "model": {"layers": 2, "dims": [1, 2]}}))
    {'lr': 0.1, 'model/layers': 2, 'model/dims': [1, 2]}
    >>> dict(flatten({"p50": 1.0}, "length"))
    {'length/p50': 1.0}
    """
    if isinstance(value, Mapping) and value:
        for part, inner in value.items():
            path = f"{name}{separator}{part}" if name else str(part)
            yield from flatten(inner, path, separator)
    else:
        yield name, value
