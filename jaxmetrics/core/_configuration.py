"""Configuration of a metric: static, hashable, checked once, saved as JSON.

`configuration_of` is the form in which checkpoints keep it and compare it. It holds
every field, defaults included, so that a later version with another default is not
taken for the same metric. Values that JSON lacks are encoded like this:

| value | JSON |
|---|---|
| tuple | list |
| nan, infinite float | `{"float": "nan"}`, `"inf"`, `"-inf"` |
| class or function | `{"name": "numpy.negative"}`, module and qualified name |
| dtype | `{"dtype": "float32"}` |
| enum member | `{"enum": "mymodule.Color.RED"}` |
"""

from __future__ import annotations

import ast
import enum
import functools
import json
import math
import re
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

_SCALARS = (bool, int, float, str, type(None))


def checked(owner: str, name: str, annotation: Any, value: Any) -> Any:
    """Return a configuration value, an int as float where a float is declared.

    Unions, tuples, `Literal`, `Callable` and the scalar types are checked; a value of
    another annotation only has to be static. Values of NumPy are refused: they compare
    and hash as Python's but are saved and traced in another way.

    Raises:
      TypeError: It is not of the declared type; or it is no Python scalar, string,
        tuple of these, enum member, dtype, class or module-level function.
    """
    declared = _type_name(annotation)
    kind = _parsed(declared)
    if not _fits(kind, value):
        raise TypeError(
            f"{owner}: {name} is declared {declared}, got {value!r}. "
            f"{_remedy(declared, value)}"
        )
    _refuse_unhashable(owner, name, value)
    return with_one_nan(_with_floats(kind, value))


def with_one_nan(value: Any) -> Any:
    """Return a configuration value in which every nan is the object `math.nan`.

    nan is not equal to itself, but tuples that hold the same object are equal. So two
    metrics with nan in their configuration have equal tree structures, and merge.
    """
    if type(value) is tuple:
        return tuple(map(with_one_nan, value))
    return math.nan if isinstance(value, float) and value != value else value


def evaluated(annotation: Any, module: str) -> Any:
    """Return the class that an annotation names in its module, or the annotation."""
    if not isinstance(annotation, str):
        return annotation
    scope = vars(sys.modules.get(module, types.ModuleType("none")))
    first, *rest = annotation.split(".")
    value = scope.get(first, annotation)
    for part in rest:
        value = getattr(value, part, annotation)
    return value


def configuration_of(metric: Any) -> dict[str, Any]:
    """Return the class and the full configuration of a metric as plain JSON.

    Args:
      metric: A metric or a collection; metrics inside are included.

    Example:
      >>> import jaxmetrics as jm
      >>> configuration_of(jm.Last("loss"))
      {'class': 'Last', 'configuration': {'output': 'loss', 'renames': []}}
    """
    form: dict[str, Any] = {"class": type(metric).__qualname__}
    if hasattr(metric, "_configuration"):
        names = set(metric._configuration)
        if not metric.reproducible_sums:
            names.remove("reproducible_sums")  # so that earlier checkpoints load
        names = sorted(names)
        form["configuration"] = {n: _encoded(getattr(metric, n)) for n in names}
        inside = {name: getattr(metric, name) for name in metric._children}
    else:
        inside = dict(metric.items())
    if inside:
        form["metrics"] = {n: configuration_of(child) for n, child in inside.items()}
    return form


def same_configuration(a: Any, b: Any) -> bool:
    """Return whether two forms of `configuration_of` are equal, type by type.

    Python takes 1, 1.0 and True for equal; as configuration they differ.
    """
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def configuration_differences(saved: Any, current: Any) -> list[str]:
    """Return the differences between two forms: "threshold was 0.5, is 0.9".

    Args:
      saved: A form, or None for an array that belongs to no metric.
      current: Likewise.
    """
    before, after = (dict(_flat(form)) if form else {} for form in (saved, current))
    differences = []
    for name in dict.fromkeys([*before, *after]):
        old, new = (
            _shown(form[name]) if name in form else "absent" for form in (before, after)
        )
        if old != new:
            differences.append(f"{name} was {old}, is {new}")
    return differences


