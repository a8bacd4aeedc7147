"""Lay out Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def markdown_table(
    names: Sequence[object],
    rows: Iterable[Iterable[object]],
    escape: Callable[[Any], str],
    right: int | None = None,
) -> str:
    """Return a Markdown table, with a newline after each line.

    Args:
      names: Names of the columns.
      rows: Cells of each row.
      escape: Function from a cell to its text, which keeps the cell on one line and
        escapes the `|` in it; renderers differ in the rest.
      right: Index of the first column that is aligned to the right. Default none.

    >>> print(markdown_table(["key", "last"], [["loss", 0.5]], str, right=1), end="")
    | key | last |
    | --- | ---: |
    | loss | 0.5 |
    """
    right = len(names) if right is None else right
    rules = ["---" if i < right else "---:" for i in range(len(names))]
    body = (map(escape, row) for row in rows)
    lines = [map(escape, names), rules, *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
