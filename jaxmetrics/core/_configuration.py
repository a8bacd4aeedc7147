"""Configuration of a metric: static, hashable, checked once at construction."""

from __future__ import annotations

import sys
import types
from typing import Any

_SCALARS = (bool, int, float, str, type(None))


def checked(who: str, name: str, annotation: Any, value: Any) -> Any:
    """The value, with an int made a float where a float is declared.

    Raises:
      TypeError: if it is not a Python scalar, string, tuple of these or a
        module-level function, or not of the declared scalar type.
    """
    declared = annotation if isinstance(annotation, str) else _name(annotation)
    kinds = [kind.strip() for kind in declared.split("|")]
    if "float" in kinds and type(value) is int and "int" not in kinds:
        return float(value)
    if type(value) is bool and "bool" not in kinds and {"int", "float"} & set(kinds):
        raise TypeError(f"{who}: {name} is declared {declared}, got {value}.")
    if type(value) in (int, float) and kinds == ["bool"]:
        raise TypeError(f"{who}: {name} is True or False, got {value!r}.")
    _refuse_unhashable(who, name, value)
    return value


def evaluated(annotation: Any, module: str) -> Any:
    """The class that an annotation names in its module, or the annotation."""
    if not isinstance(annotation, str):
        return annotation
    scope = vars(sys.modules.get(module, types.ModuleType("none")))
    first, *rest = annotation.split(".")
    found = scope.get(first, annotation)
    for part in rest:
        found = getattr(found, part, annotation)
    return found


def _refuse_unhashable(who: str, name: str, value: Any) -> None:
    if type(value) in _SCALARS:
        return
    if isinstance(value, tuple):
        for item in value:
            _refuse_unhashable(who, name, item)
        return
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        if "<" in value.__qualname__:
            raise TypeError(
                f"{who}: {name} is {value.__qualname__}, which cannot be pickled. "
                "Define the function at the top level of a module."
            )
        return
    if callable(value) and hasattr(value, "__name__"):
        return
    raise TypeError(
        f"{who}: configuration {name} is a {type(value).__name__}; it must be a Python "
        "scalar, string, tuple or module-level function. Convert with int(), float() "
        "or tuple()."
    )


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))
