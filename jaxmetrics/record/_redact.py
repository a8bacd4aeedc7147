"""Convert configurations to plain data without their secrets."""

from __future__ import annotations

import dataclasses
import itertools
import os
import types
import warnings
from argparse import Namespace
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from jaxmetrics.record._secrets import REDACTED, hide_secrets, is_secret

_MAX_DEPTH = 32
_MAX_LEAVES = 10_000
_MAX_NAME_LENGTH = 256
_MAX_TEXT_LENGTH = 2**16


def redact(config: object) -> Any:
    """Return `config` as plain data without secrets.

    Mappings, dataclasses and namespaces become dicts with string names; sequences and
    sets become lists; paths strings; NumPy scalars numbers; enum members their names;
    classes and functions `"<class Name>"` and `"<function name>"`; any other object
    `"<type Name>"`. No `repr` or `str` of an object is called, since it may be slow or
    contain secrets.

    Values under names like `api_key`, `hf_token` and `password` become `"<redacted>"`,
    and so do parts of strings that have the form of a key. `max_tokens` and `pad_token`
    are kept.

    More than 10,000 values, 32 levels, 64 KiB of text in a value or 256 characters of
    a name are cut, with a placeholder and one warning.

    >>> redact({"lr": 3e-4, "hf_token": "x", "url": "https://me:pw@host"})
    {'lr': 0.0003, 'hf_token': '<redacted>', 'url': 'https://<redacted>@host'}
    """
    walk = _Walk()
    plain = walk.visit(config, 0)
    if walk.cuts:
        warnings.warn(
            f"The configuration has {', '.join(sorted(walk.cuts))}, so it was cut. "
            "Pass a smaller one to have all of it in the record.",
            stacklevel=2,
        )
    return plain


class _Walk:
    """One pass over a configuration.

    Attributes:
      cuts: Descriptions of what was cut because of a limit.
    """

    def __init__(self) -> None:
        self.cuts: set[str] = set()
        self._leaves = 0
        self._ancestors: set[int] = set()

    def visit(self, value: object, depth: int) -> object:
        children = _children(value)
        if not children:
            self._leaves += 1
            return self._leaf(value) if children is None else type(children)()
        if id(value) in self._ancestors:
            return "<cycle>"
        if depth >= _MAX_DEPTH:
            return self._cut(f"more than {_MAX_DEPTH} levels")
        self._ancestors.add(id(value))
        try:
            if isinstance(children, list):
                return self._sequence(children, depth + 1)
            return self._mapping(children, depth + 1)
        finally:
            self._ancestors.discard(id(value))

    def _sequence(self, children: list[object], depth: int) -> list[object]:
        out = []
        for child in children:
            if self._leaves >= _MAX_LEAVES:
                out.append(self._cut(f"more than {_MAX_LEAVES} values"))
                break
            out.append(self.visit(child, depth))
        return out

    def _mapping(self, children: dict[object, object], depth: int) -> dict[str, object]:
        out: dict[str, object] = {}
        for name, child in children.items():
            if self._leaves >= _MAX_LEAVES:
                out["<cut>"] = self._cut(f"more than {_MAX_LEAVES} values")
                break
            text = self._name(name)
            while text in out:  # 1 and "1" are different names
                text += "'"
            out[text] = REDACTED if is_secret(text, child) else self.visit(child, depth)
        return out

    def _name(self, name: object) -> str:
        text = self._leaf(name)
        text = text if isinstance(text, str) else str(text)
        if len(text) > _MAX_NAME_LENGTH:
            self._cut(f"a name of more than {_MAX_NAME_LENGTH} characters")
            text = text[:_MAX_NAME_LENGTH]
        return text

    def _leaf(self, value: object) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return str.__str__(value._name_)
        if isinstance(value, PurePath):
            value = os.fspath(value)
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, np.generic | np.ndarray) and value.shape == ():
            value = value.item()
        # Conversions of the base classes, since a subclass may override them.
        if isinstance(value, int):
            return int.__index__(value)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, np.dtype):
            return value.name
        if isinstance(value, type):
            return f"<class {type.__dict__['__name__'].__get__(value)}>"
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
            return f"<function {value.__name__}>"
        return f"<type {type(value).__name__}>"

    def _text(self, text: str) -> str:
        if len(text) <= _MAX_TEXT_LENGTH:
            return hide_secrets(text)
        # Hide before the cut: half of a secret does not have the form of one.
        start = hide_secrets(text[: 2 * _MAX_TEXT_LENGTH])[:_MAX_TEXT_LENGTH]
        return start + self._cut(f"text of more than {_MAX_TEXT_LENGTH} characters")

    def _cut(self, what: str) -> str:
        self.cuts.add(what)
        return f"<cut: {what}>"


def _children(value: Any) -> dict[object, object] | list[object] | None:
    """Return the items of a container, or None for a leaf.

    There is at most one item more than are kept, which shows that there are more.
    """
    if isinstance(value, str | bytes | np.generic | np.ndarray | type):
        return None
    limit = _MAX_LEAVES + 1
    try:
        if isinstance(value, list | tuple):
            return list(itertools.islice(value, limit))
        if isinstance(value, set | frozenset):
            return sorted(itertools.islice(value, limit), key=_sort_key)
        if isinstance(value, Namespace | types.SimpleNamespace):
            value = vars(value)
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return {name: getattr(value, name) for name in names}
        if isinstance(value, Mapping) or _has_mapping_methods(value):
            return {name: value[name] for name in itertools.islice(value.keys(), limit)}
    except Exception:
        # A container that cannot be read is shown by its type, as other unknown
        # objects are: a configuration never stops a run.
        return None
    return None


def _has_mapping_methods(value: object) -> bool:
    # Some configuration classes are mappings without being registered as such.
    return all(hasattr(type(value), name) for name in ("keys", "items", "__getitem__"))


def _sort_key(value: object) -> tuple[str, object]:
    sortable = isinstance(value, str | int | float)
    return type(value).__name__, value if sortable else id(value)
