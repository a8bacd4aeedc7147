"""Convert configurations to plain data without their secrets."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from jaxmetrics.record._json import dumps
from jaxmetrics.record._plain import (
    NOT_A_LEAF,
    LargeArray,
    Parts,
    Unreadable,
    class_values,
    parts_of,
    plain_leaf,
    qualified_name,
)
from jaxmetrics.record._secret_text import hide_secrets
from jaxmetrics.record._secrets import REDACTED, is_secret, is_secret_word

_MAX_DEPTH = 100
_MAX_VALUES = 10_000
_MAX_NAME_LENGTH = 256
_MAX_TEXT_LENGTH = 2**16
_MAX_BYTES = 2**21  # of all texts in JSON, and of all names
_MAX_KEY_DEPTH = 3
_MAX_NAMED = 8
_NAME_FIELDS = frozenset(
    """name key env variable option flag header parameter param hparam
    setting""".split()
)
_VALUE_FIELDS = frozenset({"value", "val", "default", "content"})


def redact(value: object) -> Any:
    """Return `value` as plain data without secrets.

    - Mappings, named tuples, namespaces, and objects with declared fields (dataclasses,
      attrs, pydantic) become dicts with string names. Sequences, sets and arrays of at
      most 1,000 values become lists.
    - NumPy scalars become numbers; integers beyond 64 bits, bytes, dates, ranges and
      paths texts; enum members and dtypes their names; classes and functions their
      qualified names. A partial function is a dict of its name and arguments.
    - Larger arrays become `"float32[4096, 8]"`, any other object `"<type Name>"`. No
      `repr` or `str` of an object is called, since it may be slow or contain secrets.

    An object in a field that is annotated with another class, such as a base class or
    a union, has the name of its class as the item `class`.

    Values under names like `api_key`, `hf_token` and `password` become `"<redacted>"`,
    and so do parts of strings that have the form of a key. `max_tokens` and `pad_token`
    are kept.

    More than 10,000 values, 100 levels, 64 KiB of text in a value or 256 characters of
    a name, and texts or names of more than 2 MiB in all, are cut, the deepest values
    first, with a placeholder and one warning.

    >>> redact({"lr": 3e-4, "hf_token": "x", "url": "https://me:pw@host"})
    {'lr': 0.0003, 'hf_token': '<redacted>', 'url': 'https://<redacted>@host'}
    """
    walk = _Walk(objects=False)
    plain = walk.convert(value)
    if cut := walk.cut_sentence():
        warnings.warn(cut, stacklevel=2)
    return plain


def plain_config(config: object) -> tuple[Any, str]:
    """Return a configuration as plain data without secrets, and what it lacks.

    In addition to what `redact` converts, any object becomes a dict of its public
    attributes, among them those of its class, with the name of the class as the item
    `class`. `config` itself has none, and may be a class.

    Args:
      config: A mapping, or an object with fields or attributes.

    Returns:
      The plain data, which is a dict if `config` has values by name, and one or two
      sentences that name the values that are not recorded in full, or "".

    >>> plain_config({"steps": range(3), "reduce": sum})
    ({'steps': 'range(0, 3)', 'reduce': 'sum'}, '')
    """
    walk = _Walk(objects=True)
    if isinstance(config, type):
        config = class_values(config) or config
    plain = walk.convert(config)
    sentences = walk.loss_sentence(), walk.cut_sentence()
    return plain, " ".join(sentence for sentence in sentences if sentence)


def secret_fields(fields: Mapping[str, object]) -> frozenset[str]:
    """Return the fields that hold the secret whose name is in another field.

    >>> secret_fields({"name": "api_key", "value": "x", "scope": "all"})
    frozenset({'value'})
    """
    names = [fields[name] for name in _NAME_FIELDS if name in fields]
    return frozenset(
        field
        for name in names
        for field in _VALUE_FIELDS & fields.keys()
        if isinstance(name, str) and is_secret(name, fields[field])
    )


class _Ancestors(NamedTuple):
    """The containers around a value, from the innermost."""

    value: object
    outer: _Ancestors | None


class _Task(NamedTuple):
    """A value to convert.

    Attributes:
      container: Plain container that gets the result.
      key: Name or index of the result in it.
      value: The value.
      path: Where the value is in the configuration, for messages.
      depth: Number of containers around it.
      ancestors: The containers around it.
      annotation: Names of the classes that the value is declared to have.
    """

    container: Any
    key: Any
    value: Any
    path: str
    depth: int = 0
    ancestors: _Ancestors | None = None
    annotation: frozenset[str] = frozenset()


class _Walk:
    """Conversion of one configuration.

    It is breadth first: of a configuration that is too large, a deep value is cut
    rather than one that comes later.

    Args:
      objects: Whether objects without declared fields have attributes.
      key_depth: Number of names around this value, if it is part of a name.
    """

    def __init__(self, objects: bool, key_depth: int = 0) -> None:
        self._objects = objects
        self._key_depth = key_depth
        self._tasks: deque[_Task] = deque()
        self._values = self._text_bytes = self._name_bytes = 0
        self._cuts: dict[str, str] = {}
        self._losses: list[str] = []

    def convert(self, value: object) -> Any:
        """Return the plain form of a value; called once."""
        result: list[Any] = [None]
        self._tasks.append(_Task(result, 0, value, ""))
        while self._tasks:
            task = self._tasks.popleft()
            task.container[task.key] = self._plain(task)
        return result[0]

    def cut_sentence(self) -> str:
        """Return a sentence about what was cut, or ""."""
        if not self._cuts:
            return ""
        cuts = (f"{c} (at {p})" if p else c for c, p in sorted(self._cuts.items()))
        return (
            f"The configuration has {', '.join(cuts)}, so it was cut. Pass a smaller "
            f"one to have all of it in the record."
        )

    def loss_sentence(self) -> str:
        """Return a sentence about values of which only a type is recorded, or ""."""
        if not self._losses:
            return ""
        more = len(self._losses) - _MAX_NAMED
        named = ", ".join(self._losses[:_MAX_NAMED])
        return (
            f"The configuration has values that cannot be recorded in full: {named}"
            f"{f' and {more} more' if more > 0 else ''}. Convert them to numbers, "
            f"texts, lists or mappings."
        )

    def _plain(self, task: _Task) -> Any:
        value = task.value
        try:
            leaf = plain_leaf(value)
            if leaf is not NOT_A_LEAF:
                is_text = isinstance(leaf, str)
                return self._text(leaf, task.path) if is_text else leaf
            if isinstance(value, Unreadable):
                return self._lost(task, value.reason, f"<unreadable: {value.reason}>")
            if hasattr(type(value), "get_secret_value"):  # of pydantic
                return REDACTED
            if _is_among(value, task.ancestors):
                return "<cycle>"
            parts = parts_of(value, self._objects)
            if isinstance(parts, LargeArray):
                return self._lost(task, parts.text, parts.text)
            if parts is None:
                return self._lost(task, f"a {qualified_name(type(value))}")
            if task.depth >= _MAX_DEPTH:
                return self._cut(f"more than {_MAX_DEPTH} levels", task.path)
            items = self._items(value, parts)
            if items and self._is_full():
                self._cut_values(task)
                return "<cut>"
            if parts.named:
                return self._mapping(task, parts, items)
            return self._list(task, items)
        except Exception as error:
            # A configuration never stops a run.
            return self._lost(task, type(error).__name__)

    def _items(self, value: object, parts: Parts) -> list[Any]:
        """Return the items that may be recorded, and one more if there are more."""
        items = list(itertools.islice(parts.items, _MAX_VALUES - self._values + 1))
        if isinstance(value, Set):
            # The order of a set differs from process to process.
            items.sort(key=self._sort_key)
        return items

    def _list(self, task: _Task, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for index, value in enumerate(items):
            if self._is_full():
                out.append(self._cut_values(task))
                break
            out.append(REDACTED)
            if _is_secret_item(items, index):
                self._values += 1
                continue
            self._add(task, out, index, value, f"{task.path}[{index}]", task.annotation)
        return out

    def _mapping(
        self, task: _Task, parts: Parts, items: list[tuple[object, Any]]
    ) -> dict[str, Any] | str:
        if parts.class_name and not items:
            return _type_text(task.value)
        out: dict[str, Any] = {}
        if task.depth and _is_ambiguous(parts, task.annotation):
            out["class"] = parts.class_name
        names = self._names([name for name, _ in items])
        secrets = secret_fields({n: v for n, (_, v) in zip(names, items)})
        for (_, value), name in zip(items, names):
            self._name_bytes += len(dumps(name))
            if self._is_full() or self._name_bytes > _MAX_BYTES:
                out["<cut>"] = self._cut_values(task)
                break
            out[name] = REDACTED
            path = f"{task.path}.{name}" if task.path else name
            inherited = frozenset() if parts.class_name else task.annotation
            annotation = parts.annotations.get(name, inherited)
            if is_secret(name, value) or name in secrets:
                self._values += 1
            else:
                self._add(task, out, name, value, path, annotation)
        return out

    def _add(
        self,
        parent: _Task,
        container: Any,
        key: Any,
        value: object,
        path: str,
        annotation: frozenset[str],
    ) -> None:
        self._values += 1
        ancestors = _Ancestors(parent.value, parent.ancestors)
        depth = parent.depth + 1
        self._tasks.append(
            _Task(container, key, value, path, depth, ancestors, annotation)
        )

    def _is_full(self) -> bool:
        return self._values >= _MAX_VALUES

    def _names(self, names: list[object]) -> list[str]:
        """Return different texts for names; a str keeps its own, whatever the order.

        1 and "1" become "1 (int)" and "1".
        """
        texts = [self._name(name) for name in names]
        used = {text for text, name in zip(texts, names) if isinstance(name, str)}
        taken: set[str] = set()
        for index, name in enumerate(names):
            text = texts[index]
            if not isinstance(name, str) and (text in used or text in taken):
                text = f"{text} ({type(name).__name__})"
            while text in taken or (text in used and not isinstance(name, str)):
                text += "'"
            taken.add(text)
            texts[index] = text
        return texts

    def _name(self, name: object) -> str:
        leaf = plain_leaf(name)
        if leaf is NOT_A_LEAF:
            leaf = _type_text(name)
            if self._key_depth < _MAX_KEY_DEPTH:
                inner = _Walk(self._objects, self._key_depth + 1)
                plain = inner.convert(name)
                self._cuts |= inner._cuts
                is_tuple = isinstance(name, tuple) and isinstance(plain, list)
                leaf = tuple(plain) if is_tuple else plain
        text = hide_secrets(str(leaf))
        if len(text) > _MAX_NAME_LENGTH:
            self._cut(f"a name of more than {_MAX_NAME_LENGTH} characters", "")
            text = text[:_MAX_NAME_LENGTH]
        return text

    def _sort_key(self, value: object) -> tuple[str, float, str]:
        leaf = plain_leaf(value)
        number = leaf if isinstance(leaf, int | float) else 0
        return type(value).__name__, number, self._name(value)

    def _text(self, text: str, path: str) -> str:
        # Hide before the cut: half of a secret does not have the form of one.
        shown = hide_secrets(text[: 2 * _MAX_TEXT_LENGTH])
        if len(text) > _MAX_TEXT_LENGTH:
            limit = f"text of more than {_MAX_TEXT_LENGTH} characters"
            shown = shown[:_MAX_TEXT_LENGTH] + self._cut(limit, path)
        size = len(dumps(shown))
        if self._text_bytes + size > _MAX_BYTES:
            return self._cut(f"texts of more than {_MAX_BYTES:,} bytes", path)
        self._text_bytes += size
        return shown

    def _cut_values(self, task: _Task) -> str:
        limit = f"more than {_MAX_VALUES} values"
        if not self._is_full():
            limit = f"names of more than {_MAX_BYTES:,} bytes"
        return self._cut(limit, task.path)

    def _cut(self, what: str, path: str) -> str:
        self._cuts.setdefault(what, path)
        return f"<cut: {what}>"

    def _lost(self, task: _Task, reason: str, text: str | None = None) -> str:
        self._losses.append(f"{task.path} ({reason})" if task.path else reason)
        return text or _type_text(task.value)


def _is_secret_item(items: list[Any], index: int) -> bool:
    """Return whether the item before is the name of this one, which is a secret.

    As in `["--password", "x"]`, or in a pair `("password", "x")`.
    """
    name, value = items[index - 1] if index else None, items[index]
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    if name.startswith("-"):
        return "=" not in name and value[:1] != "-" and is_secret(name, value)
    return len(items) == 2 and is_secret_word(name, value)


def _is_among(value: object, ancestors: _Ancestors | None) -> bool:
    while ancestors is not None:
        if ancestors.value is value:
            return True
        ancestors = ancestors.outer
    return False


def _is_ambiguous(parts: Parts, annotation: frozenset[str]) -> bool:
    """Return whether an object of another class might have been in the same place."""
    if not parts.class_name or (parts.has_fields and not annotation):
        return False
    return annotation != {parts.class_name}


def _type_text(value: object) -> str:
    return f"<type {qualified_name(type(value))}>"
