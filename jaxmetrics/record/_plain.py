"""Take the values of a configuration apart, into plain values and containers.

`plain_leaf` knows the values that have no parts: numbers, texts, dates, paths, classes,
functions. `parts_of` returns the parts of the others, by name or in order: of mappings,
sequences and sets, of small arrays, and of objects with fields or attributes.

No `repr`, `str` or method of an unknown object is called, since it may be slow, have
side effects, or return a secret. Objects of third parties are recognized by what their
classes declare, so that none of them is imported.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import functools
import math
import os
import re
import sys
import types
import uuid
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from typing import Any, Final, NamedTuple

import numpy as np

_MAX_ARRAY_SIZE = 1_000
_MAX_BYTES = 2**16
_INT64 = range(-(2**63), 2**63)
_MAX_DECIMAL_BITS = 14_000  # Python converts at most 4,300 digits

# The texts of these are short and complete. That of the base class is taken, since a
# subclass may override it.
_TEXT_TYPES: tuple[Any, ...] = (
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    range,
    type(...),
)
_SCALAR_TYPES = frozenset(t for t in np.ScalarType if issubclass(t, np.generic))
_GENERIC_ANNOTATIONS = frozenset(
    """Annotated Any Callable ClassVar Collection Dict Final FrozenSet InitVar Iterable
    List Mapping None NoneType Optional Sequence Set Tuple Union bool dict float
    frozenset int list object set str tuple""".split()
)


class _Mark:
    """Type of `NOT_A_LEAF`."""


NOT_A_LEAF: Final = _Mark()
"""Result of `plain_leaf` for a value that may have parts."""


class Unreadable(NamedTuple):
    """A part that has no value.

    Attributes:
      reason: Name of the type of the error that reading it raised, whose text may
        contain a secret; or another reason.
    """

    reason: str


class LargeArray(NamedTuple):
    """An array with too many values for a configuration, or none on this process.

    Attributes:
      text: dtype and shape, such as `"float32[4096, 8]"`.
    """

    text: str


class Parts(NamedTuple):
    """Parts of a value.

    Attributes:
      items: Pairs of name and value, or values. Reading them may raise.
      named: Whether the items are pairs.
      class_name: Name of the class of an object, empty for a plain container.
      has_fields: Whether the class declares the parts as its fields.
      annotations: Names of classes in the annotation of each part.
    """

    items: Iterable[Any]
    named: bool
    class_name: str = ""
    has_fields: bool = False
    annotations: Mapping[str, frozenset[str]] = types.MappingProxyType({})


def plain_leaf(value: Any) -> Any:
    """Return a value without parts as a number, a text, a bool or None.

    Integers beyond 64 bits, complex numbers, bytes, dates, ranges and paths become
    texts. Enum members, dtypes, classes and functions become their names.

    Returns:
      The plain value; `NOT_A_LEAF` for anything else.

    >>> plain_leaf(range(3)), plain_leaf(2**64), plain_leaf(np.dtype("int8"))
    ('range(0, 3)', '18446744073709551616', 'int8')
    """
    if value is None or isinstance(value, bool):
        return value
    if type(value).__name__ == "NAType":  # of pandas
        return None
    if isinstance(value, dict | list | tuple):
        return NOT_A_LEAF
    if isinstance(value, Enum):
        name = value._name_  # None for an unnamed combination of flags
        return str.__str__(name) if name else plain_leaf(value._value_)
    # Conversions of the base classes, since a subclass may override them.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _integer(int.__index__(value))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, complex):
        return complex.__repr__(value)
    if isinstance(value, np.generic):
        return _numpy_scalar(value)
    if is_array(value):
        return _scalar_array(value) if value.shape == () else NOT_A_LEAF
    if isinstance(value, bytes | bytearray | memoryview):
        return repr(bytes(value[: _MAX_BYTES + 1]))
    if isinstance(value, np.dtype):
        return value.name if value.names is None else str(value)
    if isinstance(value, type):
        return _scalar_type_name(value) or qualified_name(value)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    for kind in _TEXT_TYPES:
        if isinstance(value, kind):
            return kind.__str__(value)
    if isinstance(value, datetime.tzinfo):
        return str(value)
    if isinstance(value, re.Pattern):
        return plain_leaf(value.pattern)
    if isinstance(value, os.PathLike):
        return os.fsdecode(os.fspath(value))
    if isinstance(value, types.ModuleType):
        return value.__name__
    if type(value).__name__ in ("dtype", "DType", "KeyTy"):  # of torch, TensorFlow, JAX
        return str(value)
    if callable(value) and not isinstance(value, functools.partial):
        return qualified_name(value) or NOT_A_LEAF
    return NOT_A_LEAF


def qualified_name(value: Any) -> str:
    """Return the dotted name of a class or function; empty if it has none.

    Builtins are named without a module.

    >>> qualified_name(dict.items), qualified_name(math.sqrt)
    ('dict.items', 'math.sqrt')
    """
    if isinstance(value, type):  # a metaclass may override the attribute
        name = type.__dict__["__qualname__"].__get__(value)
    else:
        names = (getattr(value, n, None) for n in ("__qualname__", "__name__"))
        name = next((name for name in names if isinstance(name, str)), "")
    module = getattr(value, "__module__", None)
    has_module = name and isinstance(module, str) and module != "builtins"
    return f"{module}.{name}" if has_module else name


def parts_of(value: Any, objects: bool) -> Parts | LargeArray | None:
    """Return the parts of a value that is not a leaf; None if it shows none.

    Args:
      value: The value.
      objects: Whether an object that declares no fields has its public attributes as
        parts.
    """
    cls = type(value)
    if is_array(value):
        return _array_parts(value)
    if isinstance(value, functools.partial):
        return Parts(_partial_items(value), named=True)
    if isinstance(value, Namespace | types.SimpleNamespace):
        return Parts(vars(value).items(), named=True)
    if names := [*_field_names(cls), *_extra_names(value)]:
        return _object_parts(value, _read_fields(value, names), has_fields=True)
    if (axes := mesh_axes(value)) is not None:
        return Parts(axes.items(), named=True)
    if isinstance(value, Mapping) or _has(cls, "keys", "items", "__getitem__"):
        return Parts(_read_items(value), named=True)
    if isinstance(value, list | tuple | Set):
        return Parts(value, named=False)
    if isinstance(value, Sequence) or _has(cls, "__len__", "index", "count"):
        return Parts(_read_sequence(value), named=False)
    attributes = _attributes(value) if objects else None
    if attributes is None:
        return None
    return _object_parts(value, attributes.items(), has_fields=False)


def is_array(value: Any) -> bool:
    """Return whether a value is an array of NumPy, JAX or another library."""
    cls = type(value)
    if not hasattr(cls, "__array__") and not hasattr(cls, "__jax_array__"):
        return False
    return hasattr(value, "shape") and hasattr(value, "dtype")


def mesh_axes(value: Any) -> dict[str, int] | None:
    """Return the sizes of the axes of a JAX mesh; None for anything else."""
    shape = getattr(value, "shape", None) if _has(type(value), "shape") else None
    if not isinstance(shape, Mapping) or not hasattr(value, "axis_names"):
        return None
    return {name: int(size) for name, size in shape.items()}


def class_values(cls: type) -> dict[str, Any]:
    """Return the values that a class has without an instance, by name.

    They are its public attributes but for methods; fields without a default are
    `Unreadable`.
    """
    attributes, names = _class_attributes(cls), _field_names(cls)
    if not names:
        return attributes
    missing = Unreadable("no value in the class")
    return {name: attributes.get(name, missing) for name in names}


def _class_attributes(cls: type) -> dict[str, Any]:
    """Return the public attributes of a class and its bases, without its methods.

    A class that is defined inside it is a mapping of its own attributes.
    """
    attributes: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if _is_of_standard_library(base):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or _is_method(value, base):
                continue
            if isinstance(value, type) and _is_defined_in(value, base):
                value = _class_attributes(value) or value
            attributes[name] = value
    return attributes


def _integer(value: int) -> int | str:
    if value in _INT64:
        return value
    return str(value) if value.bit_length() < _MAX_DECIMAL_BITS else hex(value)


def _numpy_scalar(value: np.generic) -> Any:
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    if isinstance(value, np.floating):
        return float(value)  # `item` of a longdouble is a longdouble
    if isinstance(value, np.complexfloating):
        return repr(complex(value))
    item = value.item()
    return NOT_A_LEAF if isinstance(item, np.generic | tuple) else plain_leaf(item)


def _scalar_array(value: Any) -> Any:
    try:
        return plain_leaf(_as_numpy(value)[()])
    except Exception:  # as in `_array_parts`, which describes it
        return NOT_A_LEAF


def _scalar_type_name(cls: type) -> str:
    """Return the dtype of a scalar type of NumPy, ml_dtypes or JAX; else ""."""
    if cls in _SCALAR_TYPES or cls.__module__ == "ml_dtypes":
        return np.dtype(cls).name
    if type(cls).__module__.startswith("jax."):
        dtype = getattr(cls, "dtype", None)
        return dtype.name if isinstance(dtype, np.dtype) else ""
    return ""


def _has(cls: type, *names: str) -> bool:
    return all(hasattr(cls, name) for name in names)


def _as_numpy(value: Any) -> np.ndarray:
    if not hasattr(type(value), "__array__"):  # a variable of nnx
        value = value.__jax_array__()
    return np.asarray(value)


def _array_parts(value: Any) -> Parts | LargeArray:
    """Return the rows of a small array."""
    shape, dtype = tuple(value.shape), value.dtype
    if math.prod(shape) <= _MAX_ARRAY_SIZE:
        try:
            return Parts(_as_numpy(value).tolist(), named=False)
        except Exception:
            pass  # deleted, traced, on another process, or a random key
    name = getattr(dtype, "name", None)
    name = name if isinstance(name, str) else str(dtype)
    return LargeArray(f"{name}[{', '.join(map(str, shape))}]")


def _partial_items(value: functools.partial[Any]) -> Iterator[tuple[str, Any]]:
    yield "partial", value.func
    if value.args:
        yield "args", value.args
    if value.keywords:
        yield "kwargs", value.keywords


def _field_names(cls: type) -> list[str]:
    """Return the names of the fields that a class declares."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if issubclass(cls, tuple):
        return list(getattr(cls, "_fields", ()))
    if attrs := getattr(cls, "__attrs_attrs__", None):
        return [attribute.name for attribute in attrs]
    if fields := getattr(cls, "__pydantic_fields__", None):
        return list(fields)
    return list(getattr(cls, "__struct_fields__", ()))  # of msgspec


