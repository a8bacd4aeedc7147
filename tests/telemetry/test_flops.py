"""Operations counted from the trace of a function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxmetrics.telemetry import FlopCount, count_flops, transformer_flops

LLAMA = dict(
    layers=3, d_model=64, heads=8, kv_heads=2, d_ff=160, vocab=256, sequence_length=96
)
BATCH = 2


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def llama_params():
    d, heads, kv, ff = 64, 8, 2, 160
    width = d // heads
    stacked = {
        "q": (d, heads * width),
        "k": (d, kv * width),
        "v": (d, kv * width),
        "o": (heads * width, d),
        "gate": (d, ff),
        "up": (d, ff),
        "down": (ff, d),
    }
    layers = {name: shape(3, *sizes) for name, sizes in stacked.items()}
    return {"embed": shape(256, d), "layers": layers, "head": shape(d, 256)}


def norm(x):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)


def block(x, w):
    b, s, d = x.shape
    h = norm(x)
    q, k, v = ((h @ w[n]).reshape(b, s, -1, 8) for n in "qkv")
    k, v = (jnp.repeat(y, q.shape[2] // y.shape[2], 2) for y in (k, v))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
    scores = jnp.where(jnp.tri(s, dtype=bool), scores, -1e9)
    x = (
        x
        + jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v).reshape(b, s, d)
        @ w["o"]
    )
    h = norm(x)
    return x + (jax.nn.silu(h @ w["gate"]) * (h @ w["up"])) @ w["down"]


def llama_loss(params, tokens, stack="scan", wrap=lambda f: f):
    x = params["embed"][tokens]
    apply = wrap(block)
    if stack == "scan":
        x, _ = jax.lax.scan(lambda x, w: (apply(x, w), None), x, params["layers"])
    else:
        for i in range(3):
            x = apply(x, {name: w[i] for name, w in params["layers"].items()})
    logits = norm(x) @ params["head"]
    return -jnp.mean(jax.nn.log_softmax(logits)[..., 0])


def llama_step(**options):
    @jax.jit
    def step(params, tokens):
        loss = functools.partial(llama_loss, **options)
        value, grads = jax.value_and_grad(loss)(params, tokens)
        return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    return count_flops(step, llama_params(), jax.ShapeDtypeStruct((BATCH, 96), "int32"))


def test_the_trace_of_a_llama_step_equals_the_formula():
    traced = llama_step()
    formula = transformer_flops(**LLAMA, causal=False)
    tokens = BATCH * LLAMA["sequence_length"]
    assert traced.model == pytest.approx(formula.model * tokens, rel=1e-3)
    assert traced.model == formula.model * tokens
    assert traced == FlopCount(traced.model, traced.model, (), None, "traced")


def test_a_scan_counts_like_an_unrolled_loop():
    assert llama_step(stack="scan") == llama_step(stack="loop")


def test_a_checkpointed_llama_recomputes_about_its_layers():
    traced = llama_step(wrap=jax.checkpoint)
    tokens = BATCH * LLAMA["sequence_length"]
    formula = transformer_flops(**LLAMA, causal=False, remat=True) * tokens
    assert traced.model == formula.model
    # The last matrix product of each layer is not recomputed.
    down = 2 * 3 * 64 * 160 * tokens
    assert traced.hardware == formula.hardware - down


def layer(x, w):
    return jnp.tanh(x @ w), None


def scanned(wrap):
    def loss(w, x):
        return jnp.sum(jax.lax.scan(wrap(layer), x, w)[0] ** 2)

    return loss


FORWARD = 3 * 2 * 4 * 8 * 8
STACK = shape(3, 8, 8), shape(4, 8)


def test_backward_triples_and_recomputation_adds_one_forward():
    plain, remat = scanned(lambda f: f), scanned(jax.checkpoint)
    assert count_flops(plain, *STACK).model == FORWARD
    assert count_flops(remat, *STACK).hardware == FORWARD
    grad = count_flops(jax.grad(plain), *STACK)
    assert (grad.model, grad.hardware) == (3 * FORWARD, 3 * FORWARD)
    recomputed = count_flops(jax.jit(jax.grad(remat)), *STACK)
    assert (recomputed.model, recomputed.hardware) == (3 * FORWARD, 4 * FORWARD)
    assert recomputed.hardware / recomputed.model == 4 / 3


def test_a_policy_that_saves_the_products_recomputes_none():
    saved = functools.partial(
        jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable
    )
    grad = count_flops(jax.grad(scanned(saved)), *STACK)
    assert (grad.model, grad.hardware) == (3 * FORWARD, 3 * FORWARD)


def test_nested_checkpoints_recompute_twice():
    def loss(w, x):
        def outer(x, w):
            return jax.lax.scan(jax.checkpoint(layer), x, w)

        return jnp.sum(jax.lax.scan(jax.checkpoint(outer), x, w)[0])

    grad = count_flops(jax.grad(loss), shape(2, 3, 8, 8), shape(4, 8))
    assert grad.model == 2 * 3 * FORWARD
    # Recomputed once for the outer and once for the inner checkpoint.
    assert grad.hardware == 2 * 5 * FORWARD


def test_vmap_counts_each_row():
    rows = count_flops(
        jax.vmap(lambda x, w: layer(x, w)[0]), shape(7, 4, 8), shape(7, 8, 8)
    )
    assert rows.model == 7 * 2 * 4 * 8 * 8


def test_a_cond_counts_its_largest_branch():
    def f(i, x):
        return jax.lax.switch(i, [lambda x: x, lambda x: x @ x, lambda x: x @ x @ x], x)

    assert count_flops(f, 0, shape(4, 4)).model == 2 * 2 * 4**3


def test_a_while_with_products_is_left_out_and_named_as_unknown():
    def f(n, x):
        return jax.lax.fori_loop(0, n, lambda _, x: x @ x, x @ x)

    count = count_flops(f, jnp.int32(3), shape(4, 4))
    assert count == FlopCount(128, 128, ("while",), None, "traced")
    static = count_flops(
        lambda x: jax.lax.fori_loop(0, 3, lambda _, x: x @ x, x), shape(4, 4)
    )
    assert static == FlopCount(3 * 128, 3 * 128, (), None, "traced")


def test_a_while_without_products_is_not_unknown():
    def f(n, x):
        return jax.lax.fori_loop(0, n, lambda _, x: x + 1, x)

    assert count_flops(f, jnp.int32(3), shape(4, 4)).unknown == ()


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_its_outputs_times_its_taps(padding, stride):
    def conv(x, k):
        return jax.lax.conv_general_dilated(
            x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    x, k = shape(2, 9, 11, 6), shape(3, 3, 6, 5)
    _, height, width, _ = jax.eval_shape(conv, x, k).shape
    by_hand = 2 * (2 * height * width * 5) * (3 * 3 * 6)
    assert count_flops(conv, x, k).model == by_hand
    grads = jax.value_and_grad(lambda x, k: jnp.sum(conv(x, k) ** 2), argnums=(0, 1))
    assert count_flops(grads, x, k).model == 3 * by_hand


def test_a_grouped_convolution_has_fewer_taps():
    def conv(x, k):
        return jax.lax.conv_general_dilated(
            x,
            k,
            (1,),
            "VALID",
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=4,
        )

    x, k = shape(2, 10, 8), shape(3, 2, 12)
    by_hand = 2 * (2 * 8 * 12) * (3 * 2)
    assert count_flops(conv, x, k).model == by_hand
    grads = jax.value_and_grad(lambda x, k: jnp.sum(conv(x, k) ** 2), argnums=(0, 1))
    assert count_flops(grads, x, k).model == 3 * by_hand


def test_a_ragged_product_gives_each_row_to_one_expert():
    def loss(x, w, sizes):
        return jnp.sum(jax.lax.ragged_dot(x, w, sizes) ** 2)

    args = shape(12, 4), shape(3, 4, 5), jax.ShapeDtypeStruct((3,), jnp.int32)
    assert count_flops(loss, *args).model == 2 * 12 * 4 * 5
    grads = jax.value_and_grad(loss, argnums=(0, 1))
    assert count_flops(grads, *args).model == 3 * 2 * 12 * 4 * 5


def test_shard_map_counts_every_device():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    x, w = shape(8, 16), shape(16, 6)

    def product(**options):
        return jax.shard_map(lambda x, w: x @ w, mesh=mesh, **options)

    split = product(
        in_specs=(P("data"), P(None, "model")), out_specs=P("data", "model")
    )
    assert count_flops(split, x, w).model == 2 * 8 * 16 * 6
    partly = product(
        in_specs=(P("data"), P()), out_specs=P("data"), axis_names={"data"}
    )
    assert count_flops(partly, x, w).model == 2 * 8 * 16 * 6
    twice = product(in_specs=(P("data"), P()), out_specs=P("data"))
    assert count_flops(twice, x, w).model == 2 * (2 * 8 * 16 * 6)


def test_custom_gradients_are_counted():
    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(
        lambda x, w: (x @ w, (x, w)),
        lambda residuals, g: (g @ residuals[1].T, residuals[0].T @ g),
    )
    x, w = shape(4, 8), shape(8, 8)
    assert count_flops(product, x, w).model == 2 * 4 * 8 * 8
    grad = jax.value_and_grad(lambda x, w: jnp.sum(product(x, w) ** 2), argnums=(0, 1))
    assert count_flops(grad, x, w).model == 3 * 2 * 4 * 8 * 8
    checkpointed = jax.grad(
        scanned(lambda f: jax.checkpoint(lambda x, w: (jnp.tanh(product(x, w)), None)))
    )
    assert count_flops(checkpointed, *STACK).hardware == 4 * FORWARD
    assert count_flops(checkpointed, *STACK).model == 3 * FORWARD


def kernel(x, out):
    out[...] = x[...] @ x[...]


def test_a_kernel_counts_its_cost_estimate():
    def run(x, **cost):
        call = pl.pallas_call(kernel, out_shape=shape(8, 8), name="square", **cost)
        return call(x)

    cost = pl.CostEstimate(flops=1024, transcendentals=0, bytes_accessed=512)
    declared = functools.partial(run, cost_estimate=cost)
    assert count_flops(declared, shape(8, 8)).model == 1024
    assert count_flops(jax.vmap(declared), shape(5, 8, 8)).model == 5 * 1024
    undeclared = count_flops(run, shape(8, 8))
    assert undeclared == FlopCount(0, 0, ("pallas_call square",), None, "traced")


def test_opaque_primitives_are_named_as_unknown():
    count = count_flops(
        lambda x: jnp.linalg.cholesky(x) @ jnp.fft.fft(x).real, shape(4, 4)
    )
    assert count.unknown == ("cholesky", "fft")
    assert count.model == 128


def test_arguments_other_than_arrays_are_passed_on():
    def f(x, power, *, mode):
        return x @ x if mode == "square" else jnp.linalg.matrix_power(x, power)

    static = jax.jit(f, static_argnums=1, static_argnames="mode")
    assert count_flops(static, np.ones((4, 4)), 4, mode="power").model == 2 * 128
    assert count_flops(static, shape(4, 4), 4, mode="square").model == 128
