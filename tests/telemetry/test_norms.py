"""Norms of trees equal those of NumPy in float64, for any sharding."""

import re

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
    collectives = COLLECTIVES.findall(measure.lower(*trees).compile().as_text())
    assert [name for _, name in collectives] == ["all-reduce"]
    (shapes,) = (re.findall(r"f32\[(\d*)\]", shape) for shape, _ in collectives)
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


def test_an_empty_tree_has_norm_0_and_rms_nan():
    assert grad_norm({}) == grad_norm([]) == 0 and grad_norm({}).dtype == jnp.float32
    values = norms(grads={"empty": jnp.zeros((0, 4)), "one": jnp.ones(1)})
    assert values["grad/norm/empty"] == 0 and np.isnan(values["grad/rms/empty"])
    assert values["grad/norm"] == values["grad/norm/one"] == 1


def test_counters_keys_and_none_are_ignored():
    mixed = {"w": jnp.full(4, 3.0), "count": jnp.int32(7), "key": jax.random.key(0)}
    assert grad_norm(mixed | {"none": None, "ok": jnp.array(True)}) == 6
    assert grad_norm([3, 4]) == 5  # Python numbers
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
