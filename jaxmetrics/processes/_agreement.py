"""Check that all processes hold the same metrics before they reduce them.

The reduction is one compiled program for all devices. Processes that launch different
programs wait for each other for ever.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Hashable, Mapping
from typing import Any

from jaxmetrics.record import dumps, loads

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Agreement:
    """Metrics on which all processes agree; each is compared once."""

    def __init__(self) -> None:
        self._agreed: set[Hashable] = set()

    def mismatch(self, metrics: Any) -> Exception | None:
        """Return the error of metrics that differ between processes, or None.

        Metrics on the devices of one process need no agreement.
        """
        jax = sys.modules.get("jax")
        if jax is None or isinstance(metrics, type) or not hasattr(metrics, "compute"):
            return None
        leaves, structure = jax.tree.flatten(metrics)
        if not spans_processes(leaves):
            return None
        layout = (
            structure,
            tuple((getattr(x, "shape", ()), _sharding(x)) for x in leaves),
        )
        if layout not in self._agreed:
            try:
                require_same_metrics("log_step()", metrics)
            except (TimeoutError, ValueError) as error:
                return error
            self._agreed.add(layout)
        return None


def spans_processes(tree: Any) -> bool:
    """Return whether an array of the tree has shards on devices of other processes."""
    import jax

    from jaxmetrics.core import is_on_device

    arrays = filter(is_on_device, jax.tree.leaves(tree))
    return any(not x.is_fully_addressable for x in arrays)


def require_same_metrics(caller: str, metrics: Any) -> None:
    """Raise an error if metrics differ between processes; every process calls it.

    Args:
      caller: Function named in the error.
      metrics: Metric, Collection, or the deferred form of one.

    Raises:
      ValueError: Another process holds other metrics. All processes raise it.
      MissingHostError: A process did not take part in the comparison.
    """
    from jaxmetrics.processes._exchange import exchange

    description = _ADDRESS.sub("", dumps(_describe(metrics))).encode()
    digests = exchange("metrics", hashlib.sha256(description).digest())
    others = [i for i, digest in digests.items() if digest != digests[0]]
    if others:
        descriptions = exchange("metrics", description)
        first: Any = loads(descriptions[0])
        other: Any = loads(descriptions[others[0]])
        raise ValueError(
            f"{caller} got other metrics on process {others[0]} than on process 0: "
            f"{_first_difference(other, first)}. Make them of the same collection, "
            f"placed alike, on every process."
        )


def _describe(metrics: Any) -> dict[str, str]:
    """Return all that processes must share to compile the same program."""
    import jax

    from jaxmetrics.core import Collection, Deferred, saved_form

    state = metrics.state if isinstance(metrics, Deferred) else metrics
    layout: Any = saved_form(metrics).layout
    descriptions, configurations = layout["descriptions"], layout["metrics"]
    description = {
        f"leaf {name!r}": f"{descriptions.get(path)} {dtype}{shape}"
        for name, (path, shape, dtype) in layout["leaves"].items()
    }
    description |= {
        f"configuration of {n!r}": dumps(x) for n, x in configurations.items()
    }
    if isinstance(state, Collection):
        description["the names of metrics"] = str(list(state))
    shardings = {str(_sharding(x)) for x in jax.tree.leaves(metrics)}
    return description | {"the placement": str(sorted(shardings))}


def _sharding(x: Any) -> Any:
    return getattr(x, "sharding", None)


def _first_difference(other: Mapping[str, str], first: Mapping[str, str]) -> str:
    for name in [*first, *other]:
        value, other_value = first.get(name, "absent"), other.get(name, "absent")
        if value != other_value:
            return f"{name} is {other_value} there, and {value} on process 0"
    return "their descriptions are equal"
