"""What makes a class a metric: its fields, and the rules it is held to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from jaxmetrics.core._configuration import evaluated
from jaxmetrics.core._leaves import UNSET


class Bound:
    """A method that, called on the class, binds the default configuration."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Wrap a method whose first argument is an instance."""
        self._function = function
        functools.update_wrapper(self, function)

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        """The method of the instance, or of a default one."""
        bound = owner() if instance is None else instance
        return functools.partial(self._function, bound)


def child(make: Callable[[Any], Any]) -> Any:
    """A field that holds a metric made from the configuration: `make(self)`."""
    return dataclasses.field(
        default=UNSET, kw_only=True, repr=False, metadata={"child": make}
    )


def is_child(cls: type, field: dataclasses.Field[Any]) -> bool:
    """Whether a field holds a metric: by its declaration, or its annotation."""
    if "child" in field.metadata:
        return True
    return getattr(evaluated(field.type, cls.__module__), "holds_state", False)


def refuse_unsound(cls: type, base: type) -> None:
    """Refuse a class whose states would not add up.

    Args:
      cls: the class being defined.
      base: `Metric`, whose own methods count as not defined.
    """
    name = cls.__name__
    free = [n for n, d in cls._leaves.items() if d.name == "free"]
    if free and cls.merge is base.merge:
        raise TypeError(
            f"{name}: leaf {free[0]!r} does not combine by itself. Define "
            "merge(self, other), or declare it with another leaf."
        )
    if cls._leaves and "mask" not in cls._arguments and not cls._scalars:
        if cls.observe is not base.observe:
            raise TypeError(
                f"{name}.observe takes no 'mask', so padding would be counted. Add "
                "mask=None and pass it to the counting helpers, or declare "
                f"class {name}(Metric, scalars=True)."
            )
