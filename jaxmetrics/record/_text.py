"""Text of other people's, shown where it could be obeyed: terminals, spreadsheets."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escape(text: str) -> str:
    """Text without anything that a terminal would obey.

    >>> escape("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else _code(c) for c in text)


def text_cell(text: str) -> str:
    """Text that a spreadsheet shows and does not run, on one line.

    What could begin a formula has an apostrophe before it, and so has what begins with
    an apostrophe, so that no two texts become one.

    >>> text_cell("=1+1"), text_cell("train/loss"), text_cell("a\\nb")
    ("'=1+1", 'train/loss', 'a\\\\x0ab')
    """
    mark = "'" if text.startswith((*_FORMULA, "'")) else ""
    return mark + escape(text)


def _code(character: str) -> str:
    """The number of a character, as Python would write it in a string."""
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
