"""Search the state of an optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def find_states(
    state: Any, wanted: Callable[[Any], bool], labels: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Yield the parts of an optax state for which `wanted` is true, with their labels.

    The search covers chains, `MultiSteps`, masks, injected hyperparameters and other
    wrappers. Labels are those of `multi_transform` and `named_chain`: `"a/b"` if they
    nest, `""` if there are none.
    """
    if wanted(state):
        yield "/".join(labels), state
    if isinstance(state, Mapping):
        for name, part in state.items():
            yield from find_states(part, wanted, (*labels, str(name)))
    elif isinstance(state, tuple | list):
        for part in state:
            yield from find_states(part, wanted, labels)
    elif dataclasses.is_dataclass(state) and not isinstance(state, type):
        for field in dataclasses.fields(state):
            yield from find_states(getattr(state, field.name), wanted, labels)


def unwrap_variable(value: Any) -> Any:
    """Return the value of an nnx variable; any other value as it is."""
    return value.get_value() if hasattr(value, "get_value") else value
