"""The static parts of metrics as bytes, for exported programs, without pickle.

An exported program may come from anywhere. What it names is looked up among the modules
that are imported already; nothing is imported or called to read it.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from jaxmetrics.core._configuration import with_one_nan

_PLAIN = (bool, int, float, str, type(None))


def static_bytes(static: Any) -> bytes:
    """Return the static part of a node as bytes.

    Raises:
      TypeError: It holds a function or class that is not at the top level of a module.
    """
    return json.dumps(_encoded(static)).encode()


def static_of_bytes(
    data: bytes, rebuilt: Callable[[type, Any, list[Any]], Any] | None = None
) -> Any:
    """Undo `static_bytes`.

    Args:
      data: The bytes.
      rebuilt: Makes a node of a class from its static part and its children. None if
        there are no structures of metrics.

    Raises:
      ValueError: The bytes name what is not imported here, or are not of this kind.
    """
    try:
        return _decoded(json.loads(data), rebuilt)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"The exported program has a static part that cannot be read "
            f"({type(error).__name__}: {error}). Import the modules of its metrics, "
            f"and read it with the version of jaxmetrics that exported it."
        ) from error


def _encoded(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return {"enum": [_name(type(value)), value.name]}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, PartitionSpec):
        return {"spec": [_encoded(item) for item in value]}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_encoded(item) for item in value]}
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, jax.tree_util.PyTreeDef):
        return {"tree": _encoded_tree(value)}
    return {"name": _name(value)}


def _encoded_tree(tree: Any) -> Any:
    node = tree.node_data()
    if node is None:
        return "leaf"
    kind, static = node
    children = [_encoded_tree(child) for child in tree.children()]
    return [_name(kind), _encoded(static), children]


def _decoded(form: Any, rebuilt: Any) -> Any:
    if isinstance(form, _PLAIN):
        return with_one_nan(form)
    ((kind, content),) = form.items()
    if kind == "enum":
        return _found(content[0])[content[1]]
    if kind == "dtype":
        return np.dtype(content)
    if kind == "name":
        return _found(content)
    if kind == "tree":
        return jax.tree.structure(_example(content, rebuilt))
    make = {"spec": lambda items: PartitionSpec(*items), "tuple": tuple, "list": list}
    return make[kind](_decoded(item, rebuilt) for item in content)


def _example(form: Any, rebuilt: Any) -> Any:
    """Return a tree of an encoded structure."""
    if form == "leaf":
        return object()
    name, static, parts = form
    kind, children = _found(name), [_example(part, rebuilt) for part in parts]
    if kind in (tuple, list):
        return kind(children)
    if kind is type(None):
        return None
    if kind is dict:
        return dict(zip(_decoded(static, rebuilt), children))
    return rebuilt(kind, _decoded(static, rebuilt), children)


def _name(value: Any) -> str:
    """Return the module and the name of a class or function."""
    name = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    if module is None:  # some ufuncs have none
        module = type(value).__module__
    if "<" in name:
        raise TypeError(
            f"{name} cannot be named in an exported program. Define it at the top "
            f"level of a module."
        )
    return f"{module}:{name}"


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    value: Any = sys.modules[module]
    for part in path.split("."):
        value = getattr(value, part)
    return value
