"""Markdown and YAML that show any text as text, so that none of it has an effect."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from jaxmetrics.record import dumps, escape, loads, markdown_table

_SYNTAX = re.compile(r"[&<>|`\[\]\\*~#!$@]|(?<![^\W_])_|_(?![^\W_])|://")
_PLAIN_YAML = re.compile(r"(?!(?:yes|no|on|off|true|false|null)$)[a-z][a-z_]+")


def escape_markdown(text: str) -> str:
    """Return text that renders as it is, without a tag, link, cell or emphasis.

    Characters of Markdown and HTML become entities, which are safe within tables too;
    characters that are not printable are shown by their number.

    >>> escape_markdown("train/loss_p95"), escape_markdown("a\\nb")
    ('train/loss_p95', 'a&#92;x0ab')
    >>> escape_markdown("<img>|[x](javascript:1)")
    '&lt;img&gt;&#124;&#91;x&#93;(javascript:1)'
    """
    return _SYNTAX.sub(_entities, escape(text)).strip()


def table(names: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """Return a table whose cells are shown as they are.

    Args:
      names: Names of the columns.
      rows: Cells of each row, as plain text.
      right: Index of the first column that is aligned to the right.
    """
    return markdown_table(names, rows, escape_markdown, right)


def json_block(value: object) -> str:
    """Return a code block of JSON without a `<`, so that it contains no HTML tag."""
    text = json.dumps(loads(dumps(value)), indent=2)
    for character in "<>&`":  # in JSON they occur in strings only
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"```json\n{text}\n```\n"


def image(name: str, path: str) -> str:
    """Return an image.

    Args:
      name: Alternative text.
      path: Path relative to the document.
    """
    return f"![{escape_markdown(name)}]({quote(os.fsencode(path))})\n"


def front_matter(fields: Mapping[str, object]) -> str:
    """Return the fields of a document as YAML front matter, in flow style."""
    lines = (f"{_yaml_name(name)}: {_yaml(value)}\n" for name, value in fields.items())
    return f"---\n{''.join(lines)}---\n"


def _yaml(value: object) -> str:
    if isinstance(value, str):
        return f'"{"".join(map(_yaml_character, value))}"'
    if isinstance(value, Mapping):
        members = (f"{_yaml(str(k))}: {_yaml(v)}" for k, v in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    text = dumps(value)
    if isinstance(value, float) and "." not in text:  # YAML 1.1 reads 1e-05 as text
        text = text.replace("e", ".0e")
    return text


def _yaml_name(name: str) -> str:
    return name if _PLAIN_YAML.fullmatch(name) else _yaml(name)


def _yaml_character(character: str) -> str:
    return f"\\{character}" if character in '"\\' else escape(character)


def _entities(match: re.Match[str]) -> str:
    names = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(names.get(c, f"&#{ord(c)};") for c in match[0])
