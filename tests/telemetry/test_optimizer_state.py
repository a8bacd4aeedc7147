"""States are searched in tuples, mappings and dataclasses, with their places."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import optax
from flax import nnx

from jaxmetrics.telemetry._optimizer_state import (
    find_states,
    parts_of,
    unwrap_variable,
)


class Wanted(NamedTuple):
    number: int


@dataclasses.dataclass
class Wrapper:
    inner: object


def find(state):
    return list(find_states(state, lambda part: isinstance(part, Wanted)))


def test_states_are_found_inside_containers():
    state = ((), [Wanted(1)], Wrapper((Wanted(2), 3)), Wrapper, "text", None)
    assert find(state) == [("", Wanted(1)), ("", Wanted(2))]


def test_labels_are_the_keys_of_mappings():
    state = {"a": Wanted(1), "b": {"c": (Wanted(2),)}}
    assert find(state) == [("a", Wanted(1)), ("b/c", Wanted(2))]


def test_a_state_inside_a_wanted_state_is_found_too():
    assert find(Wanted(Wanted(1))) == [("", Wanted(Wanted(1))), ("", Wanted(1))]


def test_a_branch_is_the_path_of_the_innermost_mask():
    mask = optax.MaskedState
    state = (Wanted(1), mask({"a": Wanted(2), "b": mask((Wanted(3),))}))
    found = [part for part in parts_of(state) if isinstance(part.state, Wanted)]
    assert [part.branch for part in found] == [
        (),
        ("1",),
        ("1", "inner_state", "b"),
    ]
    assert found[2].path == ("1", "inner_state", "b", "inner_state", "0")
    assert [part.label for part in found] == ["", "a", "b"]


def test_a_variable_of_nnx_is_unwrapped():
    assert unwrap_variable(nnx.Variable(jnp.int32(3))) == 3
    assert unwrap_variable(4) == 4
