"""Norms, distances and histograms of trees are NumPy's, wherever the arrays lie."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

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

COLLECTIVES = re.compile(
    r"= (.*) (all-reduce|all-gather|collective-permute|reduce-scatter|all-to-all)"
    r"(?:-start)?\("
)


def tree(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3)).astype(dtype)

    return {
        "blocks": {"bias": draw(3, 16), "kernel": draw(3, 16, 8)},
        "embed": draw(32, 16),
        "head": [draw(16, 8), draw(8)],
    }


GRADS, UPDATES, PARAMS = tree(0), tree(1), tree(2)
X = np.ones(3, np.float32)
GROUPS = {
    "block": Stacked("blocks/**"),
    "ends": ("embed", "head/**"),
    "bias": "**/bias",
}


def flat(part):
    return np.concatenate(
        [np.ravel(x).astype(np.float64) for x in jax.tree.leaves(part)]
    )


def parts(whole):
    """What each group has, by the suffix of its keys."""
    yield "", whole
    for i in range(3):
        yield f"/block/{i}", jax.tree.map(lambda x, i=i: x[i], whole["blocks"])
    yield "/ends", [whole["embed"], whole["head"]]
    yield "/bias", whole["blocks"]["bias"]


def expected(grads, updates, params):
    found = {}
    for (suffix, g), (_, u), (_, p) in zip(parts(grads), parts(updates), parts(params)):
        g, u, p = flat(g), flat(u), flat(p)
        for kind, x in dict(grad=g, update=u, param=p).items():
            found[f"{kind}/norm{suffix}"] = np.linalg.norm(x)
            found[f"{kind}/rms{suffix}"] = np.sqrt(np.mean(x * x))
        found[f"update/ratio{suffix}"] = np.linalg.norm(u) / np.linalg.norm(p)
        cosine = (u @ g) / np.linalg.norm(u) / np.linalg.norm(g)
        found[f"update/cosine{suffix}"] = cosine
    return found


def same(found, reference):
    assert found.keys() == reference.keys()
    for key, value in reference.items():
        # A cosine near 0 is a difference of large sums.
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_norms_are_those_of_float64():
    same(norms(GRADS, UPDATES, PARAMS, GROUPS), expected(GRADS, UPDATES, PARAMS))


@pytest.mark.parametrize("kind", list(jax.sharding.AxisType)[:2], ids=str)
def test_sharded_norms_are_the_same_and_exchange_scalars_only(kind):
    mesh = jax.make_mesh((8,), ("fsdp",), axis_types=(kind,))
    specs = {
        "blocks": {"bias": P(None, "fsdp"), "kernel": P(None, None, "fsdp")},
        "embed": P("fsdp"),
        "head": [P("fsdp"), P()],
    }
    shardings = jax.tree.map(lambda s: NamedSharding(mesh, s), specs)
    trees = jax.device_put((GRADS, UPDATES, PARAMS), (shardings,) * 3)
    measure = jax.jit(lambda g, u, p: norms(g, u, p, GROUPS))
    same(measure(*trees), expected(GRADS, UPDATES, PARAMS))
    found = COLLECTIVES.findall(measure.lower(*trees).compile().as_text())
    assert [name for _, name in found] == ["all-reduce"]
    (shapes,) = (re.findall(r"f32\[(\d*)\]", shape) for shape, _ in found)
    assert shapes and set(shapes) <= {"", "3"}  # a scalar, or one of each layer


def test_a_stack_may_be_sharded_over_its_layers():
    mesh = jax.make_mesh((8,), ("stage",), axis_types=(jax.sharding.AxisType.Explicit,))
    stack = np.arange(64, dtype=np.float32).reshape(8, 8)
    stack[5, 0] = np.nan
    tree = {"b": jax.device_put(stack, NamedSharding(mesh, P("stage"))), "h": X}
    found = jax.jit(lambda t: norms(params=t, groups={"b": Stacked("b")}))(tree)
    expected = np.linalg.norm(stack.astype(np.float64), axis=1)
    got = [found[f"param/norm/b/{i}"] for i in range(8)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert jax.jit(lambda t: first_nonfinite(t, "b"))(tree) == 5


def test_a_million_bfloat16_ones_have_norm_1000():
    assert grad_norm({"w": jnp.ones(10**6, jnp.bfloat16)}) == 1000
    assert grad_norm({"w": jnp.ones(2**25, jnp.bfloat16)}) == pytest.approx(2**12.5)


def test_of_nothing_the_norm_is_0_and_the_rms_nan():
    assert grad_norm({}) == grad_norm([]) == 0 and grad_norm({}).dtype == jnp.float32
    found = norms(grads={"empty": jnp.zeros((0, 4)), "one": jnp.ones(1)})
    assert found["grad/norm/empty"] == 0 and np.isnan(found["grad/rms/empty"])
    assert found["grad/norm"] == found["grad/norm/one"] == 1


def test_counters_keys_and_absent_arrays_are_left_aside():
    mixed = {"w": jnp.full(4, 3.0), "count": jnp.int32(7), "key": jax.random.key(0)}
    assert grad_norm(mixed | {"none": None, "ok": jnp.array(True)}) == 6
    assert grad_norm([3, 4]) == 5  # numbers someone typed
    assert grad_norm({"w": jnp.array([3 + 4j])}) == 5


def test_a_nan_stays_in_its_groups():
    found = norms(grads={"bad": jnp.array([jnp.nan]), "good": jnp.ones(4)})
    assert np.isnan(found["grad/norm"]) and np.isnan(found["grad/norm/bad"])
    assert found["grad/norm/good"] == 2


def test_a_ratio_to_nothing_is_nan():
    one, zero = {"w": jnp.ones(4)}, {"w": jnp.zeros(4)}
    found = norms(grads=zero, updates=one, params=zero, groups={})
    assert np.isnan(found["update/ratio"]) and np.isnan(found["update/cosine"])
    assert norms(grads=one, updates=one, groups={})["update/cosine"] == 1


def test_groups_are_the_outermost_keys_unless_given():
    suffixes = {key.removeprefix("grad/norm") for key in norms(grads=GRADS)}
    assert {"", "/blocks", "/embed", "/head"} <= suffixes
    assert set(norms(grads=GRADS, groups={})) == {"grad/norm", "grad/rms"}


def test_labels_of_optax_are_groups():
    labels = {
        "blocks": {"bias": "slow", "kernel": "fast"},
        "embed": "slow",
        "head": "x",
    }
    for groups in (labels, lambda params: labels):
        found = norms(grads=GRADS, groups=groups)
        slow = [GRADS["blocks"]["bias"], GRADS["embed"]]
        assert found["grad/norm/slow"] == pytest.approx(np.linalg.norm(flat(slow)))
        assert found["grad/norm/x"] == pytest.approx(
            np.linalg.norm(flat(GRADS["head"]))
        )


def test_paths_of_nnx_modules_end_with_the_variable():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    found = norms(params=nnx.state(model, nnx.Param), groups={"k": "kernel"})
    kernel = np.asarray(model.kernel[...])
    assert found["param/norm/k"] == pytest.approx(np.linalg.norm(kernel), rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"head": "hed/**"}, r"'hed/\*\*'.*none of 5.*'blocks', 'embed', 'head'"),
        ({"all": Stacked("**")}, r"'all'.*\[3\].*'embed'.*\[32\]"),
        ({"blocks": {"w": "slow"}}, "labels do not fit"),
    ],
    ids=["no match", "no stack", "labels"],
)
def test_groups_that_do_not_fit_are_named(groups, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        norms(grads=GRADS, groups=groups)


def test_trees_that_differ_are_named():
    other = GRADS | {"embed": np.ones((16, 32), np.float32)}
    with pytest.raises(ValueError, match=r"'embed' is of shape \(32, 16\) in grad"):
        norms(grads=GRADS, params=other)
    with pytest.raises(ValueError, match="'embed' is.*absent"):
        distance(GRADS, {k: x for k, x in GRADS.items() if k != "embed"})
    with pytest.raises(ValueError, match="no tree"):
        norms()


def test_the_clip_ratio_is_what_clipping_multiplies_by():
    ratios = [float(clip_ratio(norm, 2.0)) for norm in (0.0, 2.0, 8.0, np.inf)]
    assert ratios == [1, 1, 0.25, 0]
    assert np.isnan(clip_ratio(np.nan, 2.0))
    share = jm.Mean("clipped")
    for norm in (1.0, 2.0, 3.0, 4.0):
        share = share.update(clipped=clip_ratio(norm, 2.0) < 1)
    assert share.compute() == 0.5


# Distances


def test_the_distance_is_the_same_from_arrays_on_host_and_devices():
    reference = np.linalg.norm(flat(PARAMS) - flat(UPDATES))
    mesh = jax.make_mesh((8,), ("fsdp",))
    sharded = jax.tree.map(
        lambda x: jax.device_put(
            x, NamedSharding(mesh, P(*[None] * (x.ndim - 1), "fsdp"))
        ),
        PARAMS,
    )
    device = jax.tree.map(jnp.asarray, UPDATES)
    found = [
        distance(PARAMS, UPDATES),
        distance(jax.tree.map(jnp.asarray, PARAMS), device),
        distance(sharded, UPDATES),
        distance(UPDATES, sharded),
        jax.jit(distance)(PARAMS, device),
    ]
    np.testing.assert_allclose(found, [reference] * 5, rtol=1e-6)
    assert distance({}, {}) == 0


def test_a_drift_is_a_distance_in_each_group():
    found = drift(PARAMS, UPDATES, GROUPS, key="ema/delta_norm")
    for (suffix, a), (_, b) in zip(parts(PARAMS), parts(UPDATES)):
        reference = np.linalg.norm(flat(a) - flat(b))
        assert found.pop(f"ema/delta_norm{suffix}") == pytest.approx(
            reference, rel=1e-5
        )
    assert not found


def test_a_small_change_of_large_weights_is_not_lost():
    old = {"w": jnp.full(100, 1000.0)}
    new = {"w": jnp.full(100, np.nextafter(np.float32(1000), np.float32(2000)))}
    assert distance(new, old) == pytest.approx(10 * 2.0**-14, rel=1e-6)


# Histograms and batches


@pytest.mark.parametrize("bins", [1, 7, 64, 128])
@pytest.mark.parametrize(
    "values",
    [
        np.float32([1, 1, 1, 5, 5, 5]),
        np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32),
        np.random.default_rng(1).integers(-9, 9, 500).astype(np.float32),
        100 + np.random.default_rng(2).random(500).astype(np.float32),
        np.float32([3, 3]),
    ],
    ids=["the maximum's bin", "normal", "integers", "offset", "constant"],
)
def test_a_histogram_is_numpys(values, bins):
    _, edges = np.histogram(values, bins)
    values = np.append(values.ravel(), edges)  # values on the edges are the hard ones
    values = np.append(values, np.nextafter(edges[:-1], np.float32(np.inf)))
    counts, edges = np.histogram(values, bins)
    found = jax.jit(histogram, static_argnums=1)(values, bins)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.edges, edges)


def test_a_sharded_histogram_is_that_of_the_whole_and_gathers_nothing():
    values = np.random.default_rng(0).normal(size=(16, 32)).astype(np.float32)
    values[3, 5:8] = [np.nan, np.inf, -np.inf]
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    sharded = jax.device_put(values, NamedSharding(mesh, P("data", "model")))
    count = jax.jit(histogram)
    found = count(sharded)
    counts, _ = np.histogram(values[np.isfinite(values)], 64)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.nonfinite == 3
    text = count.lower(sharded).compile().as_text()
    assert {name for _, name in COLLECTIVES.findall(text)} == {"all-reduce"}


@pytest.mark.parametrize("bins", [0, 5000])
def test_a_number_of_bins_that_is_not_counted_is_refused(bins):
    with pytest.raises(ValueError, match=f"bins={bins}; expected 1 to 4096"):
        histogram(jnp.ones(3), bins)


def test_class_shares_are_of_all_labels_that_count():
    labels = jnp.array([0, 2, 2, -100, 1, 1])
    mask = jnp.array([True, True, True, True, False, False])
    found = jax.jit(batch_statistics, static_argnums=1)(labels, 3, mask)
    assert {key: float(x) for key, x in found.items()} == {
        "batch/size": 4,
        "batch/share/0": 0.25,
        "batch/share/1": 0,
        "batch/share/2": 0.5,
    }
    assert np.isnan(batch_statistics(labels[:0], 1)["batch/share/0"])
    with pytest.raises(TypeError, match="labels of float32"):
        batch_statistics(jnp.ones(3), 2)


def test_everything_is_float32_under_64_bit_types_and_strict_promotion():
    tree = {"w": jnp.ones((4, 2), jnp.bfloat16), "b": jnp.ones(3)}
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), tree)
        found = norms(tree, wide, wide, {"w": Stacked("w")}) | drift(tree, wide)
        found |= batch_statistics(jnp.array([1, 2]), 3) | histogram(wide["w"])._asdict()
        found["clip"] = clip_ratio(found["grad/norm"], 1.0)
        found["place"] = first_nonfinite(wide, "w")
        found["skip"] = skip_update(wide, 1.0, 2.0)
        found |= {f"c {k}": x for k, x in collect(jnp.int32(0), grads=wide).items()}
    kinds = {x.dtype.name for x in found.values()}
    assert kinds == {"float32", "uint32", "int32", "bool"}