def _encoded(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return {"enum": f"{_qualified(type(value))}.{value.name}"}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    return {"name": _qualified(value)}


def _qualified(value: Any) -> str:
    """Return the module and name of a class or function; both lack in some ufuncs."""
    name = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    return f"{module}.{name}" if module else name


def _flat(form: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    yield f"{prefix}class", form["class"]
    for name, value in form.get("configuration", {}).items():
        yield f"{prefix}{name}", value
    for name, child in form.get("metrics", {}).items():
        yield from _flat(child, f"{prefix}{name}.")


def _shown(value: Any) -> str:
    return json.dumps(value)


def _refuse_unhashable(owner: str, name: str, value: Any) -> None:
    if type(value) in _SCALARS or isinstance(value, np.dtype):
        return
    if isinstance(value, tuple):
        for item in value:
            _refuse_unhashable(owner, name, item)
        return
    named = type(value) if isinstance(value, enum.Enum) else value
    if isinstance(named, types.FunctionType | types.BuiltinFunctionType | type):
        if "<" in named.__qualname__:
            raise TypeError(
                f"{owner}: {name} is {named.__qualname__}, which cannot be pickled. "
                "Define it at the top level of a module."
            )
        return
    if callable(value) and hasattr(value, "__name__"):
        return
    raise TypeError(
        f"{owner}: configuration {name} is a {type(value).__name__}; it must be a "
        "Python scalar, string, tuple, enum member, dtype or module-level function. "
        "Convert with int(), float() or tuple()."
    )


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    plain = isinstance(annotation, type) and not isinstance(
        annotation, types.GenericAlias
    )
    return annotation.__name__ if plain else str(annotation)


@functools.cache
def _parsed(declared: str) -> ast.expr | None:
    """Return the syntax tree of an annotation; None if it is no expression."""
    try:
        node = ast.parse(declared.strip(), mode="eval").body
    except SyntaxError:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _parsed(node.value)
    return node


def _fits(kind: ast.expr | None, value: Any) -> bool:
    """Return whether a value is of a declared type; True for a type not known here."""
    members = _members(kind)
    if members is not None:
        return any(_fits(member, value) for member in members)
    match _name(kind), kind:
        case "None", _:
            return value is None
        case "bool" | "int" | "str" as name, _:
            return type(value) is {"bool": bool, "int": int, "str": str}[name]
        case "float", _:
            return type(value) in (int, float)
        case "Callable", _:
            return callable(value)
        case "tuple", ast.Subscript():
            items = _arguments(kind)
            if not isinstance(value, tuple):
                return False
            if _is_ellipsis(items[-1]):
                return all(_fits(items[0], item) for item in value)
            return len(items) == len(value) and all(map(_fits, items, value))
        case "tuple", _:
            return isinstance(value, tuple)
        case "Literal", ast.Subscript():
            literals = [ast.literal_eval(item) for item in _arguments(kind)]
            return (type(value), value) in [(type(x), x) for x in literals]
    return True


def _with_floats(kind: ast.expr | None, value: Any) -> Any:
    """Return a value that fits, with ints as float where a float is declared."""
    members = [kind] if (found := _members(kind)) is None else found
    names = [_name(member) for member in members]
    if type(value) is int:
        return float(value) if "float" in names and "int" not in names else value
    if type(value) is not tuple:
        return value
    for member in members:
        if _name(member) == "tuple" and _fits(member, value):
            items = _arguments(member)
            if items and _is_ellipsis(items[-1]):
                items = items[:1] * len(value)
            return tuple(map(_with_floats, items, value)) if items else value
    return value


def _members(kind: ast.expr | None) -> list[ast.expr] | None:
    """Return the members of a union, None of another type."""
    match kind:
        case ast.BinOp(left, ast.BitOr(), right):
            return [*(_members(left) or [left]), *(_members(right) or [right])]
        case ast.Subscript() if _name(kind) == "Union":
            return _arguments(kind)
        case ast.Subscript() if _name(kind) == "Optional":
            return [*_arguments(kind), ast.Constant(None)]
    return None


def _arguments(kind: ast.expr | None) -> list[ast.expr]:
    """Return the types in the brackets of an annotation."""
    if not isinstance(kind, ast.Subscript):
        return []
    inner = kind.slice
    return list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]


def _name(kind: ast.expr | None) -> str | None:
    """Return the last name of `int`, `typing.Literal[...]`, `tuple[int, ...]`."""
    match kind:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value):
            return _name(value)
        case ast.Constant(None):
            return "None"
    return None


def _is_ellipsis(kind: ast.expr) -> bool:
    return isinstance(kind, ast.Constant) and kind.value is ...


def _remedy(declared: str, value: Any) -> str:
    """Return what to do about a value of another type."""
    names = set(re.findall(r"\w+", declared))
    if isinstance(value, np.generic | np.ndarray | jax.Array) and np.ndim(value) == 0:
        kind = {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(value.dtype.kind)
        return f"Convert with {kind if kind in names else 'its .item'}()."
    if "tuple" in names and isinstance(value, list | np.ndarray | jax.Array | range):
        return "Convert with tuple()."
    if {"tuple", "str"} <= names and isinstance(value, str):
        return f"Write ({value!r},) for a single name."
    if "tuple" in names and isinstance(value, tuple):
        return "Convert each entry."
    if "bool" in names and names.isdisjoint({"int", "float", "str"}):
        return "Pass True or False."
    if type(value) is bool and not names.isdisjoint({"int", "float"}):
        return "Pass a number."
    return "Pass a value of that type."
