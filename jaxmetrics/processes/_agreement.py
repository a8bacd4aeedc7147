"""Whether all processes hold the same metrics, asked before they reduce them.

Processes that launch different programs wait for each other without end.
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
    """Remembers which metrics all processes have agreed upon."""

    def __init__(self) -> None:
        self._agreed: set[Hashable] = set()

    def refusal(self, metrics: Any) -> Exception | None:
        """Why these metrics must not be reduced, or None; what it asks is asked once.

        Metrics that lie on this process's own devices are nobody else's business.
        """
        jax = sys.modules.get("jax")
        if jax is None or isinstance(metrics, type) or not hasattr(metrics, "compute"):
            return None
        leaves, structure = jax.tree.flatten(metrics)
        if not spans_processes(leaves):
            return None
        known = structure, tuple((getattr(x, "shape", ()), _at(x)) for x in leaves)
        if known not in self._agreed:
            try:
                require_same("log_step()", metrics)
            except (TimeoutError, ValueError) as error:
                return error
            self._agreed.add(known)
        return None


def spans_processes(tree: Any) -> bool:
    """Whether an array of a tree lies on devices of other processes too."""
    import jax
    from jax.core import Tracer

    arrays = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    return any(not isinstance(x, Tracer) and not x.is_fully_addressable for x in arrays)


def require_same(who: str, metrics: Any) -> None:
    """Refuse metrics that differ between processes; every process calls it.

    Args:
      who: Whose metrics they are, for the error.
      metrics: A Metric, a Collection or a deferred one.

    Raises:
      ValueError: Another process holds other metrics; the same on all of them.
      MissingHostError: Some did not come to be asked.
    """
    from jaxmetrics.processes._exchange import exchange

    mine = _ADDRESS.sub("", dumps(_description(metrics))).encode()
    told = exchange("metrics", hashlib.sha256(mine).digest())
    others = [i for i, said in told.items() if said != told[0]]
    if others:
        full = exchange("metrics", mine)
        first: Any = loads(full[0])
        other: Any = loads(full[others[0]])
        raise ValueError(
            f"{who} got other metrics on process {others[0]} than on process 0: "
            f"{_difference(other, first)}. Make them of the same collection, placed "
            f"alike, on every process."
        )


def _description(metrics: Any) -> dict[str, Any]:
    """What must be the same for processes to compile the same program."""
    import jax

    from jaxmetrics.core import Collection, Deferred, saved_form

    state = metrics.state if isinstance(metrics, Deferred) else metrics
    leaves: Any = saved_form(metrics).layout["leaves"]
    described = {
        f"leaf {name!r}": f"{owner} {dtype}{shape}"
        for name, (_, owner, shape, dtype) in leaves.items()
    }
    if isinstance(state, Collection):
        described["the names of metrics"] = str(list(state))
    placed = {str(_at(x)) for x in jax.tree.leaves(metrics)}
    return described | {"the placement": str(sorted(placed))}


def _at(x: Any) -> Any:
    return getattr(x, "sharding", None)


def _difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """The first thing that differs, in words."""
    for name in [*here, *there]:
        mine, its = here.get(name, "absent"), there.get(name, "absent")
        if mine != its:
            return f"{name} is {its} there, and {mine} on process 0"
    return "they are described alike"
