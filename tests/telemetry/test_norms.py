"""Norms of trees equal those of NumPy in float64, for any sharding."""

import re
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.trees import COLLECTIVES, GRADS, GROUPS, PARAMS, UPDATES, flat, parts

import jaxmetrics as jm
from jaxmetrics.telemetry import (
    Stacked,
    batch_statistics,
    clip_ratio,
    collect,
    distance,
    drift,
    first_nonfinite,
    grad_norm,
    histogram,
    norms,
    skip_update,
)


def reference(grads, updates, params):
    values = {}
    for (suffix, g), (_, u), (_, p) in zip(parts(grads), parts(updates), parts(params)):
        g, u, p = flat(g), flat(u), flat(p)
        for kind, x in dict(grad=g, update=u, param=p).items():
            values[f"{kind}/norm{suffix}"] = np.linalg.norm(x)
            values[f"{kind}/rms{suffix}"] = np.sqrt(np.mean(x * x))
        values[f"update/ratio{suffix}"] = np.linalg.norm(u) / np.linalg.norm(p)
        cosine = (u @ g) / np.linalg.norm(u) / np.linalg.norm(g)
        values[f"update/cosine{suffix}"] = cosine
    return values


def assert_close(values, expected):
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        # atol: a cosine near 0 is a difference of large sums.
        np.testing.assert_allclose(
            values[key], value, rtol=1e-5, atol=1e-6, err_msg=key
        )


def test_norms_equal_those_of_float64():
    assert_close(
        norms(GRADS, UPDATES, PARAMS, GROUPS), reference(GRADS, UPDATES, PARAMS)
    )


@pytest.mark.parametrize("kind", list(jax.sharding.AxisType)[:2], ids=str)
def test_sharded_norms_are_equal_and_exchange_scalars_only(kind):
    mesh = jax.make_mesh((8,), ("fsdp",), axis_types=(kind,))
    specs = {
        "blocks": {"bias": P(None, "fsdp"), "kernel": P(None, None, "fsdp")},
        "embed": P("fsdp"),
        "head": [P("fsdp"), P()],
    }
    shardings = jax.tree.map(lambda s: NamedSharding(mesh, s), specs)
    trees = jax.device_put((GRADS, UPDATES, PARAMS), (shardings,) * 3)
    measure = jax.jit(lambda g, u, p: norms(g, u, p, GROUPS))
    assert_close(measure(*trees), reference(GRADS, UPDATES, PARAMS))
    for size in (1e-25, 1e20):
        large = jax.device_put(jax.tree.map(lambda x, s=size: x * s, GRADS), shardings)
        assert grad_norm(large) == pytest.approx(size * np.linalg.norm(flat(GRADS)))
        single = jax.device_put(np.full(8, size, np.float32), shardings["embed"])
        assert grad_norm(single) == pytest.approx(size * 8**0.5)  # one on each device
    collectives = COLLECTIVES.findall(measure.lower(*trees).compile().as_text())
    assert [name for _, name in collectives] == ["all-reduce"]
    (shapes,) = (re.findall(r"f(?:32|64)\[(\d*)\]", shape) for shape, _ in collectives)
    assert shapes and set(shapes) <= {"", "3"}  # a scalar, or one per layer


def test_a_stack_may_be_sharded_over_its_layers():
    mesh = jax.make_mesh((8,), ("stage",), axis_types=(jax.sharding.AxisType.Explicit,))
    stack = np.arange(64, dtype=np.float32).reshape(8, 8)
    stack[5, 0] = np.nan
    tree = {
        "b": jax.device_put(stack, NamedSharding(mesh, P("stage"))),
        "h": np.ones(3, np.float32),
    }
    values = jax.jit(lambda t: norms(params=t, groups={"b": Stacked("b")}))(tree)
    expected = np.linalg.norm(stack.astype(np.float64), axis=1)
    per_layer = [values[f"param/norm/b/{i}"] for i in range(8)]
    np.testing.assert_allclose(per_layer, expected, rtol=1e-6)
    assert jax.jit(lambda t: first_nonfinite(t, "b"))(tree) == 5


def test_a_million_bfloat16_ones_have_norm_1000():
    assert grad_norm({"w": jnp.ones(10**6, jnp.bfloat16)}) == 1000
    assert grad_norm({"w": jnp.ones(2**25, jnp.bfloat16)}) == pytest.approx(2**12.5)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.complex64], ids=str)
