"""Finding what is somewhere inside the state of an optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def found(
    state: Any, wanted: Callable[[Any], bool], labels: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """The parts of an optax state that are wanted, each with the labels around it.

    It looks through chains, `MultiSteps`, masks, injected hyperparameters and other
    wrappers; labels are those of `multi_transform` and of `named_chain`, `"a/b"`
    where they nest, `""` where there are none.
    """
    if wanted(state):
        yield "/".join(labels), state
    if isinstance(state, Mapping):
        for name, part in state.items():
            yield from found(part, wanted, (*labels, str(name)))
    elif isinstance(state, tuple | list):
        for part in state:
            yield from found(part, wanted, labels)
    elif dataclasses.is_dataclass(state) and not isinstance(state, type):
        for field in dataclasses.fields(state):
            yield from found(getattr(state, field.name), wanted, labels)


def plain(value: Any) -> Any:
    """A value of a state, out of the variable that nnx keeps it in."""
    return value.get_value() if hasattr(value, "get_value") else value
