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

import enum
import json
import math
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_SCALARS = (bool, int, float, str, type(None))


def checked(owner: str, name: str, annotation: Any, value: Any) -> Any:
    """Return a configuration value, an int as float if a float is declared.

    Raises:
      TypeError: It is no Python scalar, string, tuple of these, class or module-level
        function, or not of the declared scalar type.
    """
    declared = annotation if isinstance(annotation, str) else _type_name(annotation)
    kinds = [kind.strip() for kind in declared.split("|")]
    if "float" in kinds and type(value) is int and "int" not in kinds:
        return float(value)
    if type(value) is bool and "bool" not in kinds and {"int", "float"} & set(kinds):
        raise TypeError(
            f"{owner}: {name} is declared {declared}, got {value}. Pass a number."
        )
    if type(value) in (int, float) and kinds == ["bool"]:
        raise TypeError(f"{owner}: {name} is True or False, got {value!r}.")
    _refuse_unhashable(owner, name, value)
    return value


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
        names = sorted(metric._configuration)
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
    if type(value) in _SCALARS:
        return
    if isinstance(value, tuple):
        for item in value:
            _refuse_unhashable(owner, name, item)
        return
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        if "<" in value.__qualname__:
            raise TypeError(
                f"{owner}: {name} is {value.__qualname__}, which cannot be pickled. "
                "Define the function at the top level of a module."
            )
        return
    if callable(value) and hasattr(value, "__name__"):
        return
    raise TypeError(
        f"{owner}: configuration {name} is a {type(value).__name__}; it must be a "
        "Python scalar, string, tuple or module-level function. Convert with int(), "
        "float() or tuple()."
    )


def _type_name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))