def _extra_names(value: Any) -> Iterable[str]:
    """Return the names of values that a pydantic object has beyond its fields."""
    if not _has(type(value), "__pydantic_fields__"):
        return ()
    return getattr(value, "__pydantic_extra__", None) or ()


def _read_fields(value: Any, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, getattr(value, name)
        except AttributeError:
            continue  # not set
        except Exception as error:
            yield name, Unreadable(type(error).__name__)


def _read_items(value: Any) -> Iterator[tuple[Any, Any]]:
    for name in value.keys():
        try:
            yield name, value[name]
        except Exception as error:
            yield name, Unreadable(type(error).__name__)


def _read_sequence(value: Any) -> Iterator[Any]:
    for index in range(len(value)):
        try:
            yield value[index]
        except Exception as error:
            yield Unreadable(type(error).__name__)


def _object_parts(
    value: Any, items: Iterable[tuple[str, Any]], has_fields: bool
) -> Parts:
    cls, annotations = type(value), {}
    for base in reversed(cls.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            annotations[name] = _classes_in(annotation)
    return Parts(items, True, cls.__name__, has_fields, annotations)


def _classes_in(annotation: Any) -> frozenset[str]:
    """Return the names of the classes in an annotation, but for None and containers.

    >>> sorted(_classes_in("dict[str, a.Model | None]"))
    ['Model']
    """
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    names = {word.rpartition(".")[2] for word in re.findall(r"[\w.<>]+", text)}
    return frozenset(names - _GENERIC_ANNOTATIONS)


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the public attributes of an object and of its class.

    Returns:
      Values by name; None if the object has only private ones, or cannot show any.
    """
    cls = type(value)
    stored = getattr(value, "__dict__", None)
    slots = [name for base in cls.__mro__ for name in _slots(base)]
    if _is_of_standard_library(cls) or (stored is None and not slots):
        return None
    own = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    own |= stored or {}
    attributes = _class_attributes(cls)
    attributes |= {name: v for name, v in own.items() if not name.startswith("_")}
    return None if own and not attributes else attributes


def _slots(cls: type) -> Iterator[str]:
    slots = vars(cls).get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name not in ("__dict__", "__weakref__"):
            mangled = name.startswith("__") and not name.endswith("__")
            yield f"_{cls.__name__.lstrip('_')}{name}" if mangled else name


def _is_of_standard_library(cls: type) -> bool:
    # Loggers, threads and open files hold the state of the program.
    return cls.__module__.partition(".")[0] in sys.stdlib_module_names


def _is_method(value: Any, cls: type) -> bool:
    if not hasattr(type(value), "__get__"):
        return False
    return not callable(value) or _is_defined_in(value, cls)


def _is_defined_in(value: Any, cls: type) -> bool:
    return str(getattr(value, "__qualname__", "")).startswith(f"{cls.__qualname__}.")
