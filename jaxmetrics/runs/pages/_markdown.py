"""Markdown and YAML that hold any text, and let none of it act."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from jaxmetrics.record import dumps, loads

_ACTS = re.compile(r"[&<>|`\[\]\\*~#!$@]|(?<![^\W_])_|_(?![^\W_])|://")
_PLAIN = re.compile(r"(?!(?:yes|no|on|off|true|false|null)$)[a-z][a-z_]+")


def escape(text: str) -> str:
    """Text that a renderer shows as it is: no tag, link, cell or emphasis comes of it.

    Characters that act become entities, which are safe within tables too; what cannot
    be printed is shown by its number.

    >>> escape("train/loss_p95"), escape("<img>|[x](javascript:1)"), escape("a\\nb")
    ('train/loss_p95', '&lt;img&gt;&#124;&#91;x&#93;(javascript:1)', 'a&#92;x0ab')
    """
    shown = "".join(c if c.isprintable() else _code(c) for c in text)
    return _ACTS.sub(_entities, shown).strip()


def table(names: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """A table; its cells are escaped here.

    Args:
      names: Of the columns.
      rows: The cells, as plain text.
      right: The column from which on cells stand to the right, as numbers do.
    """
    rules = ["---" if i < right else "---:" for i in range(len(names))]
    lines = [map(escape, names), rules, *(map(escape, row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(value: object) -> str:
    """A block of JSON without a `<`, so that no renderer finds a tag in it."""
    text = json.dumps(loads(dumps(value)), indent=2)
    for sign in "<>&`":  # within JSON they only occur in strings
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"```json\n{text}\n```\n"


def image(name: str, path: str) -> str:
    """A picture, by its path relative to the document."""
    return f"![{escape(name)}]({quote(os.fsencode(path))})\n"


def front_matter(fields: Mapping[str, object]) -> str:
    """The fields of a document as YAML, in its flow style."""
    lines = (f"{_name(name)}: {_yaml(value)}\n" for name, value in fields.items())
    return f"---\n{''.join(lines)}---\n"


def _yaml(value: object) -> str:
    if isinstance(value, str):
        return f'"{"".join(map(_yaml_character, value))}"'
    if isinstance(value, Mapping):
        inner = (f"{_yaml(str(k))}: {_yaml(v)}" for k, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    text = dumps(value)
    if isinstance(value, float) and "." not in text:  # 1e-05 is text to YAML 1.1
        text = text.replace("e", ".0e")
    return text


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _yaml(name)


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else _code(character)


def _entities(found: re.Match[str]) -> str:
    names = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(names.get(c, f"&#{ord(c)};") for c in found[0])


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
