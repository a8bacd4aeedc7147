"""Declaration of a metric class: its fields, its pytree, and the rules it must keep."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import jax

from jaxmetrics._other_names import argument_error
from jaxmetrics.core._configuration import evaluated
from jaxmetrics.core._leaves import UNSET, NotInInit
from jaxmetrics.core._serialization import register_for_export, register_with_flax

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Bound(Generic[_P, _R]):
    """A method that, called on the class, binds the default configuration."""

    def __init__(self, function: Callable[Concatenate[Any, _P], _R]) -> None:
        """Wrap a method whose first argument is an instance."""
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type) -> Callable[_P, _R]:
        """Return the method of the instance, or of a default one made at the call."""
        if instance is not None:
            return functools.partial(self._function, instance)

        @functools.wraps(self._function)
        def of_default(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            return self._function(owner(), *args, **kwargs)

        return of_default


def child(make: Callable[[Any], Any], *, init: NotInInit = False) -> Any:
    """Declare a field that holds a metric made from the configuration.

    Args:
      make: Function of the configured metric that returns the metric inside.
    """
    return dataclasses.field(
        default=UNSET, kw_only=True, repr=False, metadata={"child": make}
    )


def scores_field(
    *choices: str, default: str | None = None, narrow: bool = False
) -> Any:
    """Declare the configuration field `scores`: the output that holds the scores.

    `observe` takes the scores as its argument `logits`, whatever they are. They are
    read from the output that `scores` names, unless `.on(logits=...)` names another.

    Args:
      *choices: Outputs that the metric can read, such as "logits", "probs". Any other
        value is refused when a metric is constructed.
      default: One of them, by default the first; type checkers need it spelled out.
      narrow: `observe` takes floats of 16 bits as they are and converts what it needs,
        instead of taking them as float32. Default False.
    """
    return dataclasses.field(
        default=default or choices[0], metadata={"scores": choices, "narrow": narrow}
    )


def check_scores(owner: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse scores of a kind that the metric cannot read."""
    if value not in choices:
        reason = " Predicted classes have no scores to use." * (value == "preds")
        raise ValueError(
            f"{owner}: {name} is one of {choices}, got {value!r}.{reason} Configure "
            "one of these, and pass the scores as the output of that name."
        )


def register(cls: type) -> None:
    """Make a metric class a pytree, keyed by its names.

    A state is rebuilt without a call of the class, whose checks of the configuration
    were passed by the state that it comes from.
    """
    data, meta = [*cls._leaves, *cls._children], list(cls._configuration)
    keys = [jax.tree_util.GetAttrKey(name) for name in data]
    children_of, static_of = _entries(data), _entries(meta)

    def flatten(metric: Any) -> tuple[tuple[Any, ...], Configured]:
        fields = metric.__dict__
        static = fields.get("_configured") or Configured(static_of(fields))
        return children_of(fields), static

    def flatten_with_keys(metric: Any) -> tuple[Any, Configured]:
        children, static = flatten(metric)
        return tuple(zip(keys, children)), static

    def unflatten(static: tuple[Any, ...], children: Any) -> Any:
        register_with_flax(cls)
        if not isinstance(static, Configured):
            static = Configured(static)  # of an exported program
        if static.fields is None:
            static.fields = {"_configured": static, **dict(zip(meta, static))}
        fields = static.fields.copy()
        fields.update(zip(data, children))
        new = object.__new__(cls)
        object.__setattr__(new, "__dict__", fields)
        return new

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    register_for_export(cls)


class Configured(tuple[Any, ...]):
    """The configuration of a metric, and what follows from it.

    It is the static part of the pytree, so the states that one program returns share
    it, and what they look up was derived once.

    Attributes:
      fields: Attributes that a state gets from it.
      layout: See `Metric._layout`.
    """

    fields: dict[str, Any] | None = None
    layout: Any = None

    @classmethod
    def of(cls, metric: Any) -> Configured:
        """Return that of a metric, which keeps it."""
        known = metric.__dict__.get("_configured")
        if known is None:
            known = cls(getattr(metric, name) for name in metric._configuration)
            metric.__dict__["_configured"] = known
        return known


