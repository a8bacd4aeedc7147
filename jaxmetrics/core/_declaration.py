"""What makes a class a metric: its fields, and the rules it is held to."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

from jaxmetrics.core._configuration import evaluated
from jaxmetrics.core._leaves import UNSET, NotInInit


class Bound:
    """A method that, called on the class, binds the default configuration."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Wrap a method whose first argument is an instance."""
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        """The method of the instance, or of a default one."""
        bound = owner() if instance is None else instance
        return functools.partial(self._function, bound)


def child(make: Callable[[Any], Any], *, init: NotInInit = False) -> Any:
    """A field that holds a metric made from the configuration: `make(self)`."""
    return dataclasses.field(
        default=UNSET, kw_only=True, repr=False, metadata={"child": make}
    )


def register(cls: type) -> None:
    """Make a metric class a pytree, keyed by its names.

    The fast way calls the class with its fields; a class with an `__init__` of its own
    is rebuilt without it.
    """
    data, meta = [*cls._leaves, *cls._children], list(cls._configuration)
    if "__init__" in cls.__dict__ and not _generated(cls):
        _register_slowly(cls, data, meta)
    else:
        jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=meta)


def is_child(cls: type, field: dataclasses.Field[Any]) -> bool:
    """Whether a field holds a metric: by its declaration, or its annotation."""
    if "child" in field.metadata:
        return True
    return getattr(evaluated(field.type, cls.__module__), "holds_state", False)


def refuse_no_metric(who: str, name: str, held: Any) -> None:
    """Refuse a number, a name or a class where a metric belongs."""
    if isinstance(held, str | int | float | type | None):
        raise TypeError(
            f"{who}: {name} is {held!r}, not a metric. Pass an instance such as "
            "jm.Accuracy()."
        )


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


def _generated(cls: type) -> bool:
    """Whether a dataclass made the `__init__`: it takes all fields by name."""
    taken = inspect.signature(cls.__init__).parameters
    return all(field.name in taken for field in dataclasses.fields(cls))


def _register_slowly(cls: type, data: list[str], meta: list[str]) -> None:
    keys = [jax.tree_util.GetAttrKey(name) for name in data]

    def flatten(metric: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children = tuple(getattr(metric, name) for name in data)
        return children, tuple(getattr(metric, name) for name in meta)

    def flatten_with_keys(metric: Any) -> tuple[Any, tuple[Any, ...]]:
        children, static = flatten(metric)
        return tuple(zip(keys, children)), static

    def unflatten(static: tuple[Any, ...], children: Any) -> Any:
        new = object.__new__(cls)
        new.__dict__.update(zip(meta, static))
        new.__dict__.update(zip(data, children))
        return new

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
