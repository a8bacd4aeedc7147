"""Rename keys by exact names and globs, as the writers' `rename=` does.

A pattern is a glob as in `fnmatch`, with `*`, `?` and `[...]`. Each `*` of the new name
takes what the `*` at the same place of the pattern matched: `{"train/*": "learning/*"}`
renames `train/loss` to `learning/loss`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Mapping
from typing import TypeVar

from jaxmetrics.record._record import RECORD_FIELDS

_V = TypeVar("_V")

_STAR = re.compile(r"\*|\[!?\]?[^]]*\]")


def renamed(key: str, rename: Mapping[str, str]) -> str:
    """Return the new name of a key, or the key if nothing in `rename` applies.

    A pattern that equals the key is used first, then the first glob that matches. A
    `*` matches as little as possible, the last one the rest.

    Args:
      key: Key of a value.
      rename: New names by pattern.

    >>> rename = {"train/*": "learning/*", "train/loss": "loss", "*/acc": "acc/*"}
    >>> [renamed(key, rename) for key in ("train/lr", "train/loss", "val/acc")]
    ['learning/lr', 'loss', 'acc/val']
    """
    if key in rename:
        return rename[key]
    for pattern, target in rename.items():
        glob = _glob(pattern)
        match = glob.fullmatch(key) if glob is not None else None
        if match is not None:
            first, *parts = target.split("*")
            return first + "".join(x for y in zip(match.groups(), parts) for x in y)
    return key


def rename_keys(
    values: Mapping[str, _V], rename: Mapping[str, str]
) -> tuple[dict[str, _V], list[str]]:
    """Return values under their new names, in their order; none is lost.

    A key keeps its own name if its new name is a field of every record, such as `step`,
    or belongs to another key: one that has this name without being renamed, or an
    earlier one that is renamed to it.

    Args:
      values: Values by key.
      rename: New names by pattern, as in `renamed`.

    Returns:
      The values, and the keys that keep their own names for this reason.

    >>> rename_keys({"train/loss": 1, "val/loss": 2}, {"*/loss": "loss"})
    ({'loss': 1, 'val/loss': 2}, ['val/loss'])
    """
    names = {key: renamed(key, rename) for key in values}
    kept = [k for k, name in names.items() if name != k and name in RECORD_FIELDS]
    while True:
        names |= {key: key for key in kept}
        owners = {name: key for key, name in names.items() if name == key}
        refused = [k for k, name in names.items() if owners.setdefault(name, k) != k]
        if not refused:
            break
        kept += refused
    order = {key: place for place, key in enumerate(values)}
    kept.sort(key=order.__getitem__)
    return {names[key]: value for key, value in values.items()}, kept


def check_rename(rename: Mapping[str, str], owner: str) -> dict[str, str]:
    """Return a copy of a `rename=` that is valid.

    Args:
      rename: New names by pattern.
      owner: Name of the object that was given it, for the error: `"TensorBoard"`.

    Raises:
      TypeError: A pattern or a name is not a string.
      ValueError: A name is empty, is a field of every record, or has more `*` than its
        pattern.
    """
    for pattern, target in rename.items():
        if not isinstance(pattern, str) or not isinstance(target, str):
            raise TypeError(
                f"{owner} got rename={{{pattern!r}: {target!r}}}; expected names as "
                "strings. Write rename={'train/*': 'learning/*'}."
            )
        stars = len(_stars(pattern)) if _glob(pattern) is not None else 0
        if target.count("*") > stars:
            raise ValueError(
                f"{owner} got rename={{{pattern!r}: {target!r}}}, with more '*' in the "
                "new name than in the pattern; expected at most as many. Each takes "
                "what the '*' at its place matched."
            )
        if not target or target in RECORD_FIELDS:
            fault = "is a field of every record" if target else "is empty"
            raise ValueError(
                f"{owner} got rename={{{pattern!r}: {target!r}}}, whose new name "
                f"{fault}. Choose another name."
            )
    return dict(rename)


@functools.lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str] | None:
    """Return the expression of a glob with a group for each `*`; None for a name."""
    if not any(character in pattern for character in "*?["):
        return None
    parts, start = [], 0
    for place in _stars(pattern):
        parts += [_expression(pattern[start : place.start()]), "(.*?)"]
        start = place.end()
    parts.append(_expression(pattern[start:]))
    return re.compile("".join(parts), re.DOTALL)


def _stars(pattern: str) -> list[re.Match[str]]:
    """Return the places of the `*` of a glob, without those within brackets."""
    return [m for m in _STAR.finditer(pattern) if m[0].startswith("*")]


def _expression(glob: str) -> str:
    """Return the expression of a glob that contains no `*` outside brackets."""
    # `translate` adds an anchor, which differs between versions of Python.
    whole = fnmatch.translate(glob)
    return re.sub(r"\\[Zz]$", "", whole)