def test_no_square_leaves_the_range_of_float32(dtype):
    groups = {"block": Stacked("blocks/**"), "scalar": "scalar"}
    measure = jax.jit(lambda *trees: norms(*trees, groups))
    # With a scalar, whose products XLA would compute in another order.
    tops = [
        {"blocks": tree["blocks"], "scalar": np.float32(scalar)}
        for tree, scalar in ((GRADS, 2), (UPDATES, -3), (PARAMS, 4))
    ]
    for size in (1e-23, 1e-12, 1.0, 3e17, 1e19, 1e25):
        trees = jax.tree.map(lambda x, size=size: (size * x).astype(dtype), tops)
        grads, updates, _ = trees
        values = measure(*trees)
        layers = [jax.tree.map(lambda x, i=i: x[i], grads["blocks"]) for i in range(3)]
        groups_of_grads = {f"/block/{i}": layer for i, layer in enumerate(layers)}
        groups_of_grads |= {"": grads, "/scalar": grads["scalar"]}
        for suffix, part in groups_of_grads.items():
            expected = np.linalg.norm(flat(part, np.complex128))
            assert values[f"grad/norm{suffix}"] == pytest.approx(expected, rel=2e-6)
        g, u, p = (flat(tree, np.complex128) for tree in trees)
        cosine = (u @ g.conj()).real / np.linalg.norm(u) / np.linalg.norm(g)
        assert values["update/cosine"] == pytest.approx(cosine, abs=2e-6)
        assert values["update/cosine/scalar"] == pytest.approx(-1)
        ratio = np.linalg.norm(u) / np.linalg.norm(p)
        assert values["update/ratio"] == pytest.approx(ratio, rel=4e-6)
        moved = distance(grads, jax.tree.map(np.negative, grads))
        assert moved == pytest.approx(2 * np.linalg.norm(g), rel=2e-6)


def test_values_of_every_size_are_summed_together():
    sizes = 10.0 ** np.arange(-28, 38)
    measure = jax.jit(grad_norm)
    for n in range(1, len(sizes) + 1):
        values = np.where(np.arange(len(sizes)) < n, sizes, 0).astype(np.float32)
        expected = np.linalg.norm(values.astype(np.float64))
        norm = measure([values[::2], values[1::2]])
        np.testing.assert_allclose(norm, expected, rtol=1e-6)


def test_many_small_values_count_beside_a_large_one():
    # Wherever the first sum overflows, the second has lost the many: they are below 1.
    many = np.full(2**20, 0.99, np.float32)
    measure = jax.jit(grad_norm)
    for power in range(8, 40):
        expected = np.sqrt(4.0**power + 2**20 * np.float64(many[0]) ** 2)
        norm = measure([np.float32(2**power), many])
        assert norm == pytest.approx(expected, rel=1e-6)


def test_a_cosine_of_large_with_small_values_is_exact():
    updates, grads = {"w": jnp.array([1e20, 3e-20])}, {"w": jnp.array([4e-20, 3.0])}
    values = norms(grads=grads, updates=updates, groups={})
    cosine = (1e20 * 4e-20 + 3e-20 * 3.0) / 1e20 / 3.0
    assert values["update/cosine"] == pytest.approx(cosine, rel=1e-6)
    exploded, clipped = {"w": jnp.full(1000, 1e20)}, {"w": jnp.full(1000, -1e-3)}
    for grads, updates in ((exploded, clipped), (clipped, exploded)):
        values = norms(grads=grads, updates=updates, groups={})
        assert values["update/cosine"] == pytest.approx(-1)


def test_the_derivative_of_a_norm_is_the_unit_vector():
    for size in (1e-20, 1.0, 1e18):
        x = jnp.array([3.0, -4.0]) * jnp.float32(size)
        np.testing.assert_allclose(jax.grad(grad_norm)(x), [0.6, -0.8], rtol=1e-6)


def test_infinity_and_nan_remain_visible_beside_large_values():
    for bad in (np.inf, -np.inf, np.nan):
        norm = grad_norm({"a": jnp.array([bad, 1e30]), "b": jnp.float32(1e-30)})
        assert norm == np.inf or (np.isnan(bad) and np.isnan(norm))
    assert grad_norm(jnp.full(4, 3e38)) == np.inf  # 6e38 is no float32
    large = {"w": jnp.full(4, 1e30)}
    assert np.isnan(norms(grads=large, updates=large)["update/cosine"])


class Residual(eqx.Module):
    """A module with leaves of every kind."""

    linear: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    activation: object
    name: str
    dtype: type
    depth: int
    scale: float
    table: jax.Array
    nothing: None = None


def residual():
    return Residual(
        linear=eqx.nn.Linear(3, 2, key=jax.random.key(0)),
        dropout=eqx.nn.Dropout(0.5),
        activation=jax.nn.gelu,
        name="residual",
        dtype=jnp.float32,
        depth=7,
        scale=0.25,
        table=jnp.arange(4),
    )


def test_leaves_of_a_module_that_are_not_arrays_are_ignored():
    model = {"body": residual(), "head": [residual()]}
    only_arrays = eqx.filter(model, eqx.is_inexact_array)
    groups = {"weight": "**/weight", "head": "head/**"}
    values = norms(params=model, groups=groups)
    assert values == norms(params=only_arrays, groups=groups)
    assert grad_norm(model) == grad_norm(only_arrays) > 0
    doubled = jax.tree.map(lambda x: 2 * x if eqx.is_array(x) else x, model)
    assert distance(doubled, model) == grad_norm(model)
    assert first_nonfinite(model) == -1


