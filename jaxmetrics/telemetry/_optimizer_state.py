"""Search the state of an optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Path = tuple[str, ...]


class Part(NamedTuple):
    """A part of an optimizer's state, and its place.

    Attributes:
      state: State of a transformation, or a container of states.
      label: Labels of `multi_transform` and `named_chain` around it: `"a/b"` if they
        nest, `""` if there are none.
      path: Keys and fields that lead to it.
      branch: Path of the innermost mask around it, `()` without one. A transformation
        acts on the updates of the parts whose branches begin with its own.
    """

    state: Any
    label: str = ""
    path: Path = ()
    branch: Path = ()


def parts_of(state: Any) -> Iterator[Part]:
    """Yield each part of an optax state before the parts inside it.

    The search covers chains, `MultiSteps`, masks, injected hyperparameters and other
    wrappers, as tuples, mappings and dataclasses.
    """
    yield from _parts(Part(state))


def find_states(state: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yield the parts of an optax state for which `wanted` is true, by label."""
    for part in parts_of(state):
        if wanted(part.state):
            yield part.label, part.state


def unwrap_variable(value: Any) -> Any:
    """Return the value of an nnx variable; any other value as it is."""
    return value.get_value() if hasattr(value, "get_value") else value


def _parts(part: Part) -> Iterator[Part]:
    yield part
    state, label, path, branch = part
    if type(state).__name__ == "MaskedState":
        branch = path
    for name, value in _children(state):
        if isinstance(state, Mapping):
            inner_label = f"{label}/{name}" if label else name
        else:
            inner_label = label
        yield from _parts(Part(value, inner_label, (*path, name), branch))


def _children(state: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(state, Mapping):
        yield from ((str(name), value) for name, value in state.items())
    elif isinstance(state, tuple | list):
        names = getattr(state, "_fields", None) or map(str, range(len(state)))
        yield from zip(names, state)
    elif dataclasses.is_dataclass(state) and not isinstance(state, type):
        for field in dataclasses.fields(state):
            yield field.name, getattr(state, field.name, None)
