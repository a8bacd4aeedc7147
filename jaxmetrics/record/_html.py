"""Lay out HTML tables, as notebooks show them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from jaxmetrics.record._text import escape


class Html(str):
    """A text that is HTML already, and is not escaped again."""


def html_table(
    names: Sequence[object],
    rows: Iterable[Iterable[object]],
    caption: str = "",
    right: int | None = None,
) -> Html:
    """Return an HTML table in which every text is shown as it is.

    Args:
      names: Names of the columns; without any the table has no head.
      rows: Cells of each row; None is empty, `Html` is put in as it is.
      caption: Text above the table. Default none.
      right: Index of the first column that is aligned to the right. Default none.

    >>> print(html_table(["key"], [["<b>"]], caption="a & b"))
    <table><caption style="text-align:left">a &amp; b</caption><thead><tr><th
    style="text-align:left">key</th></tr></thead><tbody><tr><td
    style="text-align:left">&lt;b&gt;</td></tr></tbody></table>
    """
    parts = []
    if caption:
        parts.append(f'<caption style="text-align:left">{_text(caption)}</caption>')
    if names:
        parts.append(f"<thead>{_row('th', names, right)}</thead>")
    body = "".join(_row("td", row, right) for row in rows)
    return Html(f"<table>{''.join(parts)}<tbody>{body}</tbody></table>")


def _row(tag: str, cells: Iterable[object], right: int | None) -> str:
    sides = ("left", "right")
    texts = [
        f'<{tag} style="text-align:{sides[right is not None and index >= right]}">'
        f"{_text(cell)}</{tag}>"
        for index, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(texts)}</tr>"


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, Html) else html.escape(escape(str(cell)))