def _entries(names: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Return a function that looks up names: every call of a program flattens."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda fields: tuple([fields[name] for name in names])


def is_child(cls: type, field: dataclasses.Field[Any]) -> bool:
    """Return whether a field holds a metric, by its declaration or annotation.

    An inherited field is what it is in the base: the module of a subclass need not
    know the name in its annotation.
    """
    if "child" in field.metadata:
        return True
    if field.name not in cls.__dict__.get("__annotations__", {}):
        bases = cls.__mro__[1:]
        return any(field.name in getattr(b, "_children", {}) for b in bases)
    return getattr(evaluated(field.type, cls.__module__), "holds_state", False)


def explained_init(cls: Any) -> Callable[..., None]:
    """Return the constructor of a dataclass with an error that names the arguments."""
    init = cls.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            fields = {f.name: f.default for f in dataclasses.fields(cls)}
            unknown = {n: x for n, x in kwargs.items() if n not in fields}
            if not unknown:
                raise
            hidden = ("renames", "reproducible_sums")
            taken = [n for n, x in fields.items() if x is not UNSET and n not in hidden]
            raise argument_error(cls.__name__, unknown, taken) from None

    return __init__


def refuse_no_state(cls: Any, base: Any) -> None:
    """Refuse an instance of a class that holds no state, with a TypeError.

    Args:
      cls: The class of the instance.
      base: `Metric`, whose own methods count as not defined.
    """
    if cls._leaves or cls._children or cls.contribution is not base.contribution:
        return
    raise TypeError(
        f"{cls.__name__} declares no leaf, so it holds no state and counts nothing. "
        "Declare leaves, such as `total: jm.Array = jm.sum_leaf()`, and write "
        "observe(self, *, loss, mask=None), which returns one batch's contribution to "
        "each: `return dict(total=jm.total(loss, mask))`."
    )


def refuse_no_metric(owner: str, name: str, value: Any) -> None:
    """Refuse a number, a name, a class or a deferred state where a metric belongs."""
    if value is UNSET or (
        hasattr(value, "contribution") and not isinstance(value, type)
    ):
        return
    remedy = "Pass an instance such as jm.Accuracy()."
    if isinstance(value, Mapping):
        remedy = "Pass jm.Collection({...})."
    elif hasattr(value, "state"):
        remedy = f"Put the metric into {owner}(...), and that into .deferred(mesh)."
    raise TypeError(f"{owner}: {name} is {value!r}, not a metric. {remedy}")


def refuse_unsound(cls: type, base: Any) -> None:
    """Refuse a class whose states would be wrong, with a TypeError.

    Args:
      cls: The class being defined.
      base: `Metric`, whose own methods count as not defined.
    """
    name = cls.__name__
    for field in dataclasses.fields(cls):
        hidden = inspect.getattr_static(base, field.name, None)  # binds no method
        inherited = field is base.__dataclass_fields__.get(field.name)
        if hidden is not None and not inherited:
            raise TypeError(
                f"{name}: field {field.name!r} hides the attribute of the same name, "
                "which every metric needs. Give the field another name."
            )
    code = getattr(cls.__dict__.get("__post_init__"), "__code__", None)
    if code is not None and "__post_init__" not in code.co_names:  # of super()
        raise TypeError(
            f"{name} defines __post_init__, in which Metric creates the empty state. "
            "Define validate(self) to check the configuration."
        )
    for method in ("update", "from_model_output", "__call__"):
        if method in cls.__dict__:
            raise TypeError(
                f"{name} defines {method}(), but states are immutable and {method} is "
                "derived. Declare leaves, such as `total: jm.Array = jm.sum_leaf()`, "
                "and write observe(self, *, loss, mask=None), which returns one "
                "batch's contribution to each: `return dict(total=jm.total(loss, "
                "mask))`."
            )
    _refuse_unknown_sizes(cls)
    free = [n for n, declared in cls._leaves.items() if declared.name == "free"]
    if free and cls.merge is base.merge:
        raise TypeError(
            f"{name}: leaf {free[0]!r} does not combine by itself. Define "
            "merge(self, other), or declare it with another leaf."
        )
    if cls.observe is base.observe:
        return
    if not cls._leaves:
        raise TypeError(
            f"{name} defines observe but no leaf, so observe would never be called. "
            "Declare a leaf for what it counts, such as jm.count_leaf(); to change "
            "what a metric inside sees, derive from jm.Wrapper and define transform()."
        )
    by_position = [
        parameter.name
        for parameter in list(inspect.signature(cls.observe).parameters.values())[1:]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if by_position:
        raise TypeError(
            f"{name}.observe takes {by_position} without a star before them, but "
            "outputs are passed by name. Write observe(self, *, "
            f"{', '.join(by_position)})."
        )
    if "mask" not in cls._arguments and not cls._scalars:
        raise TypeError(
            f"{name}.observe takes no 'mask', so padding would be counted. Add "
            "mask=None and pass it to the counting helpers, or declare "
            f"class {name}(Metric, scalars=True)."
        )


def _refuse_unknown_sizes(cls: Any) -> None:
    """Refuse a leaf whose shape or kind depends on a field that the class lacks."""
    fields = {field.name for field in dataclasses.fields(cls)}
    for leaf, declared in cls._leaves.items():
        for size in declared.names:
            if size in fields or hasattr(cls, size):
                continue
            raise TypeError(
                f"{cls.__name__}: leaf {leaf!r} is declared with {size!r}, which is no "
                f"field of the class. Declare `{size}: int` before it, or write a "
                "number."
            )
