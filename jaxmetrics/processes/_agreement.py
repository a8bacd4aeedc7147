"""Check that all processes hold the same metrics before they reduce them.

The reduction is one compiled program for all devices. Processes that launch different
programs wait for each other for ever.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Hashable
from typing import Any

from jaxmetrics.record import dumps, loads


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

    description, texts = _describe(metrics)
    digest = hashlib.sha256(dumps(description).encode()).digest()
    digests = exchange("metrics", digest)
    others = [i for i, received in digests.items() if received != digests[0]]
    if others:
        payload = dumps([description, texts]).encode()
        payloads = exchange("metrics", payload)
        process = others[0]
        difference = _first_difference(
            loads(payloads[0]), loads(payloads[process]), process
        )
        raise ValueError(
            f"{caller} got metrics on process {process} that differ from process 0: "
            f"{difference}. Make them of the same collection, placed alike, on every "
            f"process."
        )


def _describe(metrics: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return all that processes must share to compile the same program.

    Returns:
      The description as plain JSON, and texts for error messages, which are not
      compared: they can contain addresses of functions.
    """
    import jax

    from jaxmetrics.core import Collection, Deferred, saved_form

    state = metrics.state if isinstance(metrics, Deferred) else metrics
    layout: Any = saved_form(metrics).layout
    description: dict[str, Any] = {
        f"metric {path!r}": configuration
        for path, configuration in layout["metrics"].items()
    }
    description |= {
        f"leaf {name!r}": f"{dtype}{shape}"
        for name, (_, shape, dtype) in layout["leaves"].items()
    }
    if isinstance(state, Collection):
        description["the names of metrics"] = list(state)
    shardings = {str(_sharding(x)) for x in jax.tree.leaves(metrics)}
    description["the placement"] = sorted(shardings)
    texts = {f"metric {path!r}": text for path, text in layout["descriptions"].items()}
    return description, texts


def _sharding(x: Any) -> Any:
    return getattr(x, "sharding", None)


def _first_difference(first: Any, other: Any, process: int) -> str:
    """Return the first difference of a process from process 0, as text."""
    (description, texts), (other_description, other_texts) = first, other
    for name in [*description, *other_description]:
        value, other_value = description.get(name), other_description.get(name)
        if value == other_value:
            continue
        text, other_text = texts.get(name), other_texts.get(name)
        if text == other_text:  # neither has a text, or both have the same
            text, other_text = _json(value), _json(other_value)
        return (
            f"{name} is {other_text or 'absent'} on process {process}, and "
            f"{text or 'absent'} on process 0"
        )
    return "their descriptions are equal"


def _json(value: Any) -> str | None:
    return None if value is None else dumps(value)
