"""Escape untrusted text for files, terminals and spreadsheets."""

from __future__ import annotations

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def encodable(text: str) -> str:
    r"""Return text that can be encoded: lone surrogates become escape sequences.

    Python has them in file names that are not UTF-8. All text that is written to a run,
    or read from one, passes through this function: `hide_secrets` applies it to texts
    and configurations, `dumps` and `loads` to JSON.

    >>> print(encodable("data/\udcff.txt"))
    data/\udcff.txt
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def error_text(error: BaseException) -> str:
    """Return the type of an error and the first line of its text, which may be empty.

    >>> error_text(ValueError("no such step\\nsee below")), error_text(TimeoutError())
    ('ValueError: no such step', 'TimeoutError')
    """
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


def escape(text: str) -> str:
    """Return text with every character that is not printable as its escape sequence.

    A terminal therefore shows control sequences instead of executing them.

    >>> escape("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def text_cell(text: str) -> str:
    """Return text on one line that a spreadsheet does not execute as a formula.

    An apostrophe is put before text that could start a formula, and before text that
    starts with an apostrophe, so that different texts stay different.

    >>> text_cell("=1+1"), text_cell("train/loss"), text_cell("a\\nb")
    ("'=1+1", 'train/loss', 'a\\\\x0ab')
    """
    prefix = "'" if text.startswith((*_FORMULA_STARTS, "'")) else ""
    return prefix + escape(text)


def _escaped(character: str) -> str:
    """Return the escape sequence of a character in a Python string."""
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