def test_gradients_of_a_module_are_measured_beside_its_parameters():
    model = residual()

    def labels(tree):
        return jax.tree.map(lambda leaf: "layer", tree)

    @eqx.filter_jit
    def measure(model, x):
        grads = eqx.filter_grad(lambda m: m.activation(m.linear(x)).sum())(model)
        return grads, norms(params=model, grads=grads, groups=labels)

    grads, values = measure(model, jnp.ones(3))
    assert values["grad/norm/layer"] == pytest.approx(np.linalg.norm(flat(grads)))
    weights = eqx.filter(model, eqx.is_inexact_array)
    assert values["param/norm/layer"] == pytest.approx(np.linalg.norm(flat(weights)))
    assert norms(params=model, groups=labels)["param/norm/layer"] == grad_norm(model)


def test_python_numbers_count_in_containers():
    class Point(NamedTuple):
        x: float
        y: float

    assert grad_norm([3, 4]) == grad_norm({"a": 3.0, "b": (4.0,)}) == 5
    assert grad_norm(Point(3.0, 4.0)) == grad_norm({"p": [Point(3, 4)]}) == 5
    assert grad_norm({"w": jnp.full(2, 2.0), "t": 1.0}) == 3
    assert grad_norm([True, "3", None, len]) == 0


def test_an_empty_tree_has_norm_0_and_rms_nan():
    assert grad_norm({}) == grad_norm([]) == 0 and grad_norm({}).dtype == jnp.float32
    values = norms(grads={"empty": jnp.zeros((0, 4)), "one": jnp.ones(1)})
    assert values["grad/norm/empty"] == 0 and np.isnan(values["grad/rms/empty"])
    assert values["grad/norm"] == values["grad/norm/one"] == 1


def test_counters_keys_and_none_are_ignored():
    mixed = {"w": jnp.full(4, 3.0), "count": jnp.int32(7), "key": jax.random.key(0)}
    assert grad_norm(mixed | {"none": None, "ok": jnp.array(True)}) == 6
    assert grad_norm({"w": jnp.array([3 + 4j])}) == 5


def test_a_nan_affects_only_groups_that_contain_it():
    values = norms(grads={"bad": jnp.array([jnp.nan]), "good": jnp.ones(4)})
    assert np.isnan(values["grad/norm"]) and np.isnan(values["grad/norm/bad"])
    assert values["grad/norm/good"] == 2


def test_a_ratio_with_denominator_0_is_nan():
    one, zero = {"w": jnp.ones(4)}, {"w": jnp.zeros(4)}
    values = norms(grads=zero, updates=one, params=zero, groups={})
    assert np.isnan(values["update/ratio"]) and np.isnan(values["update/cosine"])
    assert norms(grads=one, updates=one, groups={})["update/cosine"] == 1


def test_trees_that_differ_are_refused_with_the_array_named():
    other = GRADS | {"embed": np.ones((16, 32), np.float32)}
    with pytest.raises(ValueError, match=r"'embed' is of shape \(32, 16\) in grad"):
        norms(grads=GRADS, params=other)
    with pytest.raises(ValueError, match="'embed' is.*absent"):
        distance(GRADS, {k: x for k, x in GRADS.items() if k != "embed"})
    with pytest.raises(ValueError, match="no tree"):
        norms()


def test_the_clip_ratio_is_the_factor_of_clipping():
    ratios = [float(clip_ratio(norm, 2.0)) for norm in (0.0, 2.0, 8.0, np.inf)]
    assert ratios == [1, 1, 0.25, 0]
    assert np.isnan(clip_ratio(np.nan, 2.0))
    share = jm.Mean("clipped")
    for norm in (1.0, 2.0, 3.0, 4.0):
        share = share.update(clipped=clip_ratio(norm, 2.0) < 1)
    assert share.compute() == 0.5


def test_values_are_float32_under_64_bit_types_and_strict_promotion():
    tree = {"w": jnp.ones((4, 2), jnp.bfloat16), "b": jnp.ones(3)}
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), tree)
        values = norms(tree, wide, wide, {"w": Stacked("w")}) | drift(tree, wide)
        values |= (
            batch_statistics(jnp.array([1, 2]), 3) | histogram(wide["w"])._asdict()
        )
        values["clip"] = clip_ratio(values["grad/norm"], 1.0)
        values["place"] = first_nonfinite(wide, "w")
        values["skip"] = skip_update(wide, 1.0, 2.0)
        values |= {f"c {k}": x for k, x in collect(jnp.int32(0), grads=wide).items()}
    dtypes = {x.dtype.name for x in values.values()}
    assert dtypes == {"float32", "uint32", "int32", "bool"}
