"""Registration of metric classes with `jax.export` and with `flax.serialization`.

`jax.export` writes the tree structure of a step's arguments, so it has to know how to
write the static part of each class. That is done when a class is defined. Flax is not
imported here: a class is registered at the first instance made after the user has
imported it.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax.export
import numpy as np

from jaxmetrics.core._static import static_bytes, static_of_bytes

_LOG = logging.getLogger("jaxmetrics")


def register_for_export(
    cls: type,
    serialize: Callable[[Any], bytes] = static_bytes,
    deserialize: Callable[[bytes], Any] | None = None,
) -> None:
    """Let `jax.export` serialize functions that take or return a class.

    Args:
      cls: A class that is a pytree node already.
      serialize: Return the static part of a node as bytes.
      deserialize: Undo `serialize`. Default: that of `static_bytes`.
    """
    deserialize = deserialize or functools.partial(static_of_bytes, rebuilt=_rebuilt)
    name = f"{cls.__module__}.{cls.__qualname__}"
    taken = 0  # by classes of this name that were defined before, as in a notebook
    while True:
        try:
            jax.export.register_pytree_node_serialization(
                cls,
                serialized_name=f"{name}#{taken}" if taken else name,
                serialize_auxdata=serialize,
                deserialize_auxdata=deserialize,
            )
            return
        except ValueError as error:
            if "for serialized_name" not in " ".join(str(error).split()):
                raise
            taken += 1


def _rebuilt(kind: type, static: Any, children: list[Any]) -> Any:
    """Return metrics of a class, as jax unflattens them."""
    from jaxmetrics.core._collection import Collection, rebuilt_collection
    from jaxmetrics.core._metric import Metric

    if kind is Collection:
        return rebuilt_collection(static, children)
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        raise TypeError(f"{kind!r} is not a class of metrics")
    state = object.__new__(kind)
    names = (*kind._leaves, *kind._children, *kind._configuration)
    state.__dict__.update(zip(names, (*children, *static)))
    return state


def register_with_flax(cls: Any) -> None:
    """Let `flax.serialization` save a class, once flax was imported.

    States are saved by name and can be restored on another number of devices, or with
    metrics added or removed, as checkpoints can.
    """
    serialization = sys.modules.get("flax.serialization")
    if serialization is None or "_with_flax" in cls.__dict__:
        return
    register = getattr(serialization, "register_serialization_state", None)
    if register is not None:
        register(cls, _to_state_dict, _from_state_dict, override=True)
        cls._with_flax = True


def _to_state_dict(metrics: Any) -> dict[str, Any]:
    from jaxmetrics.core._saved import saved_form

    saved = saved_form(metrics)
    return {"layout": json.dumps(saved.layout), "arrays": dict(saved.arrays)}


def _from_state_dict(template: Any, state: Mapping[str, Any]) -> Any:
    from jaxmetrics.core._saved import from_saved

    arrays = {name: np.array(x) for name, x in state["arrays"].items()}
    metrics, removed = from_saved(template, json.loads(state["layout"]), arrays)
    for path in removed:
        _LOG.warning(
            "flax.serialization: metric %s was saved, but the template lacks it; it is "
            "left out.",
            path,
        )
    return metrics
