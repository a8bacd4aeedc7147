"""Values tapped inside models reach the metrics, and never leak."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.telemetry import tap, tapped, taps

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def model(params, x):
    hidden = tap("hidden", jnp.tanh(x @ params))
    return hidden.sum(axis=-1)


PARAMS = np.eye(4, dtype=np.float32)
HIDDEN = np.tanh(X)


class Nnx(nnx.Module):
    def __call__(self, x):
        return model(PARAMS, x)


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        return model(PARAMS, x)


@pytest.mark.parametrize(
    "call",
    [lambda x: model(PARAMS, x), Nnx(), lambda x: Linen().apply({}, x)],
    ids=["function", "nnx", "linen"],
)
@pytest.mark.parametrize("jit", [False, True])
def test_a_tap_reaches_the_collection_as_an_output(call, jit):
    metrics = jm.Collection(out=jm.Mean("out"), hidden=jm.Max("hidden"))

    def step(metrics, x):
        with taps() as values:
            out = call(x)
        return metrics.update(out=out, **values)

    state = (jax.jit(step) if jit else step)(metrics, X)
    assert state.compute()["hidden"] == pytest.approx(HIDDEN.max(), rel=1e-6)


def test_without_an_open_block_tap_returns_the_value():
    assert tap("x", 3) == 3
    with taps() as values:
        pass
    assert tap("x", 4) == 4 and values == {}


def test_values_leave_grad_as_auxiliary_values():
    @jax.jit
    def step(params, x):
        def loss(params):
            with taps() as values:
                out = model(params, x)
            return out.sum(), values

        return jax.grad(loss, has_aux=True)(params)

    grads, values = step(PARAMS, X)
    np.testing.assert_allclose(values["hidden"], HIDDEN, rtol=1e-6)
    expected = jax.grad(lambda p: model(p, X).sum())(PARAMS)
    np.testing.assert_allclose(grads, expected, rtol=1e-4)


def test_values_leave_a_scan_over_layers_as_outputs():
    def layer(x, params):
        with taps() as values:
            model(params, x)
        return x, values

    with taps() as values:
        _, layers = lax.scan(layer, X, np.stack([PARAMS, 0 * PARAMS]))
        tap("layers", layers["hidden"])
    np.testing.assert_allclose(values["layers"], [HIDDEN, 0 * HIDDEN], rtol=1e-6)


def opened_inside(x):
    with taps() as values:
        model(PARAMS, x)
    return values["hidden"]


def test_a_block_works_inside_vmap_remat_and_shard_map():
    mesh = Mesh(np.array(jax.devices()), ("data",))
    mapped = jax.shard_map(
        opened_inside, mesh=mesh, in_specs=P("data"), out_specs=P("data")
    )
    for transformed in (jax.vmap(opened_inside), jax.checkpoint(opened_inside), mapped):
        np.testing.assert_allclose(jax.jit(transformed)(X), HIDDEN, rtol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        nnx.jit,
        jax.vmap,
        jax.checkpoint,
        lambda f: jax.grad(lambda x: f(x).sum()),
        lambda f: lambda x: lax.scan(lambda c, _: (c, f(c)), x, length=2),
        lambda f: lambda x: lax.cond(True, f, f, x),
    ],
    ids=["jit", "nnx.jit", "vmap", "remat", "grad", "scan", "cond"],
)
@pytest.mark.parametrize("around", [lambda f: f, jax.jit], ids=["eager", "in jit"])
def test_a_tap_that_could_not_leave_a_transformation_is_refused(transform, around):
    def step(x):
        with taps():
            return transform(lambda x: model(PARAMS, x))(x)

    with pytest.raises(RuntimeError, match="Open taps.. inside that function"):
        around(step)(X)


def test_a_name_is_recorded_once():
    with taps():
        tap("norm", 1.0)
        with pytest.raises(ValueError, match="already has that name"):
            tap("norm", 2.0)


def test_blocks_nest_and_an_error_closes_them():
    with taps() as outer:
        tap("a", 1)
        with taps() as inner:
            tap("b", 2)
        with pytest.raises(ZeroDivisionError), taps():
            _ = 1 / 0
        tap("c", 3)
    assert (outer, inner) == ({"a": 1, "c": 3}, {"b": 2})


def test_a_block_does_not_collect_from_other_threads():
    with taps() as values:
        thread = threading.Thread(target=tap, args=("elsewhere", 1))
        thread.start()
        thread.join()
    assert values == {}


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return tap("hidden", self.linear(x), self)


class NnxStack(nnx.Module):
    def __init__(self, rngs):
        make = nnx.split_rngs(splits=3)(nnx.vmap(NnxBlock, in_axes=0))
        self.layers = make(rngs)
        self.last = NnxBlock(rngs)

    def __call__(self, x):
        run = nnx.scan(
            lambda x, block: block(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry
        )
        x = run(x, self.layers)
        return nnx.remat(lambda block, x: block(x))(self.last, x)


def test_a_tap_of_an_nnx_module_comes_out_of_scan_and_remat():
    stack = NnxStack(nnx.Rngs(0))

    @nnx.jit
    def forward(stack, x):
        out, sown = nnx.capture(stack, nnx.Intermediate)(x)
        return out, tapped(sown)

    out, values = forward(stack, X)
    assert {name: x.shape for name, x in values.items()} == {
        "layers/hidden": (3, 8, 4),
        "last/hidden": (8, 4),
    }
    np.testing.assert_allclose(values["last/hidden"], out, rtol=1e-6)
    before = jax.tree.structure(nnx.state(stack))
    stack(X)  # not captured: nothing is sown
    assert jax.tree.structure(nnx.state(stack)) == before


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x):
        return tap("hidden", linen.Dense(4)(x), self)


class LinenStack(linen.Module):
    @linen.compact
    def __call__(self, x):
        layers = linen.scan(
            lambda block, x, _: (block(x), None),
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            length=3,
        )
        x, _ = layers(LinenBlock(name="layers"), x, None)
        last = linen.remat(LinenBlock)(name="last")
        return last(last(x))


def test_a_tap_of_a_linen_module_comes_out_of_scan_and_remat():
    stack = LinenStack()
    params = stack.init(jax.random.key(0), X)["params"]

    @jax.jit
    def forward(params, x):
        out, sown = stack.apply({"params": params}, x, mutable=["intermediates"])
        return out, tapped(sown["intermediates"])

    out, values = forward(params, X)
    assert {name: x.shape for name, x in values.items()} == {
        "layers/hidden": (3, 8, 4),
        "last/hidden/0": (8, 4),
        "last/hidden/1": (8, 4),
    }
    np.testing.assert_allclose(values["last/hidden/1"], out, rtol=1e-6)
    np.testing.assert_allclose(
        stack.apply({"params": params}, X), out, rtol=1e-6
    )  # not mutable: nothing is sown


def test_sown_values_are_outputs_by_path():
    metrics = jm.Collection(hidden=jm.Max("last/hidden"))
    values = tapped({"last": {"hidden": (X,)}})
    assert metrics.update(**values).compute()["hidden"] == X.max()


def test_a_module_of_another_library_is_refused():
    with pytest.raises(TypeError, match="expected an nnx or linen module"):
        tap("hidden", X, object())
