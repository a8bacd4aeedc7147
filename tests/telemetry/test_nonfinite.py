"""The first value that is not finite is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.broken_model import BROKEN, WEIGHTS, scanned, unrolled

from jaxmetrics.telemetry import first_nonfinite, name_of, tap, taps


@pytest.mark.parametrize(
    ("model", "name"),
    [(unrolled, "forward/layer_7/hidden"), (scanned, "layers/7/hidden")],
)
def test_the_first_broken_layer_is_named(model, name):
    @jax.jit
    def step(weights):
        tree, stacked = model(weights)
        return first_nonfinite(tree, stacked)

    tree, stacked = model(WEIGHTS)
    assert step(WEIGHTS) == -1 and name_of(tree, step(WEIGHTS), stacked) is None
    assert name_of(tree, step(BROKEN), stacked) == name
    shapes = jax.eval_shape(lambda: tree)
    assert name_of(shapes, step(BROKEN), stacked) == name


def test_taps_are_in_the_order_of_execution():
    with taps() as values:
        tap("z_first", jnp.array([jnp.nan]))
        tap("a_second", jnp.array([jnp.nan]))
    assert name_of(values, first_nonfinite(values)) == "z_first"
    returned = jax.jit(lambda: values)()
    assert name_of(returned, first_nonfinite(values)) == "z_first"


def test_each_place_has_a_name():
    def tree():
        stack = {"attn": np.zeros((3, 2)), "mlp": np.zeros((3, 2))}
        return {
            "embed": np.zeros(2),
            "blocks": stack,
            "head": [np.zeros(1), np.zeros(())],
        }

    names = ["embed", *(f"blocks/{i}/{x}" for i in range(3) for x in ("attn", "mlp"))]
    names += ["head/0", "head/1"]
    places = set()
    for name in names:
        broken = tree()
        part = broken
        parts = name.split("/")
        index = (int(parts[1]), 1) if parts[0] == "blocks" else ()
        for key in (parts[0], parts[2]) if index else parts:
            part = part[int(key) if isinstance(part, list) else key]
        part[index or ...] = np.nan
        place = first_nonfinite(broken, "blocks/*")
        assert place.dtype == jnp.int32 and int(place) not in places
        places.add(int(place))
        assert name_of(broken, place, "blocks/*") == name
    with pytest.raises(IndexError, match="place 9 of a tree with 9 places"):
        name_of(tree(), 9, "blocks/*")
    assert places == set(range(9))
    assert first_nonfinite({}) == first_nonfinite({"n": jnp.int32(3)}) == -1


def test_stacks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'blocks' matches no array"):
        first_nonfinite({"layers": jnp.ones(3)}, "blocks")
    with pytest.raises(ValueError, match="'b' of shape .*expected 3 layers"):
        first_nonfinite({"a": jnp.ones(3), "b": jnp.ones(4)}, "*")


def test_a_scalar_has_no_layers():
    with pytest.raises(ValueError, match="matches 'a' of shape"):
        first_nonfinite({"a": jnp.float32(1)}, "a")
